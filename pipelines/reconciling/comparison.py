"""Compares two multisets of records on disk. Memory does not grow with them.

A content that occurs equally often on both sides needs no further look. For the other contents, copies are
paired from the last one backwards, because a topic deletes from the front.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.encoding import murmur2
from pipelines.reconciling.expected import Records
from pipelines.reconciling.log import Committed
from pipelines.reconciling.records.content import Checksum, content_hashes
from pipelines.reconciling.records.pieces import Piece
from pipelines.reconciling.records.placement import Sent, placement
from pipelines.reconciling.records.stamps import Stamps
from resources.process.memory import GivingBack

_EXPECTED = pa.schema(
    [
        ("row", pa.int64()), ("h1", pa.uint64()), ("h2", pa.uint64()), ("place", pa.uint32()),
        ("tombstone", pa.bool_()), ("key", pa.large_binary()), ("stamp", pa.int64()),
    ]
)  # fmt: skip
_FOUND = pa.schema(
    [
        ("kafka_partition", pa.int32()), ("log_offset", pa.int64()), ("h1", pa.uint64()), ("h2", pa.uint64()),
        ("key", pa.large_binary()), ("stamp", pa.int64()), ("generation", pa.int32()),
    ]
)  # fmt: skip
_STATE = pa.schema(
    [("row", pa.int64()), ("h1", pa.uint64()), ("h2", pa.uint64()), ("key", pa.large_binary())]
)
_LATER = pa.schema([("kafka_partition", pa.int32()), ("log_offset", pa.int64()), ("key", pa.large_binary())])

# DuckDB's `fetchall` gives Any: the query decides the types of a row's values.
_Row = tuple[Any, ...]


@dataclass(frozen=True)
class LogRecord:
    """A record in the log: its key and its place."""

    key: bytes
    kafka_partition: int
    offset: int


class Comparison:
    """Expected and found records of one window, in a temporary folder. The folder is created with the first
    records and deleted at the end. Use as a context manager."""

    def __init__(self, memory_limit: str) -> None:
        self._memory_limit = memory_limit
        self._files: dict[str, tuple[pa.NativeFile, pa.RecordBatchFileWriter]] = {}
        self.expected, self.in_range, self._state = Checksum(), Checksum(), Checksum()
        self._p = "NULL"
        self._memory = GivingBack()

    @cached_property
    def _folder(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="sluice-reconcile-")

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        # Opened only if the sums differ: opening it costs more than reading a small window.
        return duckdb.connect(
            config={"memory_limit": self._memory_limit, "temp_directory": self._folder.name}
        )

    def add_expected(self, records: Records) -> None:
        """Add records that should be on the topic, in the order of publication."""
        first = self.expected.records
        hashes = content_hashes(records.keys, records.values)
        columns = [
            pa.array(np.arange(first, first + len(records))),
            *_halves(hashes),
            pa.array(murmur2(records.keys) & np.uint32(0x7FFFFFFF)),
            records.values.is_null(),
            records.keys.cast(pa.large_binary()),
            _stamps(records),
        ]
        self._write("expected", _EXPECTED, columns)
        self.expected.add(hashes)

    def add_state(self, records: Records) -> None:
        """Add records of the state that the topic should have now;
        each must be among the expected records."""
        first = self._state.records
        hashes = content_hashes(records.keys, records.values)
        numbers = pa.array(np.arange(first, first + len(records)))
        self._write("state", _STATE, [numbers, *_halves(hashes), records.keys.cast(pa.large_binary())])
        self._state.add(hashes)

    def add_found(self, records: Committed, *, generation: int = 0) -> None:
        """Add committed records of the pieces of `generation`, in the order of the log."""
        hashes = content_hashes(records.keys, records.values)
        columns = [
            pa.array(records.kafka_partitions),
            pa.array(records.offsets),
            *_halves(hashes),
            records.keys,
            _stamps(records),
            pa.array(np.full(len(records), generation, np.int32)),
        ]
        self._write("found", _FOUND, columns)
        self.in_range.add(hashes)

    @property
    def equal(self) -> bool:
        """True if the pieces hold exactly the expected records and nothing else."""
        return self.expected == self.in_range

    def never_sent(self, most: int) -> tuple[int, list[bytes]]:
        """How many records of the state are not among the expected ones, and the first keys;
        call it before `compare`."""
        if not self._state.records:
            return 0, []
        self._seal("expected", _EXPECTED)
        self._seal("state", _STATE)
        self._run(
            """CREATE TEMP TABLE never_sent AS SELECT row, key FROM (
                SELECT s.*, row_number() OVER (PARTITION BY h1, h2 ORDER BY row) AS nth FROM state s
            ) LEFT JOIN (SELECT h1, h2, count(*) AS n FROM expected GROUP BY ALL) USING (h1, h2)
            WHERE nth > coalesce(n, 0)"""
        )
        named = self._rows(f"SELECT key FROM never_sent ORDER BY row LIMIT {most}")
        return self._count("never_sent"), [bytes(key) for (key,) in named]

    def compare(self) -> tuple[Checksum, int]:
        """Count and checksum of the found records with an expected content, and the number of surplus copies
        among them. After this call, `absent` counts the expected records without a partner."""
        self._seal("expected", _EXPECTED)
        self._seal("found", _FOUND)
        self._run(
            """CREATE TEMP TABLE deviating AS
            SELECT h1, h2, e.n AS expected, coalesce(f.n, 0) AS found
            FROM (SELECT h1, h2, count(*) AS n FROM expected GROUP BY ALL) e
            LEFT JOIN (SELECT h1, h2, count(*) AS n FROM found GROUP BY ALL) f USING (h1, h2)
            WHERE e.n IS DISTINCT FROM f.n"""
        )
        self._run(
            """CREATE TEMP TABLE absent AS SELECT row, place, tombstone, key FROM (
                SELECT e.*, d.expected - d.found AS lacking, row_number() OVER (PARTITION BY h1, h2 ORDER BY row) AS nth
                FROM expected e JOIN deviating d USING (h1, h2) WHERE d.expected > d.found
            ) WHERE nth <= lacking"""
        )
        self._run("CREATE TEMP TABLE lacking AS SELECT row FROM absent")
        self._run(
            """CREATE TEMP TABLE surplus AS SELECT kafka_partition, log_offset, key FROM (
                SELECT f.*, d.found - d.expected AS beyond,
                    row_number() OVER (PARTITION BY h1, h2 ORDER BY kafka_partition DESC, log_offset DESC) AS nth
                FROM found f JOIN deviating d USING (h1, h2) WHERE d.found > d.expected
            ) WHERE nth <= beyond"""
        )
        (own,) = self._rows(
            "SELECT count(*), coalesce(sum(h1), 0), coalesce(sum(h2), 0) FROM found SEMI JOIN expected USING (h1, h2)"
        )
        return Checksum.of_sums(*map(int, own)), self._count("surplus")

    def stamps(self) -> list[Stamps]:
        """For each generation, a summary of the timestamps of the found records with an expected content."""
        self._seal("expected", _EXPECTED)
        self._seal("found", _FOUND)
        self._run(
            """CREATE OR REPLACE TEMP TABLE stamped AS
            SELECT f.generation, f.kafka_partition, f.log_offset, f.key, f.stamp,
                f.stamp IS NOT NULL AND NOT list_contains(e.stamps, f.stamp) AS other
            FROM found f JOIN (  -- several, where generations were stamped by different fields
                SELECT h1, h2, list(DISTINCT stamp) AS stamps FROM expected WHERE stamp IS NOT NULL GROUP BY ALL
            ) e USING (h1, h2)"""
        )
        counted = self._rows(
            """SELECT generation, count(*), count(*) FILTER (other), count(*) FILTER (stamp IS NULL)
            FROM stamped GROUP BY generation ORDER BY generation"""
        )
        return [Stamps(generation, events, other, brokers) for generation, events, other, brokers in counted]

    def some_other_stamps(self, generation: int, most: int) -> list[LogRecord]:
        """The first records of a generation with another timestamp; call it after `stamps`."""
        return _standing(
            self._rows(
                f"""SELECT key, kafka_partition, log_offset FROM stamped WHERE other AND generation = {generation}
                ORDER BY kafka_partition, log_offset LIMIT {most}"""
            )
        )

    @property
    def absent(self) -> int:
        """The number of expected records without a partner that no rule has explained yet."""
        return self._count("absent")

    def locate(self, generations: Sequence[Sent], now: int) -> None:
        """Find the kafka_partition of each expected record; call it after `compare`. `now`: the present
        number of kafka_partitions."""
        self._p = placement(self._rows, generations, now)

    def take_deleted(self, deleted: Mapping[int, int]) -> int:
        """Explain absent records by retention, and return their number: they were in the first `deleted`
        offsets of their kafka_partition's pieces, before every record of the window that is still there."""
        self._run("CREATE OR REPLACE TEMP TABLE lows (p BIGINT, deleted BIGINT)")
        self._connection.executemany("INSERT INTO lows VALUES (?, ?)", list(deleted.items()))
        self._run(
            f"""CREATE OR REPLACE TEMP TABLE accounted AS
            WITH ranked AS (
                SELECT row, p, row_number() OVER (PARTITION BY p ORDER BY row) AS nth
                FROM (SELECT row, {self._p} AS p FROM expected) SEMI JOIN lows USING (p)
            ), kept AS (SELECT p, min(row) AS first FROM ranked ANTI JOIN absent USING (row) GROUP BY p)
            SELECT row FROM ranked SEMI JOIN absent USING (row) JOIN lows USING (p) LEFT JOIN kept USING (p)
            WHERE nth <= lows.deleted AND (kept.first IS NULL OR row < kept.first)"""
        )
        return self._account()

    def add_later(self, records: Committed) -> None:
        """Add records between and after the pieces, which may have superseded a key since."""
        columns = [pa.array(records.kafka_partitions), pa.array(records.offsets), records.keys]
        self._write("later", _LATER, columns)

    def take_compacted(self, pieces: Iterable[Piece], *, expired_rows: int) -> int:
        """Explain absent records by compaction, and return their number: the log has a later record of the
        key, and at the place of the absent record there are offsets without a record. Tombstones among the
        first `expired_rows` expected records need no later record. `pieces`: what was read of the log, in its
        order."""
        self._seal("later", _LATER)
        self._run(
            "CREATE OR REPLACE TEMP TABLE pieces (p BIGINT, first BIGINT, beyond BIGINT, before BIGINT)"
        )
        before: dict[int, int] = {}
        for piece in pieces:
            p = piece.kafka_partition
            self._connection.execute(
                "INSERT INTO pieces VALUES (?, ?, ?, ?)", [p, piece.first, piece.end, before.get(p, 0)]
            )
            before[p] = before.get(p, 0) + piece.end - piece.first
        # `vacant`: how many offsets of the kafka_partition's pieces before this one hold no readable record.
        # Between two records of the window it grows by what compaction removed there, by transaction markers
        # and by aborted records. So it is an upper bound of what compaction can have removed. A record that
        # was never written left no offset.
        self._run(
            f"""CREATE OR REPLACE TEMP TABLE accounted AS
            WITH vacancies AS (
                SELECT kafka_partition AS p, log_offset, h1, h2, before + log_offset - first
                    - (row_number() OVER (PARTITION BY kafka_partition ORDER BY log_offset) - 1) AS vacant
                FROM found JOIN pieces
                ON found.kafka_partition = pieces.p AND log_offset >= first AND log_offset < beyond
            ),
            totals AS (
                SELECT p, max(before + beyond - first) - coalesce(any_value(n), 0) AS vacant
                FROM pieces LEFT JOIN (SELECT p, count(*) AS n FROM vacancies GROUP BY p) USING (p) GROUP BY p
            ),
            present AS (  -- the window's records that are there, each with its own place
                SELECT row, key, p, log_offset, vacant FROM (
                    SELECT row, key, h1, h2, row_number() OVER (PARTITION BY h1, h2 ORDER BY row) AS nth
                    FROM expected ANTI JOIN lacking USING (row)
                ) JOIN (
                    SELECT *, row_number() OVER (PARTITION BY h1, h2 ORDER BY log_offset) AS nth
                    FROM vacancies SEMI JOIN expected USING (h1, h2)
                ) USING (h1, h2, nth)
            ),
            newest AS (
                SELECT p, key, max(log_offset) AS log_offset FROM (
                    SELECT kafka_partition AS p, key, log_offset FROM later
                    UNION ALL SELECT kafka_partition, key, log_offset FROM found
                ) SEMI JOIN absent USING (key) GROUP BY ALL
            ),
            placed AS (  -- an absent record stood behind what went before it, and before what follows
                SELECT a.row, a.key, a.p, a.tombstone, a.row < {expired_rows} AS old,
                    coalesce(b.log_offset, -1) AS behind, coalesce(b.row, -1) AS behind_row,
                    coalesce(n.vacant, totals.vacant) - coalesce(b.vacant, 0) AS room
                FROM (SELECT *, {self._p} AS p FROM absent) a
                ASOF LEFT JOIN present b ON a.p = b.p AND a.row > b.row
                ASOF LEFT JOIN present n ON a.p = n.p AND a.row < n.row
                LEFT JOIN totals ON totals.p = a.p
            ),
            removable AS (
                SELECT placed.*, row_number() OVER (PARTITION BY placed.p, behind_row ORDER BY placed.row) AS nth
                FROM placed LEFT JOIN newest USING (p, key)
                WHERE newest.log_offset > behind OR (tombstone AND old)
            )
            SELECT row FROM removable WHERE nth <= room OR room < 0"""
        )
        return self._account()

    def _account(self) -> int:
        self._run("DELETE FROM absent WHERE row IN (SELECT row FROM accounted)")
        return self._count("accounted")

    def strangers(self, most: int) -> list[LogRecord]:
        """Found records without an expected content that have the key of an absent record,
        in the order of the log."""
        return _standing(
            self._rows(
                f"""SELECT key, kafka_partition, log_offset FROM found ANTI JOIN expected USING (h1, h2)
                SEMI JOIN absent USING (key) ORDER BY kafka_partition, log_offset LIMIT {most}"""
            )
        )

    def take_altered(self, own: Iterable[LogRecord]) -> list[LogRecord]:
        """Explain absent records by altered ones. `own`: records of the window with another content. Returns
        those of `own` that replace an absent record of their key, at most one for each absent record."""
        by_key: dict[bytes, list[LogRecord]] = {}
        for standing in own:
            by_key.setdefault(standing.key, []).append(standing)
        if not by_key:
            return []
        keys = pa.array(list(by_key), pa.large_binary())
        counts = pa.array([len(standings) for standings in by_key.values()])
        self._connection.register("own", pa.table({"key": keys, "n": counts}))
        self._run(
            """CREATE OR REPLACE TEMP TABLE accounted AS
            WITH ranked AS (
                SELECT row, key, row_number() OVER (PARTITION BY key ORDER BY row DESC) AS nth FROM absent SEMI JOIN own USING (key)
            )
            SELECT row, key FROM ranked JOIN own USING (key) WHERE nth <= n"""
        )
        self._connection.unregister("own")
        taken = {bytes(key): n for key, n in self._rows("SELECT key, count(*) FROM accounted GROUP BY key")}
        self._account()
        return [standing for key, n in taken.items() for standing in by_key[key][-n:]]

    def some_absent(self, most: int) -> list[tuple[bytes, int]]:
        """Key and kafka_partition of the first absent records."""
        return [
            (bytes(key), p)
            for key, p in self._rows(f"SELECT key, {self._p} FROM absent ORDER BY row LIMIT {most}")
        ]

    def some_surplus(self, most: int) -> list[LogRecord]:
        """The first surplus copies."""
        return _standing(
            self._rows(f"SELECT key, kafka_partition, log_offset FROM surplus ORDER BY 2, 3 LIMIT {most}")
        )

    def _write(self, name: str, schema: pa.Schema, columns: list[pa.Array]) -> None:
        if name not in self._files:
            # Arrow batches as they are in memory, not Parquet: the Parquet writer takes three times as long,
            # and it keeps something of each column of each batch until the end.
            file = pa.OSFile(str(self._path(name)), "wb")
            self._files[name] = file, pa.ipc.new_file(file, schema)
        self._files[name][1].write_batch(pa.record_batch(columns, schema=schema))
        self._memory.passed(len(columns[0]))

    def _seal(self, name: str, schema: pa.Schema) -> None:
        """Finish the file of `name`; nothing more can be added. From now on `name` is a view in DuckDB."""
        import pyarrow.dataset as ds  # imported here: hardly any window needs it

        if name not in self._files:
            self._write(name, schema, [pa.array([], field.type) for field in schema])
        file, writer = self._files[name]
        if not file.closed:
            writer.close()
            file.close()
        # Only a few batches at a time: they do not count towards DuckDB's memory limit.
        rows = ds.dataset(self._path(name), format="ipc").scanner(
            batch_readahead=2, fragment_readahead=1, use_threads=False
        )
        self._connection.register(name, rows)

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / f"{name}.arrow"

    def _run(self, sql: str) -> None:
        self._connection.execute(sql)

    def _rows(self, sql: str) -> list[_Row]:
        rows: list[_Row] = self._connection.execute(sql).fetchall()
        return rows

    def _count(self, table: str) -> int:
        return int(self._rows(f"SELECT count(*) FROM {table}")[0][0])

    def __enter__(self) -> "Comparison":
        return self

    def __exit__(self, *_: object) -> None:
        if "_connection" in self.__dict__:
            self._connection.close()
        for file, _ in self._files.values():
            with suppress(OSError):
                file.close()
        if "_folder" in self.__dict__:
            self._folder.cleanup()


def _stamps(records: Records | Committed) -> pa.Array:
    return pa.nulls(len(records), pa.int64()) if records.stamps is None else records.stamps


def _standing(rows: Iterable[tuple[bytes, int, int]]) -> list[LogRecord]:
    return [LogRecord(bytes(key), kafka_partition, offset) for key, kafka_partition, offset in rows]


def _halves(hashes: npt.NDArray[np.uint64]) -> list[pa.Array]:
    return [pa.array(half) for half in hashes]
