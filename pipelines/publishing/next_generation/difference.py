"""The difference between two snapshots of a window, by event id.

An event id is a hash of the event's key and content, so two rows are the same event exactly if their ids are
equal, whatever their types. The ids of both sides are written to temporary files. DuckDB, which spills to
disk, finds the rows without a partner (as a multiset: two equal rows need two partners). Memory does not grow
with the window.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from resources.process.scratch import scratch_folder

# For each key, the number of rows that have a partner of the same key on the other side.
_REPLACED = """
    SELECT coalesce(sum(least(lost.rows, new.rows)), 0)::BIGINT
    FROM (SELECT key, count(*) AS rows FROM lost GROUP BY key) AS lost
    JOIN (SELECT key, count(*) AS rows FROM new GROUP BY key) AS new USING (key)
"""
_IDS = pa.schema([("row", pa.int64()), ("id", pa.string()), ("key", pa.binary())])


class Encoded(Protocol):
    """What `difference` needs of an encoded batch."""

    @property
    def keys(self) -> pa.BinaryArray: ...

    @property
    def event_ids(self) -> pa.StringArray | None: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Difference:
    """`rows`: rows of the target to publish (ascending row numbers). `replaced`: how many base rows without a
    partner are replaced by a row of the same key among `rows`. `gone`: how many are not. `keys`: keys that no
    row of the target has any more; empty unless requested."""

    rows: pa.Int64Array
    gone: int
    keys: pa.BinaryArray
    replaced: int = 0


def difference(
    base: Iterable[Encoded],
    target: Iterable[Encoded],
    *,
    base_rows: int | None,
    memory_limit: str,
    with_keys: bool,
) -> Difference:
    """Compare the first `base_rows` rows of `base` (None: all) with `target`.
    Both must be encoded with ids. Raises ScratchFull."""
    with scratch_folder("sluice-difference-") as folder:
        files = {"base": folder / "base.parquet", "target": folder / "target.parquet"}
        _write_ids(files["base"], base, limit=base_rows)
        _write_ids(files["target"], target)
        connection = duckdb.connect(config={"memory_limit": memory_limit, "temp_directory": str(folder)})
        try:
            for name, path in files.items():
                connection.execute(
                    f"CREATE VIEW {name} AS SELECT *, row_number() OVER (PARTITION BY id ORDER BY row) AS nth "
                    f"FROM read_parquet('{path}')"
                )
            for made, of, other in (("new", "target", "base"), ("lost", "base", "target")):
                connection.execute(
                    f"CREATE TABLE {made} AS SELECT row, key FROM {of} ANTI JOIN {other} USING (id, nth)"
                )
            found = _column(connection, "SELECT row FROM new ORDER BY row")
            lost = _column(connection, "SELECT count(*) FROM lost")[0].as_py()
            replaced = _column(connection, _REPLACED)[0].as_py() if lost and len(found) else 0
            keys = pa.array([], pa.binary())
            if with_keys:
                vanished = "SELECT DISTINCT key FROM base ANTI JOIN target USING (key) ORDER BY key"
                keys = _column(connection, vanished).cast(pa.binary())
        finally:
            connection.close()
    return Difference(found, lost - replaced, keys, replaced)


def _column(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Array:
    table: pa.Table = connection.sql(sql).to_arrow_table()
    return table.column(0).combine_chunks()


def _write_ids(path: Path, encoded: Iterable[Encoded], limit: int | None = None) -> None:
    row = 0
    with pq.ParquetWriter(path, _IDS, compression="none", use_dictionary=False) as out:
        for batch in encoded:
            size = len(batch) if limit is None else min(len(batch), limit - row)
            if size <= 0 and limit is not None and row >= limit:
                break
            if batch.event_ids is None:
                raise ValueError("batches must be encoded with_ids=True")
            numbers = pa.array(np.arange(row, row + size))
            columns = [numbers, batch.event_ids.slice(0, size), batch.keys.slice(0, size)]
            out.write_batch(pa.record_batch(columns, schema=_IDS))
            row += size


def take_rows(batches: Iterable[pa.RecordBatch], rows: pa.Int64Array) -> Iterator[pa.RecordBatch]:
    """The rows with these ascending numbers, batch by batch; no batch is empty."""
    wanted = rows.to_numpy()
    first = 0
    for batch in batches:
        low, high = np.searchsorted(wanted, [first, first + batch.num_rows])
        if high > low:
            yield batch.take(pa.array(wanted[low:high] - first))
        first += batch.num_rows
