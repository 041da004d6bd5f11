"""The newest record of each key on a topic, by the order of the log. Kept on disk."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.encoding.headers import MARK
from resources.kafka.factory import Record

_ROWS = pa.schema([("row", pa.int64()), ("key", pa.binary()), ("instant", pa.int64())])
_STANDING = pa.schema([("key", pa.binary()), ("instant", pa.int64())])
_LOG = pa.schema(
    [
        ("key", pa.binary()),
        ("kafka_partition", pa.int32()),
        ("place", pa.int64()),
        ("stamp", pa.int64()),
        ("value", pa.binary()),
        ("withdrawn", pa.bool_()),
    ]
)
_DECODED = 10_000

InstantOf = Callable[[bytes | None, int], int]
"""Returns the event time, in microseconds, of a value and its record timestamp in milliseconds."""

WindowOf = Callable[[int], object]
"""Returns a value that identifies the window of an instant in microseconds."""

Row = tuple[pa.Array, pa.Array]
"""Keys (binary) and event times (int64 microseconds) of a batch, row for row."""


def is_withdrawal(record: Record) -> bool:
    """Whether the record is a tombstone of Sluice's own.
    It says that one window lost the row, and nothing about other windows."""
    return record.value() is None and any(header[0] == MARK for header in record.headers() or ())


class LatestValues:
    """Records of a topic in a DuckDB file; memory is bounded by `memory_limit`, disk by the topic's size.

    Use as a context manager.
    """

    def __init__(self, memory_limit: str, instant_of: InstantOf) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sluice-standing-")
        self._instant_of = instant_of
        self._connection = duckdb.connect(
            str(Path(self._folder.name) / "log.duckdb"),
            config={"memory_limit": memory_limit, "temp_directory": self._folder.name, "threads": 1},
        )
        self._connection.execute(
            "CREATE TABLE log (key BLOB, kafka_partition INTEGER, place BIGINT, stamp BIGINT, value BLOB, withdrawn BOOLEAN)"
        )

    def add(self, records: Iterable[Record]) -> None:
        """Add records, for each kafka_partition in the order of its log."""
        columns: list[list[object]] = [[] for _ in _LOG]
        for record in records:
            key, value, stamp = record.key(), record.value(), record.timestamp()[1]
            if key is not None:
                told = (key, record.partition(), record.offset(), stamp, value, is_withdrawal(record))
                for column, one in zip(columns, told, strict=True):
                    column.append(one)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _LOG, strict=True)]
        batch = pa.Table.from_arrays(arrays, schema=_LOG)
        self._connection.register("batch", batch)
        self._connection.execute("INSERT INTO log SELECT * FROM batch")
        self._connection.unregister("batch")

    def stale(
        self,
        rows: Iterable[Row],
        before: Iterable[Row] = (),
        after: Iterable[Row] = (),
        *,
        window_of: WindowOf | None = None,
    ) -> pa.Int64Array:
        """Numbers of the `rows` whose key has a newer value on the topic, ascending.

        `window_of`: returns the window of an instant; given if the warehouse holds the `rows` now. Then a
        tombstone of Sluice's own is no newer value: it withdrew the key's record of one window, so the
        records of the other windows count.

        `before` and `after`: keys and event times of this window's events before a correction and after it. A
        value that is gone between them is no reason to leave a row out. Neither is a value that is among the
        `rows`, since it is about to be sent again.
        """
        folder = Path(self._folder.name)
        files = {
            "rows": folder / "rows.parquet",
            "before": folder / "before.parquet",
            "after": folder / "after.parquet",
            "standing": folder / "s.parquet",
        }
        _write(files["rows"], rows)
        _write(files["before"], before)
        _write(files["after"], after)
        self._write_standing(files["rows"], files["standing"], window_of)
        query = f"""
            WITH overwritten AS (
                SELECT before.key, before.instant FROM read_parquet('{files["before"]}') AS before
                ANTI JOIN read_parquet('{files["after"]}') AS after
                    ON after.key = before.key AND after.instant = before.instant
                UNION ALL SELECT key, instant FROM read_parquet('{files["rows"]}')
            ), newest AS (
                SELECT key, max(instant) AS instant FROM read_parquet('{files["standing"]}') AS found
                ANTI JOIN overwritten ON overwritten.key = found.key AND overwritten.instant = found.instant
                GROUP BY key
            )
            SELECT ours.row FROM read_parquet('{files["rows"]}') AS ours JOIN newest USING (key)
            WHERE newest.instant > ours.instant ORDER BY ours.row
        """
        table: pa.Table = self._connection.sql(query).to_arrow_table()
        return table.column(0).combine_chunks().cast(pa.int64())

    def newest(self, keys: Iterable[pa.Array]) -> Iterator[pa.RecordBatch]:
        """The newest record of each key in each kafka_partition that has one: `row`, the number of the key
        from 0; `kafka_partition`; `place`, its offset; `instant`, null for a tombstone."""
        path = Path(self._folder.name) / "keys.parquet"
        _write(path, ((batch, pa.array([0] * len(batch), pa.int64())) for batch in keys))
        # As a struct: max_by alone ignores nulls, and a tombstone has no value.
        reader = self._connection.sql(f"""
            SELECT row, kafka_partition, max(place),
                max_by(struct_pack(stamp := stamp, value := value), place) AS newest
            FROM log JOIN read_parquet('{path}') AS ours ON ours.key = log.key GROUP BY row, kafka_partition
        """).to_arrow_reader(_DECODED)
        for batch in reader:
            instants = [
                None if one["value"] is None else self._instant_of(one["value"], one["stamp"])
                for one in batch.column(3).to_pylist()
            ]
            columns = [batch.column(0), batch.column(1), batch.column(2), pa.array(instants, pa.int64())]
            yield pa.record_batch(columns, names=["row", "kafka_partition", "place", "instant"])

    def _write_standing(self, rows: Path, path: Path, window_of: WindowOf | None) -> None:
        # As a struct: max_by alone ignores nulls, and a tombstone has no value.
        reader = self._connection.sql(f"""
            SELECT key, newest.stamp AS stamp, newest.value AS value FROM (
                SELECT key, max_by(struct_pack(stamp := stamp, value := value, withdrawn := withdrawn), place) AS newest
                FROM log SEMI JOIN read_parquet('{rows}') AS ours ON ours.key = log.key GROUP BY key, kafka_partition
            ) WHERE NOT ({window_of is not None} AND newest.withdrawn)
        """).to_arrow_reader(_DECODED)
        with pq.ParquetWriter(path, _STANDING, compression="none", use_dictionary=False) as out:
            for batch in reader:
                stamps, values = batch.column(1).to_pylist(), batch.column(2).to_pylist()
                instants = [self._instant_of(v, s) for v, s in zip(values, stamps, strict=True)]
                keys = batch.column(0).cast(pa.binary())
                out.write_batch(pa.record_batch([keys, pa.array(instants, pa.int64())], schema=_STANDING))
            if window_of is not None:
                for batch in self._beside_withdrawn(rows, window_of):
                    out.write_batch(batch)

    def _beside_withdrawn(self, rows: Path, window_of: WindowOf) -> Iterator[pa.RecordBatch]:
        """For keys whose newest record is a tombstone of ours:
        the values of windows other than the one that it withdrew."""
        reader = self._connection.sql(f"""
            SELECT key, kafka_partition, stamp, value FROM (
                SELECT *, max_by(withdrawn, place) OVER (PARTITION BY key, kafka_partition) AS last_withdrawn
                FROM log SEMI JOIN read_parquet('{rows}') AS ours ON ours.key = log.key
            ) WHERE last_withdrawn AND value IS NOT NULL ORDER BY key, kafka_partition, place DESC
        """).to_arrow_reader(_DECODED)
        of, taken_back = None, None
        for batch in reader:
            keys: list[bytes] = []
            instants: list[int] = []
            for key, kafka_partition, stamp, value in zip(
                *(c.to_pylist() for c in batch.columns), strict=True
            ):
                instant = self._instant_of(value, stamp)
                if of != (
                    key,
                    kafka_partition,
                ):  # the record before the tombstone is the one that it withdrew
                    of, taken_back = (key, kafka_partition), window_of(instant)
                if window_of(instant) != taken_back:
                    keys.append(key)
                    instants.append(instant)
            yield pa.record_batch(
                [pa.array(keys, pa.binary()), pa.array(instants, pa.int64())], schema=_STANDING
            )

    def close(self) -> None:
        """Delete the file."""
        self._connection.close()
        self._folder.cleanup()

    def __enter__(self) -> "LatestValues":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _write(path: Path, rows: Iterable[Row]) -> None:
    first = 0
    with pq.ParquetWriter(path, _ROWS, compression="none", use_dictionary=False) as out:
        for batch in _numbered(rows, first):
            out.write_batch(batch)


def _numbered(rows: Iterable[Row], first: int) -> Iterator[pa.RecordBatch]:
    for keys, at in rows:
        numbers = pa.array(range(first, first + len(keys)), pa.int64())
        yield pa.record_batch([numbers, keys.cast(pa.binary()), at.cast(pa.int64())], schema=_ROWS)
        first += len(keys)
