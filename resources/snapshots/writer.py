"""Writing one snapshot: rows to row groups of one size, row groups to a Parquet file that is hashed as it grows."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from resources.snapshots.behind import Behind
from resources.snapshots.layout import layout, require_storable
from resources.snapshots.nullability import as_schema, stored_schema
from resources.snapshots.snapshot import Snapshot, SnapshotError, unwritable

if TYPE_CHECKING:
    from resources.snapshots.store import SnapshotStore

# Fixed, so that the bytes depend on the rows alone and not on how the warehouse cut its batches.
ROW_GROUP_ROWS = 32_768


class HashingFile:
    """A binary sink that hashes what passes through it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._hash = hashlib.sha256()
        self.bytes = 0
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data)
        self._hash.update(view)
        self.bytes += view.nbytes
        return self._raw.write(view)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._raw.flush()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._raw.close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class SnapshotWriter:
    """Writes batches to a staging file, then moves it to its content address. Use as a context manager.

    Whole row groups are encoded, hashed and written in a thread, one at a time, while the rows of the next are made. What
    fails there is raised by the next `write` that fills a group, or by `finish`.
    """

    def __init__(
        self, store: "SnapshotStore", event: str, window: str, stage: str, schema: pa.Schema
    ) -> None:
        self._store, self._event, self._window, self._stage = store, event, window, stage
        self._schema = stored_schema(schema)
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self.rows = 0
        self._where = f"snapshot {event} {window} {stage}"
        try:
            require_storable(self._schema)
        except pa.ArrowNotImplementedError as error:
            columns = ", ".join(
                f"{field.name}: {field.type}" for field in schema if not _storable(field.type)
            )
            raise SnapshotError(
                self._where,
                f"a column has a type that Parquet cannot hold ({columns or error})",
                next_step="cast it in the query, an interval to a number for instance",
            ) from None
        try:
            self._staging, staging = new_file(store.staging_folder(), ".parquet")
        except OSError as error:
            raise unwritable(self._where, error) from None
        self._sink = HashingFile(staging)
        self._parquet: pq.ParquetWriter | None = None
        self._groups = Behind(self._store_group, name="sluice-snapshot")

    def __enter__(self) -> "SnapshotWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._groups.leave()
        if self._parquet is not None:
            with suppress(Exception):
                self._parquet.close()
        # On a full disk closing fails too, for what is still to be written; the file goes anyway.
        with suppress(OSError):
            self._sink.close()
        self._staging.unlink(missing_ok=True)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; the batch must have the schema the writer was made with."""
        self._pending.append(as_schema(batch, self._schema))
        self._pending_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._pending_rows >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(self._pending, self._schema)
            whole = table.num_rows - table.num_rows % ROW_GROUP_ROWS
            # From one group to the next, so that no more than a few groups and a batch are ever held.
            for first in range(0, whole, ROW_GROUP_ROWS):
                self._groups.put(table.slice(first, ROW_GROUP_ROWS))
            rest = table.slice(whole)
            self._pending = rest.to_batches()
            self._pending_rows = rest.num_rows

    def _store_group(self, table: pa.Table) -> None:
        # In one chunk: Parquet cuts its pages where chunks end, and the bytes must not tell of batches.
        group = table.combine_chunks()
        try:
            self._opened(group).write_table(group, row_group_size=ROW_GROUP_ROWS)
        except OSError as error:
            raise unwritable(self._where, error) from None

    def _opened(self, first_group: pa.Table) -> pq.ParquetWriter:
        if self._parquet is None:
            options = layout(self._schema, first_group)
            self._parquet = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), self._schema, **options)
        return self._parquet

    def finish(self, facts: Mapping[str, Any], *, make_current: bool = True) -> Snapshot:
        """Seal the file under its hash; with `make_current` it becomes the window's newest of its stage."""
        self._groups.finish()
        if self._pending_rows:
            self._store_group(pa.Table.from_batches(self._pending, self._schema))
        try:
            if self._parquet is None:
                self._sink.write(_no_rows(self._schema.serialize().to_pybytes()))
            else:
                self._parquet.close()
            self._sink.close()
        except OSError as error:
            raise unwritable(self._where, error) from None
        sha256 = self._sink.hexdigest()
        path = f"{self._store.folder(self._event, self._window)}/{self._stage}-{sha256}.parquet"
        snapshot = Snapshot(path, sha256, self.rows, self._sink.bytes, dict(facts))
        self._store.adopt(self._staging, path)
        if make_current:
            self._store.set_current(self._event, self._window, self._stage, snapshot)
        return snapshot


@lru_cache(maxsize=64)
def _no_rows(schema: bytes) -> bytes:
    """The file of no rows of a schema: nearly every window has one, of its dead letters."""
    empty = pa.ipc.read_schema(pa.py_buffer(schema)).empty_table()
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, empty.schema, **layout(empty.schema, empty)).close()
    made: bytes = sink.getvalue().to_pybytes()
    return made


def row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of one row group each, as they will stand in the file."""
    pending: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        pending.append(as_schema(batch, schema))
        rows += batch.num_rows
        while rows >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(pending, schema)
            yield _one_batch(table.slice(0, ROW_GROUP_ROWS))
            pending = table.slice(ROW_GROUP_ROWS).to_batches()
            rows -= ROW_GROUP_ROWS
    if rows:
        yield _one_batch(pa.Table.from_batches(pending, schema))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    (batch,) = table.combine_chunks().to_batches()
    return batch


def new_file(folder: str | None, suffix: str) -> tuple[Path, IO[bytes]]:
    """A new file with the rights any new file of this user has; tempfile's would be readable by nobody else."""
    path = new_name(folder, suffix)
    return path, path.open("xb")


def new_name(folder: str | None, suffix: str) -> Path:
    """A name for an unfinished file, which nothing else has."""
    return Path(folder or tempfile.gettempdir()) / f".sluice-{uuid4().hex}{suffix}"


def _storable(arrow_type: pa.DataType) -> bool:
    try:
        require_storable(pa.schema([("column", arrow_type)]))
    except pa.ArrowNotImplementedError:
        return False
    return True
