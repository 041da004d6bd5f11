"""New files appear completely and together, or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.drafting.whole_files import write_all
from resources.errors import SluiceError


def _texts(root: Path) -> dict[Path, str]:
    folder = root / "shop"
    return {folder / "__init__.py": '"""Events."""\n', folder / "a.avsc": "{}\n", folder / "a.py": "größe\n"}


def _left(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_all_are_written_in_utf_8_and_nothing_else(tmp_path: Path) -> None:
    write_all(_texts(tmp_path))
    assert _left(tmp_path) == ["shop", "shop/__init__.py", "shop/a.avsc", "shop/a.py"]
    assert (tmp_path / "shop/a.py").read_bytes() == "größe\n".encode()


_REAL: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in ("fsync", "link", "mkdir")}


def _failing(monkeypatch: pytest.MonkeyPatch, name: str, call: int, error: BaseException) -> None:
    calls = iter(range(1, 100))

    def failing(*args: Any, **more: Any) -> Any:
        if next(calls) == call:
            raise error
        return _REAL[name](*args, **more)

    monkeypatch.setattr(os, name, failing)


_FULL = OSError(28, "No space left on device")
_PLACES = [("mkdir", 1), *[(name, call) for name in ("fsync", "link") for call in (1, 2, 3)]]


@pytest.mark.parametrize(
    ("name", "call", "error"),
    [(*place, error) for place in _PLACES for error in (KeyboardInterrupt(), MemoryError())]
    # If a link cannot be made, another way is used.
    + [(*place, _FULL) for place in _PLACES if place[0] != "link"],
)
def test_whatever_interrupts_it_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: int, error: BaseException
) -> None:
    _failing(monkeypatch, name, call, error)
    with pytest.raises(SluiceError if isinstance(error, OSError) else type(error)) as caught:
        write_all(_texts(tmp_path))
    assert _left(tmp_path) == []
    assert not isinstance(error, OSError) or "No space left on device" in str(caught.value)


def test_a_text_that_cannot_be_encoded_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_all({tmp_path / "a.avsc": "{}", tmp_path / "a.py": "\ud800"})
    assert _left(tmp_path) == []


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_file_that_is_there_is_kept_and_the_others_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _without_links)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/a.py").write_text("mine")
    with pytest.raises(SluiceError, match=r"a\.py: is there already, and nothing is overwritten"):
        write_all(_texts(tmp_path))
    assert _left(tmp_path) == ["shop", "shop/a.py"]
    assert (tmp_path / "shop/a.py").read_text() == "mine"


def _without_links(*_: Any, **__: Any) -> None:
    raise OSError(1, "Operation not permitted")


def test_a_file_system_without_links_gets_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", _without_links)
    write_all(_texts(tmp_path))
    assert _left(tmp_path) == ["shop", "shop/__init__.py", "shop/a.avsc", "shop/a.py"]
    assert (tmp_path / "shop/a.avsc").read_text() == "{}\n"


def test_without_links_an_interruption_leaves_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", _without_links)
    calls = iter(range(1, 9))
    real = Path.replace

    def interrupted(self: Path, other: Path) -> Path:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return real(self, other)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_all(_texts(tmp_path))
    assert _left(tmp_path) == []
