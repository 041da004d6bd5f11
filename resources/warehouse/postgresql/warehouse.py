"""PostgreSQL: ordered rows by binary COPY, over one snapshot, in flat memory.

COPY takes no parameters, and the driver reads a query that has some into memory whole. So the window's
bounds, which are instants that Sluice itself makes, are written into the query as literals, by `_literal`
alone: docs/decisions/0013-postgresql-through-adbc.md has the ways tried and their cost.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from resources.process.waiting import waiting_for
from resources.security.masking import malformed_login, secrets_of
from resources.security.secrets import learn
from resources.warehouse.deadline import Deadline
from resources.warehouse.names import TableName, UnknownName, quoted, sql_name, table_named
from resources.warehouse.plain_values import of_text
from resources.warehouse.postgresql.certificate import certificate_problem
from resources.warehouse.postgresql.columns import ALIAS, SourceColumn, arrow_schema, source_column
from resources.warehouse.postgresql.errors import Explainer
from resources.warehouse.postgresql.plain import plain_query
from resources.warehouse.postgresql.session import Sessions, Transaction
from resources.warehouse.postgresql.tables import declared, tables_of
from resources.warehouse.postgresql.types import ServerType, server_type, types_query
from resources.warehouse.protocol import Column, SourceTable, WarehouseError
from resources.warehouse.refusal import RefusedType, refuse
from resources.wording import counted

# Bytes of rows the driver gathers before it hands them over.
_BATCH_BYTES = 8 * 1024 * 1024


class PostgreSQLWarehouse:
    """A PostgreSQL database. `url` is libpq's (`postgresql://user@host/database?sslmode=verify-full`), `name` the
    warehouse's in the settings."""

    dialect = "postgres"
    holds_off_writers = False
    parameter_style: Literal["pyformat"] = "pyformat"

    def __init__(self, url: str, *, name: str) -> None:
        self._where = f"warehouse {name}"
        self._deadline = Deadline()
        self._streaming: Transaction | None = None
        learn(secrets_of(f"warehouse.{name}", url))
        self._sessions = Sessions(
            url,
            Explainer(self._where, malformed_login(url), partial(certificate_problem, url)),
            self._deadline,
        )
        # The server's types of a query's columns, with the driver's schema that they belong to.
        self._types: dict[str, tuple[pa.Schema, list[ServerType]]] = {}

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        """See Warehouse."""
        query = _written(sql, parameters)
        with self._sessions.transaction() as transaction:
            schema = arrow_schema(self._columns(transaction, sql, query))
            _begun(transaction, query)
            return schema

    @contextmanager
    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """See Warehouse."""
        query = _written(sql, parameters)
        # The driver reads in a thread of its own: the next rows are decoded while these are used, and a request to
        # stop is heard while the server still sorts.
        with (
            self._sessions.transaction() as transaction,
            ThreadPoolExecutor(1, thread_name_prefix="sluice-postgresql") as thread,
        ):
            columns = self._columns(transaction, sql, query)
            ordered = _ordered(query, columns, order_by)
            self._streaming = transaction
            try:
                yield self._batches(transaction, ordered, thread, columns, batch_rows)
            finally:
                self._streaming = None
                if transaction.reading:
                    # Before the thread is waited for; else it would wait for a sort that nobody wants.
                    transaction.cancel()

    def plain_rows(
        self,
        sql: str,
        parameters: Mapping[str, datetime],
        places: Mapping[str, Sequence[Any]],
        *,
        most_rows: int,
        in_full: bool = False,
    ) -> list[dict[str, Any]]:
        """See Warehouse. In the transaction of the stream; every value is the text that the server writes of it."""
        query = _written(sql, parameters)
        with ExitStack() as opened:
            transaction = self._streaming or opened.enter_context(self._sessions.transaction())
            columns = self._columns(transaction, sql, query)
            rows, values = plain_query(query, columns, places, most_rows, in_full=in_full)
            with transaction.aside():
                found = transaction.rows(rows, *values)
        names = [(column.name, f"c{n}", of_text(column.arrow_type)) for n, column in enumerate(columns)]
        return [{name: convert(row[place]) for name, place, convert in names} for row in found]

    def _batches(
        self,
        transaction: Transaction,
        query: str,
        thread: ThreadPoolExecutor,
        columns: Sequence[SourceColumn],
        batch_rows: int,
    ) -> Iterator[pa.RecordBatch]:
        transaction.reading = True
        rows = transaction.copied(query, batch_bytes=_BATCH_BYTES)
        coming = thread.submit(next, rows, None)
        while (batch := self._awaited(coming)) is not None:
            coming = thread.submit(next, rows, None)
            for start in range(0, batch.num_rows, batch_rows):
                yield self._converted(batch.slice(start, batch_rows), columns)

    def _awaited(self, coming: Future[pa.RecordBatch | None]) -> pa.RecordBatch | None:
        with waiting_for(f"{self._where} to send the rows of a query"):
            return coming.result()

    def _converted(self, batch: pa.RecordBatch, columns: Sequence[SourceColumn]) -> pa.RecordBatch:
        flagged = [column for column in columns if column.flag]
        for column, flag in zip(flagged, batch.columns[len(columns) :], strict=True):
            if pc.any(flag).as_py():
                name = sql_name(column.name)
                raise WarehouseError(
                    f"{self._where}, column {column.name}",
                    "an array has several dimensions or a first index other than 1, and a list has neither; so have at least "
                    f"{counted(pc.sum(flag).as_py(), 'row')} of the window",
                    next_step=f"write in the query: {name}::text AS {name} (or unnest it), or leave such rows out: "
                    f"WHERE coalesce(array_ndims({name}), 1) = 1 AND coalesce(array_lower({name}, 1), 1) = 1",
                )
        arrays = [column.convert(array) for column, array in zip(columns, batch.columns, strict=False)]
        return pa.record_batch(arrays, schema=arrow_schema(columns))

    def _columns(self, transaction: Transaction, sql: str, query: str) -> list[SourceColumn]:
        found = self._found(transaction, sql, query)
        refuse(self._where, [one for one in found if isinstance(one, RefusedType)])
        return [one for one in found if isinstance(one, SourceColumn)]

    def _found(self, transaction: Transaction, sql: str, query: str) -> list[SourceColumn | RefusedType]:
        """The columns of `query`, which is `sql` with its parameters filled in."""
        schema = transaction.schema(query)
        names = schema.names
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise WarehouseError(self._where, f"the query gives two columns the name {twice!r}")
        if not names:
            raise WarehouseError(self._where, "the query gives no columns", allowed="at least one column")
        known, types = self._types.get(sql, (None, []))
        # A column that was given another type since has another field in the driver's schema.
        if known is None or not known.equals(schema, check_metadata=True):
            types = [server_type(row) for row in transaction.rows(types_query(query, names))]
            self._types[sql] = schema, types
        return [source_column(field, kind, self._where) for field, kind in zip(schema, types, strict=True)]

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """See Warehouse. The server itself cancels them (statement_timeout)."""
        return self._deadline.within(seconds)

    def tables(self) -> list[str]:
        """Names of the tables and views this role may read, qualified where its search path does not find them."""
        with self._sessions.transaction() as transaction:
            return [one.plain for one in tables_of(transaction)]

    def table(self, name: str) -> SourceTable:
        """See Warehouse. A column of a type that is refused comes as Arrow's opaque type."""
        with self._sessions.transaction() as transaction:
            found = self._named(transaction, name)
            facts = declared(transaction, found)
            query = f"SELECT * FROM {quoted(found.schema)}.{quoted(found.name)}"
            columns = self._found(transaction, query, query)
            _begun(transaction, query)
        return SourceTable(
            found.parts,
            tuple(_column(one, facts.columns[one.name]) for one in columns),
            facts.kind,
            facts.comment,
            facts.primary_key,
            facts.unique,
            facts.foreign_keys,
        )

    def _named(self, transaction: Transaction, name: str) -> TableName:
        try:
            return table_named(name, tables_of(transaction))
        except UnknownName as error:
            problem, allowed = error.problem, error.allowed or "none: this role may read no table"
        try:
            # The server says which right is missing.
            return table_named(name, tables_of(transaction, hidden=True))
        except UnknownName:
            raise WarehouseError(self._where, problem, allowed=allowed) from None

    def columns(self, table: str) -> list[Column]:
        """See Warehouse."""
        return list(self.table(table).columns)

    def close(self) -> None:
        """See Warehouse."""
        self._sessions.close()


def _column(found: SourceColumn | RefusedType, facts: Mapping[str, Any]) -> Column:
    nullable, comment = facts["nullable"], facts["comment"]
    if isinstance(found, RefusedType):
        return replace(found.as_column(nullable=nullable, vendor="PostgreSQL"), comment=comment)
    return Column(found.name, found.arrow_type, nullable, comment=comment, labels=tuple(facts["labels"]))


def _begun(transaction: Transaction, query: str) -> None:
    """Have the server plan the query and check every right; its description alone asks for none."""
    transaction.rows(f"SELECT 1 AS one FROM (\n{query}\n) AS {ALIAS} LIMIT 0")


def _written(sql: str, parameters: Mapping[str, datetime]) -> str:
    """The SQL with its parameters filled in; without any it is taken as it stands."""
    return sql % {name: _literal(value) for name, value in parameters.items()} if parameters else sql


def _literal(instant: datetime) -> str:
    """A literal of digits and signs alone, which means the same in every session."""
    return f"(TIMESTAMPTZ '{instant.astimezone(UTC).isoformat(sep=' ')}')"


def _ordered(query: str, columns: Sequence[SourceColumn], order_by: Sequence[str]) -> str:
    by_name = {column.name: column for column in columns}
    order = [key for name in order_by for key in by_name[name].order_first]
    order += [key for column in columns if column.name not in order_by for key in column.order]
    sent = [f"{column.expression} AS {quoted(column.name)}" for column in columns]
    # Behind the columns, and taken off again.
    sent += [
        f"{column.flag} AS {quoted(f'sluice.flag.{n}')}" for n, column in enumerate(columns) if column.flag
    ]
    return f"SELECT {', '.join(sent)}\nFROM (\n{query}\n) AS {ALIAS}\nORDER BY {', '.join(order)}"
