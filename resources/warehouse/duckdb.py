"""DuckDB behind the warehouse protocol.

The file is attached read-only to an engine of our own, so any number of runs may read it at once, in one
process too (a second connection to the file itself would have to have the very same configuration), and
each query sorts in bounded memory (`memory_limit`, spilling to a temporary folder).
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from resources.errors import PassingFault, did_you_mean
from resources.warehouse.protocol import Column, WarehouseError


class DuckDBWarehouse:
    """A DuckDB file. `path` is the part of the URL after `duckdb://`."""

    dialect = "duckdb"
    parameter_style: Literal["duckdb"] = "duckdb"

    def __init__(self, path: str, *, memory_limit: str = "128MB") -> None:
        # duckdb:///var/x is absolute, duckdb:////var/x too; duckdb://x is relative to where one stands.
        self._path = Path("/" + path.lstrip("/")) if path.startswith("/") else Path(path)
        self._memory_limit = memory_limit
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._spill: tempfile.TemporaryDirectory[str] | None = None

    @property
    def _where(self) -> str:
        return f"warehouse {self._path.name}"

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._connection is not None:
            return self._connection
        if not self._path.exists():
            raise WarehouseError(
                str(self._path),
                "there is no such DuckDB file",
                next_step="`sluice up` builds the sample warehouse; or set SLUICE_WAREHOUSE_DEFAULT=duckdb:///path",
            )
        spill = tempfile.TemporaryDirectory(prefix="sluice-duckdb-")
        connection: duckdb.DuckDBPyConnection | None = None
        try:
            connection = duckdb.connect(
                config={"memory_limit": self._memory_limit, "temp_directory": spill.name}
            )
            path = str(self._path).replace("'", "''")
            connection.execute(f"ATTACH '{path}' AS {_quoted(self._catalog)} (READ_ONLY)")
        except duckdb.Error as error:
            if connection is not None:
                connection.close()
            spill.cleanup()
            if isinstance(error, duckdb.IOException) and "lock" in str(error).lower():
                raise PassingFault(
                    str(self._path),
                    f"cannot be opened: {_first_line(error)}",
                    next_step="a writer holds DuckDB's lock: close it, or read from a copy",
                ) from None
            raise WarehouseError(str(self._path), f"cannot be opened: {_first_line(error)}") from None
        self._connection, self._spill = connection, spill
        return connection

    @property
    def _catalog(self) -> str:
        """What DuckDB itself would call the database: the file's name, so that `sales.main.orders` works."""
        stem = self._path.stem
        return f"{stem}_file" if stem.lower() in ("memory", "system", "temp") else stem

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        # A cursor per query: two open readers on one connection would cut each other off.
        cursor = self._open().cursor()
        try:
            cursor.execute(f"USE {_quoted(self._catalog)}")
            # Instants leave as UTC whatever zone this machine is in.
            cursor.execute("SET TimeZone = 'UTC'")
            yield cursor
        finally:
            cursor.close()

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        """See Warehouse."""
        with self._query(f"SELECT * FROM (\n{sql}\n) AS source LIMIT 0", parameters, 1) as reader:
            return reader.schema

    @contextmanager
    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """See Warehouse."""
        names = self.describe(sql, parameters).names
        order = [*order_by, *(name for name in names if name not in order_by)]
        columns = ", ".join(_quoted(name) for name in order)
        ordered = f"SELECT * FROM (\n{sql}\n) AS source ORDER BY {columns}"
        with self._query(ordered, parameters, batch_rows) as reader:
            yield self._batches(reader)

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise _refused(self._where, error) from None
            yield batch

    @contextmanager
    def _query(
        self, sql: str, parameters: Mapping[str, datetime], batch_rows: int
    ) -> Iterator[pa.RecordBatchReader]:
        with self._cursor() as cursor:
            try:
                relation = cursor.sql(sql, params=dict(parameters)) if parameters else cursor.sql(sql)
                # The relation streams; cursor.execute(...) would hold the whole result first.
                reader = relation.to_arrow_reader(batch_rows)
            except duckdb.Error as error:
                raise _refused(self._where, error) from None
            try:
                yield reader
            finally:
                with suppress(duckdb.Error, pa.ArrowException):
                    reader.close()

    def tables(self) -> list[str]:
        """Names of the tables and views, qualified when not in the main schema."""
        with self._cursor() as cursor:
            rows = cursor.execute(
                "SELECT table_schema, table_name FROM information_schema.tables"
                " WHERE table_catalog = current_catalog() ORDER BY ALL"
            ).fetchall()
        return [name if schema == "main" else f"{schema}.{name}" for schema, name in rows]

    def columns(self, table: str) -> list[Column]:
        """See Warehouse."""
        known = self.tables()
        if table not in known:
            raise WarehouseError(
                self._where,
                f"there is no table {table!r}.{did_you_mean(table, known)}",
                allowed=", ".join(known),
            )
        quoted = ".".join(_quoted(part) for part in table.split("."))
        with self._cursor() as cursor:
            described = cursor.execute(f"DESCRIBE {quoted}").fetchall()
        nullable = {name: null != "NO" for name, _, null, *_ in described}
        schema = self.describe(f"SELECT * FROM {quoted}", {})
        return [Column(field.name, field.type, nullable[field.name]) for field in schema]

    def close(self) -> None:
        """See Warehouse."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._spill is not None:
            self._spill.cleanup()
            self._spill = None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _refused(where: str, error: Exception) -> WarehouseError:
    return WarehouseError(where, f"the query was refused: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """The engine's own words with its pointer to the place, without its trailing dump."""
    return " ".join(line.strip() for line in str(error).splitlines()[:3] if line.strip())
