"""Snapshots: the same rows have the same bytes,
changed bytes are refused, memory is flat, no file is half-written."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from resources.errors import TransientError
from resources.snapshots import Snapshot, SnapshotError, SnapshotStore
from resources.snapshots.files import HashingFile, new_file
from resources.snapshots.layout import layout
from resources.snapshots.nullability import stored_schema
from resources.snapshots.writer import ROW_GROUP_ROWS

EVENT, WINDOW = "flights/departed", "2013-01-01"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SnapshotStore]:
    if request.param == "folder":
        yield SnapshotStore(str(tmp_path / "snapshots"))
        return
    base = f"memory://{tmp_path.name}"
    yield SnapshotStore(base)


@lru_cache
def rows(count: int, first: int = 0) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table(
        {
            "id": pa.array([f"k{n % 977}" for n in numbers], pa.string()),
            "number": pa.array(numbers, pa.int64()),
            "text": pa.array([None if n % 5 == 0 else f"{n:030d}" for n in numbers], pa.string()),
            "list": pa.array([[n] * (n % 3) for n in numbers], pa.list_(pa.int64())),
        }
    )


def write(
    store: SnapshotStore, table: pa.Table, *, cuts: int = 1000, stage: str = "sourced", window: str = WINDOW
) -> Snapshot:
    with store.writer(EVENT, window, stage, table.schema) as out:
        for batch in table.to_batches(max_chunksize=cuts):
            out.write(batch)
        return out.finish({"by": "test"})


def read(store: SnapshotStore, snapshot: Snapshot, **how: int) -> pa.Table:
    how = {"batch_rows": 1000, **how}
    return pa.Table.from_batches(store.read(snapshot, **how), store.schema(snapshot))  # type: ignore[arg-type]


def test_rows_come_back_in_order_and_the_newest_is_current(store: SnapshotStore) -> None:
    first, second = write(store, rows(10)), write(store, rows(70_000, 3))

    assert read(store, second).equals(rows(70_000, 3))
    assert store.current(EVENT, WINDOW, "sourced") == second
    assert store.current(EVENT, WINDOW, "transformed") is None
    assert store.current(EVENT, "2013-01-02", "sourced") is None
    # The older one still exists: the ledger may name it.
    found = store.find(EVENT, WINDOW, "sourced", first.sha256)
    assert found is not None and read(store, found).equals(rows(10))
    assert store.find(EVENT, WINDOW, "sourced", "0" * 64) is None


def test_files_of_no_rows_are_told_apart_by_their_schemas_and_are_as_parquet_writes_them(
    store: SnapshotStore,
) -> None:
    plain = rows(0).drop_columns(["list"]).schema
    schemas = [
        plain,
        plain.with_metadata({"sluice.key": "id"}),
        plain.with_metadata({"sluice.key": "number"}),
        pa.schema([field.with_nullable(False) for field in plain]),
    ]
    hashes = []
    for schema in [*schemas, *schemas]:
        snapshot = write(store, schema.empty_table())
        assert store.schema(snapshot).equals(schema, check_metadata=True)
        hashes.append(snapshot.sha256)
        stored = stored_schema(schema)
        sink = pa.BufferOutputStream()
        pq.ParquetWriter(sink, stored, **layout(stored, stored.empty_table())).close()
        assert snapshot.sha256 == hashlib.sha256(sink.getvalue()).hexdigest()
    assert hashes[:4] == hashes[4:] and len(set(hashes)) == 4


def test_an_empty_window_is_a_snapshot_too(store: SnapshotStore) -> None:
    empty = write(store, rows(0))
    assert empty.rows == 0
    assert list(store.read(empty, batch_rows=10)) == []
    assert store.schema(empty) == rows(0).schema
    store.verify(empty)


# Pages of a Parquet file end where chunks end, unless the rows are joined first.
@given(cuts=st.lists(st.integers(700, ROW_GROUP_ROWS + 10), min_size=1, max_size=8))
@hypothesis_settings(max_examples=6, deadline=None)
def test_the_hash_tells_of_the_rows_and_not_of_the_batches(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    store = SnapshotStore(str(tmp_path_factory.mktemp("hash")))
    table = rows(ROW_GROUP_ROWS + 20_777)
    whole = write(store, table, cuts=len(table))
    with store.writer(EVENT, WINDOW, "sourced", table.schema) as out:
        row, turn = 0, 0
        while row < len(table):
            size = cuts[turn % len(cuts)]
            for batch in table.slice(row, size).to_batches():
                out.write(batch)
            row, turn = row + size, turn + 1
        again = out.finish({})
    assert again.sha256 == whole.sha256
    assert write(store, table.slice(0, len(table) - 1)).sha256 != whole.sha256


@pytest.mark.parametrize(
    "row", [0, 1, 999, ROW_GROUP_ROWS - 1, ROW_GROUP_ROWS, ROW_GROUP_ROWS + 1, ROW_GROUP_ROWS + 500]
)
def test_reading_starts_at_any_row(store: SnapshotStore, row: int) -> None:
    table = rows(ROW_GROUP_ROWS + 500)
    snapshot = write(store, table)
    assert read(store, snapshot, from_row=row).equals(table.slice(row))
    assert max((b.num_rows for b in store.read(snapshot, batch_rows=64, from_row=row)), default=0) <= 64


def test_some_columns_are_read_alone(store: SnapshotStore) -> None:
    table = rows(ROW_GROUP_ROWS + 500)
    found = store.read(write(store, table), batch_rows=1000, from_row=700, columns=["text", "id", "none"])
    assert pa.Table.from_batches(found).equals(table.select(["id", "text"]).slice(700))


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    snapshot = write(store, rows(100))
    store.verify(snapshot)
    path = tmp_path / snapshot.path
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)
    with pytest.raises(SnapshotError, match=r"the file was altered.*materialize the window again"):
        store.verify(snapshot)


def test_writing_the_same_rows_again_mends_an_altered_file(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    snapshot = write(store, rows(100))
    (tmp_path / snapshot.path).write_bytes(b"damaged")
    assert write(store, rows(100)) == snapshot
    store.verify(snapshot)


def test_a_file_that_is_gone_or_no_parquet_is_said_so(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    snapshot = write(store, rows(10))
    (tmp_path / snapshot.path).write_bytes(b"PAR1 but not really")
    with pytest.raises(SnapshotError, match="not a whole Parquet file"):
        store.find(EVENT, WINDOW, "sourced", snapshot.sha256)
    (tmp_path / snapshot.path).unlink()
    with pytest.raises(SnapshotError, match="is gone"):
        store.verify(snapshot)
    with pytest.raises(SnapshotError, match="is gone"):
        list(store.read(snapshot, batch_rows=10))


def test_a_pointer_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    write(store, rows(10))
    pointer = tmp_path / EVENT / WINDOW / "sourced.json"
    pointer.write_text("{")
    with pytest.raises(SnapshotError, match="not readable"):
        store.current(EVENT, WINDOW, "sourced")
    pointer.write_text(json.dumps({"path": "x", "colour": "green"}))
    with pytest.raises(SnapshotError, match="was not written by this version"):
        store.current(EVENT, WINDOW, "sourced")


def test_validations_belong_to_one_hash_of_one_window(store: SnapshotStore) -> None:
    snapshot = write(store, rows(10))
    assert store.validation(EVENT, WINDOW, snapshot.sha256) is None
    store.set_validation(EVENT, WINDOW, snapshot.sha256, {"passed": True})
    found = store.validation(EVENT, WINDOW, snapshot.sha256)
    assert found == {"passed": True, "sha256": snapshot.sha256}
    # The same rows in another window were not validated there.
    assert store.validation(EVENT, "2013-01-02", snapshot.sha256) is None
    store.set_validation(EVENT, WINDOW, snapshot.sha256, {"passed": False})
    assert store.validation(EVENT, WINDOW, snapshot.sha256) == {"passed": False, "sha256": snapshot.sha256}


def test_hours_with_colons_have_folders_of_their_own(store: SnapshotStore) -> None:
    one, two = (write(store, rows(n), window=f"2013-01-01-0{n}:00") for n in (1, 2))
    assert one.path != two.path
    assert ":" not in one.path
    assert store.current(EVENT, "2013-01-01-01:00", "sourced") == one


def test_a_write_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    before = write(store, rows(10))
    with (
        pytest.raises(RuntimeError, match="the warehouse went away"),
        store.writer(EVENT, WINDOW, "sourced", rows(0).schema) as out,
    ):
        out.write(rows(3).to_batches()[0])
        raise RuntimeError("the warehouse went away")
    assert store.current(EVENT, WINDOW, "sourced") == before
    assert not list((tmp_path / ".staging").iterdir())


def test_what_a_killed_run_has_left_is_removed_two_days_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first write of a run does it; files that are still growing, and files that are not ours, stay."""
    store = SnapshotStore(str(tmp_path))
    staging = tmp_path / ".staging"
    left, handle = new_file(store.staging_folder(), ".parquet")
    with handle:
        handle.write(b"half of a row group")
    (staging / "notes.txt").write_text("an operator's")

    made = write(SnapshotStore(str(tmp_path)), rows(2))
    assert left.exists(), "it may still be written"
    in_two_days = time.time() + 2 * 86_400 + 60
    monkeypatch.setattr("resources.snapshots.files.time.time", lambda: in_two_days)
    write(store, rows(3))
    assert left.exists(), "each run looks once"
    write(SnapshotStore(str(tmp_path)), rows(3))
    assert [path.name for path in staging.iterdir()] == ["notes.txt"]
    store.verify(made)


def test_a_type_that_parquet_cannot_hold_names_its_column(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("took", pa.month_day_nano_interval())])
    with pytest.raises(SnapshotError, match=r"took: month_day_nano_interval.*cast it in the query"):
        SnapshotStore(str(tmp_path)).writer(EVENT, WINDOW, "sourced", schema)
    assert not list(tmp_path.rglob("*.parquet"))


def test_stored_files_are_as_readable_as_others_of_the_user(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        snapshot = write(SnapshotStore(str(tmp_path)), rows(1))
    finally:
        os.umask(before)
    for path in (tmp_path / snapshot.path, tmp_path / EVENT / WINDOW / "sourced.json"):
        assert path.stat().st_mode & 0o777 == 0o644


def test_a_full_disk_is_named_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(HashingFile, "write", full)
    with pytest.raises(SnapshotError, match="No space left on device"):
        write(SnapshotStore(str(tmp_path)), rows(ROW_GROUP_ROWS * 3))
    assert not list((tmp_path / ".staging").iterdir())


def test_an_unwritable_or_unknown_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SnapshotError, match="cannot be written"):
        write(SnapshotStore(str(tmp_path / "file" / "below")), rows(1))
    with pytest.raises(SnapshotError, match="install the fsspec package"):
        SnapshotStore("nosuchscheme://me:hunter2@bucket/x")


def test_a_secret_in_the_stores_address_is_not_shown() -> None:
    with pytest.raises(SnapshotError) as caught:
        SnapshotStore("nosuchscheme://me:hunter2@bucket/x")
    assert "hunter2" not in str(caught.value)


def test_a_pointer_behind_a_fault_of_the_disk_is_a_passing_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore(str(tmp_path))
    write(store, rows(1))

    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("resources.snapshots.place._whole", broken)
    with pytest.raises(TransientError, match="Input/output error"):
        store.current(EVENT, WINDOW, "sourced")


def test_writing_and_reading_hold_a_few_row_groups_at_most(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    batch = pa.record_batch({"x": pa.array(range(8192), pa.int64())})
    group_bytes = ROW_GROUP_ROWS * 8
    pool = pa.default_memory_pool()
    before, peak = pa.total_allocated_bytes(), 0
    with store.writer(EVENT, WINDOW, "sourced", batch.schema) as out:
        for _ in range(40 * ROW_GROUP_ROWS // 8192):
            # A copy each time, because a warehouse returns new memory with every batch.
            out.write(pa.record_batch({"x": pa.array(batch.column(0).to_numpy().copy())}))
            peak = max(peak, pa.total_allocated_bytes() - before)
        snapshot = out.finish({})
    assert snapshot.rows == 40 * ROW_GROUP_ROWS
    assert peak < 6 * group_bytes, f"{peak / group_bytes:.1f} row groups held of 40 ({pool.backend_name})"

    before, peak = pa.total_allocated_bytes(), 0
    for _ in store.read(snapshot, batch_rows=4096):
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < 6 * group_bytes


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Each file and folder for which fsync was called, with the thread that called it."""
    found: list[tuple[str, str]] = []

    def sync(handle: int) -> None:
        path = str(Path(f"/proc/self/fd/{handle}").readlink())
        found.append((path, threading.current_thread().name))

    monkeypatch.setattr(os, "fsync", sync)
    return found


def paths(synced: list[tuple[str, str]]) -> list[str]:
    return [path for path, _ in synced]


def test_rows_and_their_names_are_on_the_disk_when_settled_and_nothing_else_waits_for_it(
    tmp_path: Path, synced: list[tuple[str, str]]
) -> None:
    store = SnapshotStore(str(tmp_path))
    transformed = write(store, rows(3), stage="transformed")
    store.set_validation(EVENT, WINDOW, transformed.sha256, {"passed": True})
    assert synced == [], "a file that nothing names can wait"
    store.fsync_window(EVENT, WINDOW)
    folder = tmp_path / EVENT / WINDOW
    above = [folder, folder.parent, folder.parent.parent, tmp_path]
    assert paths(synced) == [store.url(transformed), *map(str, above)], "the rows before their names"
    del synced[:]
    store.fsync_window(EVENT, WINDOW)
    assert synced == []
    more = write(store, rows(4), stage="delta")
    store.fsync_window(EVENT, WINDOW)
    assert paths(synced) == [store.url(more), str(folder)], "a window's folder is made once"
    other = write(store, rows(3), window="2013-01-02")
    del synced[:]
    store.fsync_window(EVENT, "2013-01-02")
    assert paths(synced) == [store.url(other), str(folder.parent / "2013-01-02"), str(folder.parent)]
    del synced[:]
    SnapshotStore(str(tmp_path)).fsync_window(EVENT, WINDOW)
    assert {store.url(transformed), store.url(more), str(folder)} <= set(paths(synced)), (
        "what another process left is not known to be on the disk"
    )


def test_what_was_begun_is_waited_for_and_what_came_since_is_settled_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore(str(tmp_path))
    first = write(store, rows(3))
    begun, go_on, done = threading.Event(), threading.Event(), list[str]()

    def slow(handle: int) -> None:
        begun.set()
        assert go_on.wait(60)
        done.append(Path(f"/proc/self/fd/{handle}").readlink().name)

    monkeypatch.setattr(os, "fsync", slow)
    store.begin_fsync(EVENT, WINDOW)
    assert begun.wait(60)
    later = write(store, rows(4))
    settled = threading.Thread(target=store.fsync_window, args=(EVENT, WINDOW))
    settled.start()
    settled.join(0.2)
    assert settled.is_alive() and done == []
    go_on.set()
    settled.join(60)
    assert not settled.is_alive()
    names = [Path(store.url(one)).name for one in (first, later)]
    assert [name for name in done if name.endswith(".parquet")] == names


def test_what_could_not_be_brought_to_the_disk_is_said_when_it_is_waited_for_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore(str(tmp_path))
    write(store, rows(3))

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        store.begin_fsync(EVENT, WINDOW)
        with pytest.raises(TransientError, match="Input/output error"):
            store.fsync_window(EVENT, WINDOW)
    # The second time, the system reports that there is nothing left to write.
    with pytest.raises(TransientError, match="materialize the window again"):
        store.fsync_window(EVENT, WINDOW)
    write(store, rows(3))
    store.fsync_window(EVENT, WINDOW)


def test_a_file_that_takes_the_place_of_another_is_on_the_disk_first(
    tmp_path: Path, synced: list[tuple[str, str]]
) -> None:
    """A ledger may name it, and a window that has nothing to publish may find the rows again."""
    store = SnapshotStore(str(tmp_path))
    write(store, rows(3))
    assert synced == []
    write(store, rows(3))
    assert [Path(path).parent.name for path in paths(synced)] == [".staging"]


def test_a_window_whose_disk_is_slow_is_settled_in_a_thread(
    tmp_path: Path, synced: list[tuple[str, str]]
) -> None:
    store = SnapshotStore(str(tmp_path))
    write(store, rows(3))
    store.begin_fsync(EVENT, WINDOW)
    store.fsync_window(EVENT, WINDOW)
    assert synced and all(thread.startswith("sluice-fsync") for _, thread in synced)


@pytest.mark.parametrize("left", [b"", b"\0" * 40])
def test_a_pointer_or_proof_that_a_power_cut_left_empty_counts_as_absent(tmp_path: Path, left: bytes) -> None:
    store = SnapshotStore(str(tmp_path))
    made = write(store, rows(3))
    store.set_validation(EVENT, WINDOW, made.sha256, {"passed": True})
    for name in ("sourced.json", f"validated-{made.sha256}.json"):
        (tmp_path / EVENT / WINDOW / name).write_bytes(left)
    assert store.current(EVENT, WINDOW, "sourced") is None
    assert store.validation(EVENT, WINDOW, made.sha256) is None


def test_two_stages_with_the_same_bytes_are_two_names_of_one_file(store: SnapshotStore) -> None:
    source = write(store, rows(100))
    shared = store.share(source, EVENT, WINDOW, "transformed", {"dead": 0})
    assert (shared.sha256, shared.rows, shared.bytes) == (source.sha256, source.rows, source.bytes)
    assert shared.facts == {"dead": 0} and shared.path != source.path
    assert store.find(EVENT, WINDOW, "transformed", source.sha256) is not None
    assert store.current(EVENT, WINDOW, "transformed") is None
    store.verify(shared)
    assert read(store, shared).equals(rows(100))
    again = store.share(source, EVENT, WINDOW, "transformed", {"dead": 0})
    assert again == shared
    if store.staging_folder() is not None:
        assert Path(store.url(source)).samefile(store.url(shared))
        assert not list(Path(store.staging_folder() or "").iterdir())


def test_a_shared_file_is_whole_whatever_stood_there(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    source = write(store, rows(100))
    shared = store.share(source, EVENT, WINDOW, "transformed", {})
    Path(store.url(shared)).write_bytes(b"altered through either name")
    mended = write(store, rows(100))
    assert mended == source
    store.verify(source)
    with pytest.raises(SnapshotError, match="altered"):
        store.verify(shared)
    store.verify(store.share(source, EVENT, WINDOW, "transformed", {}))


def test_where_files_have_one_name_alone_the_bytes_are_copied_and_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore(str(tmp_path))
    source = write(store, rows(100))
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_size), real(handle)))

    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refused)
    shared = store.share(source, EVENT, WINDOW, "transformed", {})
    store.verify(shared)
    assert not Path(store.url(source)).samefile(store.url(shared))
    assert synced == [source.bytes]
    assert not list((tmp_path / ".staging").iterdir())


def test_where_the_place_cannot_copy_the_bytes_go_by_way_of_here(monkeypatch: pytest.MonkeyPatch) -> None:
    store = SnapshotStore("memory://cannot-copy")
    source = write(store, rows(100))

    def cannot(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(type(store._fs.fs), "cp_file", cannot)
    store.verify(store.share(source, EVENT, WINDOW, "transformed", {}))


@pytest.mark.parametrize("base", ["folder", "memory"])
def test_a_source_that_is_gone_cannot_be_shared(base: str, tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path) if base == "folder" else "memory://gone")
    source = write(store, rows(1))
    store._fs.rm(store._at(source.path))
    with pytest.raises(TransientError, match="cannot be stored"):
        store.share(source, EVENT, WINDOW, "transformed", {})
