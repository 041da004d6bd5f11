"""DuckDB engines with one file attached read-only: one for each kind of work, opened when it is first needed.

An engine's memory grows with its threads, because each thread has its own rows in progress, and with the
blocks of the file that it keeps. Joins and aggregations need threads. For the rows of one table, one thread
reads faster than the rows are stored. One thread sorts them with a third less memory. If it only passes rows
on, it needs no memory but the block that it reads.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import duckdb

from resources.errors import TransientError
from resources.settings import variable
from resources.warehouse.duckdb.errors import first_lines
from resources.warehouse.errors import WarehouseError
from resources.warehouse.names import quoted


class Work(Enum):
    """What an engine is used for."""

    ANYTHING = "anything"
    SORTING = "the rows of one table"
    SORTING_LONG = "the rows of one table, of some two hundred bytes and more"
    SORTING_WIDE = "the rows of one table, where that does not do"
    PASSING = "the rows of one table as they lie"


# Parts of the memory limit. A sort fills the memory that it may have, whatever it needs. Rows that are only
# passed on need the blocks of their columns, and more memory would only keep old blocks.
_SHARES = {Work.SORTING: 0.375, Work.SORTING_LONG: 0.5, Work.SORTING_WIDE: 1.0, Work.PASSING: 0.125}
# Buffer for rows that wait for the reader. DuckDB's default of 10 MB is for readers that make long pauses.
_WAITING = "2MB"
# Names of DuckDB's own databases and schemas: a file with such a name is attached under another name.
_RESERVED = {"memory", "system", "temp", "main", "information_schema", "pg_catalog"}
_UNITS = {unit: 1024.0**power for power, unit in enumerate(("bytes", "KiB", "MiB", "GiB", "TiB", "PiB"))}


class Engines:
    """The engines for the file at `path`, with `memory_limit`, or less if less is
    enough. Close them after use."""

    def __init__(self, path: Path, memory_limit: str) -> None:
        self._path, self._memory_limit = path, memory_limit
        self._opened: dict[Work, tuple[duckdb.DuckDBPyConnection, tempfile.TemporaryDirectory[str]]] = {}
        self._in_use: Counter[Work] = Counter()
        self._cursors: list[duckdb.DuckDBPyConnection] = []

    @property
    def catalog(self) -> str:
        """DuckDB's own name for the database: the file's name without suffix, so
        that `sales.main.orders` works."""
        stem = self._path.stem
        return f"{stem}_file" if stem.lower() in _RESERVED else stem

    def get(self, work: Work) -> duckdb.DuckDBPyConnection:
        """A connection to the engine for this work. Raises WarehouseError, and TransientError if
        a writer has the file open."""
        if work not in self._opened:
            self._opened[work] = self._open(work)
        return self._opened[work][0]

    def memory(self, work: Work) -> float:
        """The bytes of memory that the engine for this work may use. Raises as `get` does."""
        return _memory(self.get(Work.ANYTHING)) * _SHARES.get(work, 1)

    def _open(self, work: Work) -> tuple[duckdb.DuckDBPyConnection, tempfile.TemporaryDirectory[str]]:
        if not self._path.exists():
            raise WarehouseError(
                str(self._path),
                "there is no such DuckDB file",
                next_step=f"`sluice up` builds the sample warehouse; or set {variable('warehouse.default')}=duckdb:///path",
            )
        spill = tempfile.TemporaryDirectory(prefix="sluice-duckdb-")
        connection: duckdb.DuckDBPyConnection | None = None
        try:
            connection = duckdb.connect(
                config={"memory_limit": self._memory_limit, "temp_directory": spill.name}
            )
            if work in _SHARES:
                connection.execute("SET threads = 1")
                connection.execute(f"SET memory_limit = '{_memory(connection) * _SHARES[work]:.0f} bytes'")
            # Instants are returned as UTC, whatever the time zone of this machine is.
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            path = str(self._path).replace("'", "''")
            connection.execute(f"ATTACH '{path}' AS {quoted(self.catalog)} (READ_ONLY)")
        except duckdb.Error as error:
            if connection is not None:
                connection.close()
            spill.cleanup()
            if isinstance(error, duckdb.IOException) and "lock" in str(error).lower():
                raise TransientError(
                    str(self._path),
                    f"cannot be opened: {first_lines(error)}",
                    next_step="a writer holds DuckDB's lock: close it, or read from a copy",
                ) from None
            raise WarehouseError(str(self._path), f"cannot be opened: {first_lines(error)}") from None
        return connection, spill

    @contextmanager
    def cursor(self, work: Work) -> Iterator[duckdb.DuckDBPyConnection]:
        """A separate cursor for each query: two open readers on one connection would stop each other."""
        cursor = self.get(work).cursor()
        self._in_use[work] += 1
        self._cursors.append(cursor)
        try:
            cursor.execute(f"SET streaming_buffer_size = '{_WAITING}'")
            yield cursor
        finally:
            self._in_use[work] -= 1
            self._cursors.remove(cursor)
            cursor.close()

    def interrupt(self) -> None:
        """End what each cursor is doing; from any thread."""
        for cursor in list(self._cursors):
            cursor.interrupt()

    def give_back(self) -> None:
        """Close the engines for single tables that no query uses, because of the blocks that they keep. To
        open one again takes milliseconds."""
        for work in set(self._opened) - {Work.ANYTHING}:
            if not self._in_use[work]:
                self._close(work)

    def _close(self, work: Work) -> None:
        connection, spill = self._opened.pop(work)
        connection.close()
        spill.cleanup()

    def close(self) -> None:
        """Close all engines and remove their spilled files."""
        for work in list(self._opened):
            self._close(work)


def _memory(connection: duckdb.DuckDBPyConnection) -> float:
    found = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    size, unit = str(found[0][0]).split()
    return float(size) * _UNITS[unit]
