"""Writes one snapshot: rows become row groups of one size, row groups become Parquet files
that are hashed as they grow."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from resources.process.memory import GivingBack
from resources.snapshots.faults import unwritable
from resources.snapshots.files import GrowingFile
from resources.snapshots.layout import layout, leaf_columns
from resources.snapshots.nullability import as_schema, stored_schema
from resources.snapshots.snapshot import Snapshot, SnapshotError, path_of
from resources.threads.write_behind import Behind

# Fixed, so that the bytes depend on the rows only, and not on the batches of the warehouse.
ROW_GROUP_ROWS = 32_768
# The most columns times row groups in one file; more rows go to another file. For each of them, pyarrow holds
# one to one and a half kB until the file is finished, the same again while it writes the end of the file, and
# half of it while the file is read.
FILE_CHUNKS = 2_048


class Keeper(Protocol):
    """What the writer needs from its store: see SnapshotStore."""

    def staging_folder(self) -> str | None: ...

    def folder(self, event: str, window: str) -> str: ...

    def adopt(self, staging: Path, path: str) -> None: ...

    def set_current(self, event: str, window: str, stage: str, snapshot: Snapshot) -> None: ...


class SnapshotWriter:
    """Writes batches to staging files, then moves the files to their content
    address. Use it as a context manager.

    A thread encodes, hashes and writes whole row groups, one at a time, while the rows of the next group are
    made. An error in the thread is raised by the next `write` that fills a group, or by `finish`.
    """

    def __init__(self, store: Keeper, event: str, window: str, stage: str, schema: pa.Schema) -> None:
        self._store, self._event, self._window, self._stage = store, event, window, stage
        self._schema = stored_schema(schema)
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self.rows = 0
        self._where = f"snapshot {event} {window} {stage}"
        try:
            self._groups_of_a_file = max(1, FILE_CHUNKS // max(1, leaf_columns(self._schema)))
        except pa.ArrowNotImplementedError as error:
            columns = ", ".join(
                f"{field.name}: {field.type}" for field in schema if not _storable(field.type)
            )
            raise SnapshotError(
                self._where,
                f"a column has a type that Parquet cannot hold ({columns or error})",
                next_step="cast it in the query, an interval to a number for instance",
            ) from None
        self._digest = hashlib.sha256()
        self._options: dict[str, Any] | None = None
        try:
            self._files = [self._new_file()]
        except OSError as error:
            raise unwritable(self._where, error) from None
        self._memory = GivingBack()
        self._groups = Behind(self._store_group, name="sluice-snapshot")

    def __enter__(self) -> "SnapshotWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._groups.leave()
        for file in self._files:
            file.discard()

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; the batch must have the schema with which the writer was created."""
        self._pending.append(as_schema(batch, self._schema))
        self._pending_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._pending_rows >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(self._pending, self._schema)
            whole = table.num_rows - table.num_rows % ROW_GROUP_ROWS
            # Group by group, so that only a few groups and one batch are in memory.
            for first in range(0, whole, ROW_GROUP_ROWS):
                self._groups.put(table.slice(first, ROW_GROUP_ROWS))
            rest = table.slice(whole)
            self._pending = rest.to_batches()
            self._pending_rows = rest.num_rows

    def _store_group(self, table: pa.Table) -> None:
        # In one chunk: Parquet ends its pages where chunks end, and the bytes must not depend on the batches.
        group = table.combine_chunks()
        if self._options is None:
            self._options = layout(self._schema, group)
        try:
            if self._files[-1].groups == self._groups_of_a_file:
                self._files[-1].finish()
                self._files.append(self._new_file())
            self._files[-1].add(group, self._schema, self._options)
        except OSError as error:
            raise unwritable(self._where, error) from None
        self._memory.passed(group.num_rows)

    def _new_file(self) -> GrowingFile:
        return GrowingFile(self._store.staging_folder(), self._digest.update)

    def finish(self, facts: Mapping[str, Any], *, make_current: bool = True) -> Snapshot:
        """Seal the rows under their hash. With `make_current` they become the window's
        newest snapshot of their stage."""
        self._groups.finish()
        if self._pending_rows:
            self._store_group(pa.Table.from_batches(self._pending, self._schema))
        try:
            self._files[-1].finish(b"" if self.rows else _no_rows(self._schema.serialize().to_pybytes()))
        except OSError as error:
            raise unwritable(self._where, error) from None
        sha256, size = self._digest.hexdigest(), sum(file.size for file in self._files)
        folder, parts = self._store.folder(self._event, self._window), len(self._files)
        path = path_of(folder, self._stage, sha256, parts)
        snapshot = Snapshot(path, sha256, self.rows, size, dict(facts), parts)
        for file, place in zip(self._files, snapshot.files, strict=True):
            self._store.adopt(file.path, place)
        if make_current:
            self._store.set_current(self._event, self._window, self._stage, snapshot)
        return snapshot


@lru_cache(maxsize=64)
def _no_rows(schema: bytes) -> bytes:
    """The bytes of a file without rows: nearly every window has one, for its dead letters."""
    empty = pa.ipc.read_schema(pa.py_buffer(schema)).empty_table()
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, empty.schema, **layout(empty.schema, empty)).close()
    made: bytes = sink.getvalue().to_pybytes()
    return made


def row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of one row group each, as they will be in the file."""
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


def _storable(arrow_type: pa.DataType) -> bool:
    try:
        leaf_columns(pa.schema([("column", arrow_type)]))
    except pa.ArrowNotImplementedError:
        return False
    return True
