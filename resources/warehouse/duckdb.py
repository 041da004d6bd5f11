"""DuckDB behind the warehouse protocol.

The file is opened read-only, so any number of runs may read it at once, and each query sorts in bounded
memory (`memory_limit`, spilling to a temporary folder).
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from resources.errors import PassingFault, did_you_mean
from resources.warehouse.protocol import Column, WarehouseError


class DuckDBWarehouse:
    """A DuckDB file. `path` is the part of the URL after `duckdb://`."""

    dialect = "duckdb"

    def __init__(self, path: str, *, memory_limit: str = "512MB") -> None:
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
        self._spill = tempfile.TemporaryDirectory(prefix="sluice-duckdb-")
        try:
            self._connection = duckdb.connect(
                str(self._path),
                read_only=True,
                config={"memory_limit": self._memory_limit, "temp_directory": self._spill.name},
            )
        except duckdb.IOException as error:
            raise PassingFault(
                str(self._path),
                f"cannot be opened: {_first_line(error)}",
                next_step="a writer holds DuckDB's lock: close it, or read from a copy",
            ) from None
        # Instants leave as UTC whatever zone this machine is in.
        self._connection.execute("SET TimeZone = 'UTC'")
        return self._connection

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
        columns = ", ".join('"' + name.replace('"', '""') + '"' for name in order)
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
        # A cursor per query: two open readers on one connection would cut each other off.
        cursor = self._open().cursor()
        try:
            cursor.execute("SET TimeZone = 'UTC'")
            relation = cursor.sql(sql, params=dict(parameters)) if parameters else cursor.sql(sql)
            # The relation streams; cursor.execute(...) would hold the whole result first.
            reader = relation.to_arrow_reader(batch_rows)
        except duckdb.Error as error:
            cursor.close()
            raise _refused(self._where, error) from None
        try:
            yield reader
        finally:
            with suppress(duckdb.Error, pa.ArrowException):
                reader.close()
            cursor.close()

    def tables(self) -> list[str]:
        """Names of the tables, qualified when not in the main schema."""
        rows = self._open().execute(
            "SELECT table_schema, table_name FROM information_schema.tables ORDER BY ALL"
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
        quoted = ".".join(f'"{part}"' for part in table.split("."))
        nullable = {
            name: null != "NO"
            for name, _, null, *_ in self._open().execute(f"DESCRIBE {quoted}").fetchall()
        }
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


def _refused(where: str, error: Exception) -> WarehouseError:
    return WarehouseError(where, f"the query was refused: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """The engine's own words with its pointer to the place, without its trailing dump."""
    return " ".join(line.strip() for line in str(error).splitlines()[:3] if line.strip())
