"""The compiled library: found where it was built, and never used where it could be another one."""

import ctypes
import os
import subprocess
import sys

import pytest

import resources.compiled as compiled
from resources.errors import SluiceError


def test_it_is_built_where_tests_must_skip_nothing() -> None:
    if compiled.library() is None and not (os.environ.get("SLUICE_REQUIRE_SERVERS") or os.environ.get("CI")):
        pytest.skip("needs a C compiler when Sluice is installed")
    assert compiled.library() is not None


@pytest.mark.parametrize("value", ["off", "0", "No", "FALSE"])
def test_it_can_be_switched_off(value: str) -> None:
    code = "from resources.compiled import library; print(library() is None)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SLUICE_COMPILED": value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "True"


def test_a_path_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_COMPILED", "/nowhere/lib.so")
    compiled.library.cache_clear()
    try:
        with pytest.raises(SluiceError, match="off, or the path"):
            compiled.library()
    finally:
        compiled.library.cache_clear()


def test_one_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    if compiled.library() is None:
        pytest.skip("needs a C compiler when Sluice is installed")
    monkeypatch.delenv("SLUICE_COMPILED", raising=False)
    compiled.library.cache_clear()
    monkeypatch.setattr(compiled, "_INTERFACE", compiled._INTERFACE + 1)
    try:
        assert compiled.library() is None
    finally:
        compiled.library.cache_clear()


def test_one_that_is_no_library_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> ctypes.CDLL:
        raise OSError("invalid ELF header")

    monkeypatch.delenv("SLUICE_COMPILED", raising=False)
    monkeypatch.setattr(ctypes, "CDLL", broken)
    compiled.library.cache_clear()
    try:
        assert compiled.library() is None
    finally:
        compiled.library.cache_clear()
