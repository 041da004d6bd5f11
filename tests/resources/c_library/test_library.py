"""The compiled library: found where it was built, and never used if it could be a different one."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.actions.doctor import _compiled_library
from resources import c_library
from resources.errors import SluiceError


def test_it_is_built_where_tests_must_skip_nothing() -> None:
    if c_library.library() is None and not (os.environ.get("SLUICE_REQUIRE_SERVERS") or os.environ.get("CI")):
        pytest.skip("needs a C compiler when Sluice is installed")
    assert c_library.library() is not None


@pytest.mark.parametrize("value", ["off", "0", "No", "FALSE"])
def test_it_can_be_switched_off(value: str) -> None:
    code = "from resources.c_library import library; print(library() is None)"
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
    c_library.library.cache_clear()
    try:
        with pytest.raises(SluiceError, match="off, or the path"):
            c_library.library()
    finally:
        c_library.library.cache_clear()


def test_one_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    if c_library.library() is None:
        pytest.skip("needs a C compiler when Sluice is installed")
    monkeypatch.delenv("SLUICE_COMPILED", raising=False)
    c_library.library.cache_clear()
    monkeypatch.setattr(c_library, "_INTERFACE", c_library._INTERFACE + 1)
    try:
        assert c_library.library() is None
    finally:
        c_library.library.cache_clear()


def test_one_of_an_older_build_hides_none_that_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if c_library.library() is None:
        pytest.skip("needs a C compiler when Sluice is installed")
    older = tmp_path / "older.so"
    older.write_bytes(b"of another build")
    monkeypatch.delenv("SLUICE_COMPILED", raising=False)
    found = c_library._built()
    monkeypatch.setattr(c_library, "_built", lambda: [older, *found])
    c_library.library.cache_clear()
    try:
        assert c_library.library() is not None
    finally:
        c_library.library.cache_clear()


@pytest.mark.parametrize(
    ("named", "built", "why", "next_step"),
    [
        ("off", [], "SLUICE_COMPILED=off switches it off", "unset it"),
        ("", [], "it was not built", "install a wheel of Sluice"),
        ("", ["x.so"], "is of another build", "install Sluice again"),
    ],
)
def test_why_it_is_not_used_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str, built: list[str], why: str, next_step: str
) -> None:
    for name in built:
        (tmp_path / name).write_bytes(b"of another build")
    monkeypatch.setenv("SLUICE_COMPILED", named)
    monkeypatch.setattr(c_library, "_built", lambda: [tmp_path / name for name in built])
    c_library.library.cache_clear()
    try:
        told = c_library.why_missing()
        assert told is not None and why in told.partition("; ")[0] and next_step in told.partition("; ")[2]
        finding = _compiled_library()
        assert finding.level == "warning" and why in finding.told and next_step in str(finding.next_step)
    finally:
        c_library.library.cache_clear()


def test_one_that_is_no_library_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> ctypes.CDLL:
        raise OSError("invalid ELF header")

    monkeypatch.delenv("SLUICE_COMPILED", raising=False)
    monkeypatch.setattr(ctypes, "CDLL", broken)
    c_library.library.cache_clear()
    try:
        assert c_library.library() is None
    finally:
        c_library.library.cache_clear()
