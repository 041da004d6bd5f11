"""Many rows: a snapshot of several files is one snapshot wherever it is named, read, shared or repaired."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.errors import TransientError
from resources.snapshots import Snapshot, SnapshotError, SnapshotStore
from resources.snapshots.writer import ROW_GROUP_ROWS
from tests.resources.snapshots.test_store import EVENT, WINDOW, read, rows, write

# Two row groups a file: rows() has four columns of plain values, one of which is in the list.
MANY = 5 * ROW_GROUP_ROWS - 7


@pytest.fixture(autouse=True)
def two_groups_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.snapshots.writer.FILE_CHUNKS", 2 * 4 + 3)


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SnapshotStore]:
    yield SnapshotStore(
        str(tmp_path / "a [folder]") if request.param == "folder" else f"memory://parts-{tmp_path.name}"
    )


def content(store: SnapshotStore, path: str) -> bytes:
    found: bytes = store._fs.cat_file(store._at(path))
    return found


def counts(store: SnapshotStore, snapshot: Snapshot) -> list[int]:
    return [pq.read_metadata(pa.BufferReader(content(store, path))).num_row_groups for path in snapshot.files]


def test_many_rows_are_in_several_files_with_one_name(store: SnapshotStore) -> None:
    made = write(store, rows(MANY))
    stem = f"{EVENT}/{WINDOW}/sourced-{made.sha256}"
    assert made.path == f"{stem}-*-of-0003.parquet"
    assert made.files == tuple(f"{stem}-000{part}-of-0003.parquet" for part in (1, 2, 3))
    assert counts(store, made) == [2, 2, 1]
    whole = b"".join(content(store, path) for path in made.files)
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (made.bytes, made.sha256)

    assert read(store, made).equals(rows(MANY))
    store.verify(made)
    assert store.current(EVENT, WINDOW, "sourced") == made
    found = store.find(EVENT, WINDOW, "sourced", made.sha256)
    assert found is not None and found == Snapshot(made.path, made.sha256, MANY, made.bytes, {}, 3)


def test_the_bytes_tell_of_the_rows_alone_and_no_file_is_without(store: SnapshotStore) -> None:
    whole = rows(4 * ROW_GROUP_ROWS)
    first, second = (
        write(store, whole, cuts=977),
        write(store, whole, cuts=3 * ROW_GROUP_ROWS, stage="transformed"),
    )
    assert first.sha256 == second.sha256 and counts(store, first) == counts(store, second) == [2, 2]
    assert write(store, rows(2 * ROW_GROUP_ROWS)).parts == 1


@pytest.mark.parametrize(
    "row", [0, 1, 2 * ROW_GROUP_ROWS - 1, 2 * ROW_GROUP_ROWS, 3 * ROW_GROUP_ROWS + 5, MANY - 1, MANY]
)
def test_reading_starts_at_any_row_of_any_file(store: SnapshotStore, row: int) -> None:
    made = write(store, rows(MANY))
    assert read(store, made, from_row=row).equals(rows(MANY).slice(row))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_an_altered_part_is_refused_and_writing_again_mends_it(tmp_path: Path, part: int) -> None:
    store = SnapshotStore(str(tmp_path))
    made = write(store, rows(MANY))
    at = Path(store.url_of(made.files[part]))
    altered = bytearray(at.read_bytes())
    altered[100] ^= 1
    at.write_bytes(altered)
    with pytest.raises(SnapshotError, match="altered"):
        store.verify(made)
    assert write(store, rows(MANY)) == made
    store.verify(made)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_snapshot_without_one_of_its_parts_is_none(store: SnapshotStore, part: int) -> None:
    """As left by a run that is killed while it moves the files to their places."""
    made = write(store, rows(MANY))
    store._fs.rm(store._at(made.files[part]))
    assert store.find(EVENT, WINDOW, "sourced", made.sha256) is None
    with pytest.raises(SnapshotError, match="gone"):
        read(store, made)
    with pytest.raises(SnapshotError, match="gone"):
        store.verify(made)
    with pytest.raises(TransientError, match="cannot be stored"):
        store.share(made, EVENT, WINDOW, "transformed", {})
    assert write(store, rows(MANY)) == made
    assert store.find(EVENT, WINDOW, "sourced", made.sha256) is not None
    assert read(store, made).equals(rows(MANY))


def test_two_stages_share_every_file(store: SnapshotStore) -> None:
    source = write(store, rows(MANY))
    shared = store.share(source, EVENT, WINDOW, "transformed", {"dead": 0})
    assert shared.facts == {"dead": 0} and shared.parts == 3 and shared.path != source.path
    store.verify(shared)
    assert read(store, shared).equals(rows(MANY))
    assert store.find(EVENT, WINDOW, "transformed", source.sha256) is not None
    if store.staging_folder() is not None:
        for one, other in zip(source.files, shared.files, strict=True):
            assert Path(store.url_of(one)).samefile(store.url_of(other))
        assert not list(Path(store.staging_folder() or "").iterdir())


def test_every_file_is_on_the_disk_when_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[str] = set()
    monkeypatch.setattr("resources.snapshots.fsync._sync", synced.add)
    store = SnapshotStore(str(tmp_path))
    made = write(store, rows(MANY))
    store.fsync_window(EVENT, WINDOW)
    assert {store.url_of(path) for path in made.files} < synced


def test_a_write_that_is_given_up_leaves_none_of_its_files(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    with (
        pytest.raises(RuntimeError),
        store.writer(EVENT, WINDOW, "sourced", rows(0).schema) as out,
    ):
        for batch in rows(MANY).to_batches():
            out.write(batch)
        raise RuntimeError
    assert not list((tmp_path / ".staging").iterdir())
    assert not (tmp_path / EVENT).exists()


def test_what_is_known_of_a_file_goes_with_its_end(tmp_path: Path) -> None:
    """pyarrow's writer keeps more than a kilobyte for each column of each row group."""
    store = SnapshotStore(str(tmp_path))
    with store.writer(EVENT, WINDOW, "sourced", rows(0).schema) as out:
        for batch in rows(MANY).to_batches():
            out.write(batch)
        out.finish({})
        assert [file._parquet for file in out._files] == [None] * 3


def test_a_file_has_one_row_group_whatever_the_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.snapshots.writer.FILE_CHUNKS", 1)
    store = SnapshotStore(str(tmp_path))
    made = write(store, rows(2 * ROW_GROUP_ROWS + 1))
    assert counts(store, made) == [1, 1, 1]
    assert read(store, made).equals(rows(2 * ROW_GROUP_ROWS + 1))


def test_a_client_that_keeps_listings_finds_what_others_have_written_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = SnapshotStore("memory://kept-listings")
    kept: dict[str, list[str]] = {}
    there = type(store._fs.fs)

    def listed(path: str, detail: bool = True) -> list[str]:
        assert not detail
        return kept.setdefault(path, there.ls(store._fs.fs, path, detail=False))

    monkeypatch.setattr(store._fs.fs, "ls", listed)
    monkeypatch.setattr(store._fs.fs, "invalidate_cache", lambda path: kept.pop(path, None))
    small = write(store, rows(1))
    assert store.find(EVENT, WINDOW, "sourced", "0" * 64) is None
    assert kept == {}, "nothing that another client of this process would believe"
    made = write(SnapshotStore("memory://kept-listings"), rows(MANY))
    found = store.find(EVENT, WINDOW, "sourced", made.sha256)
    assert found is not None and found.parts == 3
    assert store.find(EVENT, WINDOW, "sourced", small.sha256) is not None
