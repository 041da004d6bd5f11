"""The id of a snapshot store: created once, whoever creates it, and moved with the store."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest

from resources.snapshots import SnapshotError, SnapshotStore


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_of_several_processes_that_make_it_at_once_one_does(tmp_path: Path, kind: str) -> None:
    base = str(tmp_path / "store") if kind == "folder" else f"memory://{uuid4().hex}"
    assert SnapshotStore(base).store_id() is None, "looking makes nothing"
    together = Barrier(8)

    def made(_: int) -> str | None:
        store = SnapshotStore(base)
        together.wait()
        return store.store_id(make=True)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(made, range(8)))
    assert len(found) == 1 and None not in found
    assert SnapshotStore(base).store_id() in found
    assert SnapshotStore(base).store_id(make=True) in found


def test_where_a_file_has_only_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr("os.link", link)
    first = SnapshotStore(str(tmp_path)).store_id(make=True)
    assert first and SnapshotStore(str(tmp_path)).store_id(make=True) == first


def test_it_goes_with_a_copy_and_not_with_a_new_folder(tmp_path: Path) -> None:
    first = SnapshotStore(str(tmp_path / "a")).store_id(make=True)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert SnapshotStore(str(tmp_path / "b")).store_id() == first
    assert SnapshotStore(str(tmp_path / "c")).store_id(make=True) != first


def test_a_damaged_id_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".store.json").write_text("[]")
    with pytest.raises(SnapshotError, match="does not hold the store's id"):
        SnapshotStore(str(tmp_path)).store_id(make=True)


@pytest.mark.parametrize("held", [b"", b"\0\0", b"{}", b'{"id": 5}', b"[]", b"garbage", b"\xff"])
def test_a_file_without_the_id_is_not_passed_over(tmp_path: Path, held: bytes) -> None:
    (tmp_path / ".store.json").write_bytes(held)
    with pytest.raises(SnapshotError, match=r"\.store\.json"):
        SnapshotStore(str(tmp_path)).store_id(make=True)
