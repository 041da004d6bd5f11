"""The smallest warehouse that implements the protocol: SQLite with Python's own driver. Only for tests."""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import Timer

import pyarrow as pa

from resources.errors import did_you_mean
from resources.warehouse import (
    Column,
    ForeignKey,
    ParameterStyle,
    QueryCancelled,
    QueryCost,
    SourceTable,
    TableStatistics,
    WarehouseError,
    quoted,
)
from resources.warehouse.cancellation import Cancellation
from resources.warehouse.deadline import Deadline
from resources.warehouse.own_words import without_values
from resources.warehouse.plain_values import number_of, parameter_of
from resources.warehouse.refusal import RefusedType, refuse
from resources.warehouse.statistics import of_rows

_TYPES = {
    "BIGINT": pa.int64(),
    "INTEGER": pa.int64(),
    "TEXT": pa.string(),
    "DOUBLE PRECISION": pa.float64(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
}
_EPOCH = datetime(1970, 1, 1)


def text_of(instant: datetime) -> str:
    """An instant as this warehouse keeps it: text that sorts in time order."""
    return instant.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def writer(file: Path) -> sqlite3.Connection:
    """A connection that writes while others read."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


class SQLiteWarehouse:
    """A SQLite file."""

    dialect = "sqlite"
    holds_off_writers = False
    parameter_style: ParameterStyle = "named"

    def __init__(self, path: str) -> None:
        self.path, self._where = path, "warehouse shop"
        self._open: list[sqlite3.Connection] = []
        self._streaming: sqlite3.Connection | None = None
        self._deadline, self._cancellation = Deadline(), Cancellation()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(
            f"file:{self.path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        self._open.append(connection)
        try:
            yield connection
        finally:
            self._open.remove(connection)
            connection.close()

    def _interrupt(self) -> None:
        for connection in list(self._open):
            with suppress(sqlite3.Error):
                connection.interrupt()

    @contextmanager
    def _answering(self, sql: str) -> Iterator[None]:
        seconds = self._deadline.seconds_left
        timer = Timer(seconds, self._interrupt) if seconds is not None else None
        try:
            if timer:
                timer.start()
            with self._cancellation.running():
                yield
        except sqlite3.Error as error:
            if "interrupted" in str(error):
                if self._deadline.passed:
                    raise self._deadline.error(self._where) from None
                raise QueryCancelled(self._where) from None
            said = without_values(str(error), sql)
            raise WarehouseError(self._where, f"the query was refused: {said}") from None
        finally:
            if timer:
                timer.cancel()
                timer.join()

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        types = self.types(sql, parameters)
        refused = [
            RefusedType(name, kind, f"a column that is declared with one of the types {', '.join(_TYPES)}")
            for name, kind in types.items()
            if kind not in _TYPES
        ]
        refuse(self._where, refused)
        return pa.schema([(name, _TYPES[kind]) for name, kind in types.items()])

    def types(self, sql: str, parameters: Mapping[str, datetime]) -> dict[str, str]:
        with self._connected() as connection, self._answering(sql):
            connection.execute(f"CREATE TEMP VIEW described AS SELECT * FROM ({_written(sql, parameters)})")
            return {
                name: kind or "no type"
                for _, name, kind, *_ in connection.execute("PRAGMA table_info(described)")
            }

    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        return self._streamed(sql, parameters, order_by, batch_rows)

    @contextmanager
    def _streamed(
        self, sql: str, parameters: Mapping[str, datetime], order_by: Sequence[str], batch_rows: int
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        schema = self.describe(sql, parameters)
        order = [*order_by, *(name for name in schema.names if name not in order_by)]
        keys = ", ".join(f"{quoted(name)} IS NULL, {quoted(name)}" for name in order)
        with self._connected() as connection:
            connection.execute("BEGIN")
            with self._answering(sql):
                rows = connection.execute(f"SELECT * FROM ({sql}) ORDER BY {keys}", _bound(parameters))
            self._streaming = connection
            try:
                yield self._batches(sql, rows, schema, batch_rows)
            finally:
                self._streaming = None

    def _batches(
        self, sql: str, rows: sqlite3.Cursor, schema: pa.Schema, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        while True:
            with self._answering(sql):
                taken = list(islice(rows, batch_rows))
            if not taken:
                return
            columns = []
            for field, values in zip(schema, zip(*taken, strict=True), strict=True):
                convert = _reader(field.type)
                try:
                    columns.append(
                        pa.array([None if value is None else convert(value) for value in values], field.type)
                    )
                except (TypeError, ValueError, pa.ArrowException):
                    raise WarehouseError(
                        self._where, f"column {field.name} holds a value that is no {field.type}"
                    ) from None
            yield pa.record_batch(columns, schema=schema)

    def plain_rows(
        self,
        sql: str,
        parameters: Mapping[str, datetime],
        places: Mapping[str, Sequence[object]],
        *,
        most_rows: int,
        in_full: bool = False,  # noqa: ARG002 - it has no other way
    ) -> list[dict[str, object]]:
        schema = self.describe(sql, parameters)
        conditions, bound = [], dict[str, object](_bound(parameters))
        for n, (name, values) in enumerate(places.items()):
            for m, value in enumerate(values):
                made = parameter_of(value, schema.field(name).type)
                bound[f"p{n}_{m}"] = text_of(made) if isinstance(made, datetime) else made
            conditions.append(f"{quoted(name)} IN ({', '.join(f':p{n}_{m}' for m in range(len(values)))})")
        query = f"SELECT * FROM ({sql}) WHERE {' AND '.join(conditions) or 'TRUE'} LIMIT {most_rows + 1}"
        if self._streaming is not None:
            with self._answering(sql):
                found = self._streaming.execute(query, bound).fetchall()
        else:
            with self._connected() as connection, self._answering(sql):
                found = connection.execute(query, bound).fetchall()
        return [
            {field.name: _plain(value, field.type) for field, value in zip(schema, row, strict=True)}
            for row in found
        ]

    def tables(self) -> list[str]:
        with self._connected() as connection, self._answering(""):
            found = connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
            )
            return [name for (name,) in found]

    def table(self, name: str) -> SourceTable:
        known = self.tables()
        plain = name[1:-1].replace('""', '"') if name.startswith('"') else name
        named = next((one for one in known if one == plain), None) or next(
            (one for one in known if one.lower() == plain.lower()), None
        )
        if named is None:
            raise WarehouseError(
                self._where,
                f"there is no table {name!r}.{did_you_mean(name, known)}",
                allowed=", ".join(known),
            )
        with self._connected() as connection, self._answering(""):
            info = connection.execute(f"PRAGMA table_info({quoted(named)})").fetchall()
            foreign = connection.execute(f"PRAGMA foreign_key_list({quoted(named)})").fetchall()
        keys = sorted((place, column) for _, column, _, _, _, place in info if place)
        return SourceTable(
            (named,),
            tuple(
                _column(column, kind, not required and not place)
                for _, column, kind, required, _, place in info
            ),
            primary_key=tuple(column for _, column in keys),
            foreign_keys=tuple(
                ForeignKey((own,), other, (referred,)) for _, _, other, own, referred, *_ in foreign
            ),
        )

    def columns(self, table: str) -> list[Column]:
        return list(self.table(table).columns)

    def statistics(self, table: str, *, most_rows: int) -> TableStatistics:
        found = self.table(table)
        names = ", ".join(quoted(one.name) for one in found.columns if one.instead is None)
        query = f"SELECT {names} FROM {found.sql} LIMIT {most_rows + 1}"
        with self.stream(query, {}, order_by=[], batch_rows=most_rows + 1) as batches:
            return of_rows(batches, self.describe(query, {})).as_of(found, None, most_rows)

    def cost(self, sql: str, parameters: Mapping[str, datetime]) -> QueryCost:
        self.describe(sql, parameters)
        return QueryCost()

    def within(self, seconds: float) -> AbstractContextManager[None]:
        return self._deadline.within(seconds)

    def cancel(self) -> None:
        self._cancellation.ask(self._interrupt)

    def close(self) -> None:
        """Does nothing: a connection is only open during a call or a stream."""


def _column(name: str, kind: str, nullable: bool) -> Column:
    if kind in _TYPES:
        return Column(name, _TYPES[kind], nullable, own_type=kind)
    return Column(name, pa.opaque(pa.binary(), kind, "SQLite"), nullable, "another type", own_type=kind)


def _bound(parameters: Mapping[str, datetime]) -> dict[str, str]:
    return {name: text_of(value.astimezone(UTC)) for name, value in parameters.items()}


def _written(sql: str, parameters: Mapping[str, datetime]) -> str:
    """The SQL with the values written into it:
    a view takes no parameters, and its types do not depend on them."""
    marks = "|".join(parameters) or "(?!)"
    return re.sub(rf"('(?:[^']|'')*')|:(?:{marks})\b", lambda found: found[1] or "''", sql)


def _reader(kind: pa.DataType) -> Callable[[object], object]:
    if pa.types.is_timestamp(kind):
        return lambda value: datetime.fromisoformat(str(value)).replace(tzinfo=UTC if kind.tz else None)
    return lambda value: value


def _plain(value: object, kind: pa.DataType) -> object:
    number = number_of(kind)
    return number(str(value)) if number is not None and value is not None else value
