"""PostgreSQL: ordered rows by binary COPY, from one snapshot, in constant memory.

COPY takes no parameters, and the driver reads all rows of a query with parameters into memory. So the bounds
of the window, which are instants that Sluice itself computes, are written into the query as literals. Only
`_literal` does this. docs/decisions/0013-postgresql-through-adbc.md compares the alternatives and their cost.
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
from resources.warehouse.cancellation import Cancellation
from resources.warehouse.catalogue import Column, SourceTable
from resources.warehouse.deadline import Deadline
from resources.warehouse.errors import WarehouseError
from resources.warehouse.names import TableName, UnknownName, quoted, sql_name, table_named
from resources.warehouse.plain_values import of_text
from resources.warehouse.postgresql.certificate import certificate_problem
from resources.warehouse.postgresql.columns import ALIAS, SourceColumn, arrow_schema, source_column
from resources.warehouse.postgresql.errors import Explainer
from resources.warehouse.postgresql.estimates import estimated, sample
from resources.warehouse.postgresql.plain import plain_query
from resources.warehouse.postgresql.session import Sessions, Transaction
from resources.warehouse.postgresql.tables import Declared, declared, kept_statistics, tables_of
from resources.warehouse.postgresql.types import ServerType, server_type, types_query
from resources.warehouse.refusal import RefusedType, refuse
from resources.warehouse.statistics import QueryCost, TableStatistics, of_rows
from resources.wording import counted

# The driver collects so many bytes of rows before it returns them.
_BATCH_BYTES = 8 * 1024 * 1024


class PostgreSQLWarehouse:
    """A PostgreSQL database. `url` is a libpq URL (`postgresql://user@host/database?sslmode=verify-full`),
    `name` the warehouse's name in the settings."""

    dialect = "postgres"
    holds_off_writers = False
    parameter_style: Literal["pyformat"] = "pyformat"

    def __init__(self, url: str, *, name: str) -> None:
        self._where = f"warehouse {name}"
        self._deadline = Deadline()
        self._cancellation = Cancellation()
        self._streaming: Transaction | None = None
        learn(secrets_of(f"warehouse.{name}", url))
        self._sessions = Sessions(
            url,
            Explainer(self._where, malformed_login(url), partial(certificate_problem, url)),
            self._deadline,
            self._cancellation,
        )
        # For each query: the driver's schema, and the server's types of its columns.
        self._types: dict[str, tuple[pa.Schema, list[ServerType]]] = {}

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        """See Warehouse."""
        query = _written(sql, parameters)
        with self._sessions.transaction() as transaction:
            schema = arrow_schema(self._columns(transaction, sql, query))
            _begun(transaction, query)
            return schema

    def types(self, sql: str, parameters: Mapping[str, datetime]) -> dict[str, str]:
        """See Warehouse."""
        query = _written(sql, parameters)
        with self._sessions.transaction() as transaction:
            self._found(transaction, sql, query)
            schema, types = self._types[sql]
            return {name: kind.shown for name, kind in zip(schema.names, types, strict=True)}

    def cost(self, sql: str, parameters: Mapping[str, datetime]) -> QueryCost:
        """See Warehouse. The server estimates the number of rows that the query returns, and their width."""
        query = _written(sql, parameters)
        with self._sessions.transaction() as transaction:
            return estimated(transaction.plan(query))

    @contextmanager
    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """See Warehouse."""
        query = _written(sql, parameters)
        # The driver reads in its own thread. So the next rows are decoded while the caller uses these rows,
        # and a request to stop is noticed while the server still sorts.
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
                    # Cancel before the thread is joined; otherwise this would
                    # wait for a sort that nobody needs.
                    transaction.cancel()

    def plain_rows(
        self,
        sql: str,
        parameters: Mapping[str, datetime],
        places: Mapping[str, Sequence[object]],
        *,
        most_rows: int,
        in_full: bool = False,
    ) -> list[dict[str, object]]:
        """See Warehouse. Runs in the transaction of the stream. Every value comes from the
        text that the server writes."""
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
        with self._cancellation.running(), waiting_for(f"{self._where} to send the rows of a query"):
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
        # If the type of a column has changed, the driver's schema has changed, too.
        if known is None or not known.equals(schema, check_metadata=True):
            types = [server_type(row) for row in transaction.rows(types_query(query, names))]
            self._types[sql] = schema, types
        return [source_column(field, kind, self._where) for field, kind in zip(schema, types, strict=True)]

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """See Warehouse. The server itself cancels the queries (statement_timeout)."""
        return self._deadline.within(seconds)

    def cancel(self) -> None:
        """See Warehouse."""
        self._cancellation.ask(self._sessions.cancel)

    def tables(self) -> list[str]:
        """Names of the tables and views that this role may read, with the schema if the
        search path does not contain it."""
        with self._sessions.transaction() as transaction:
            return [one.plain for one in tables_of(transaction)]

    def table(self, name: str) -> SourceTable:
        """See Warehouse. A column of a refused type has Arrow's opaque type."""
        with self._sessions.transaction() as transaction:
            found = self._named(transaction, name)
            return self._table(transaction, found, declared(transaction, found))

    def _table(self, transaction: Transaction, found: TableName, facts: Declared) -> SourceTable:
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
            facts.partitioned_by,
        )

    def statistics(self, table: str, *, most_rows: int) -> TableStatistics:
        """See Warehouse. Nulls and distinct values are the server's statistics if the table was analysed;
        the rest comes from a sample."""
        with self._sessions.transaction() as transaction:
            found = self._named(transaction, table)
            facts = declared(transaction, found)
            columns = self._table(transaction, found, facts)
            kept = kept_statistics(transaction, found)
        taken = ", ".join(quoted(one.name) for one in columns.columns if one.instead is None)
        place = f"{quoted(found.schema)}.{quoted(found.name)}"
        query = f"SELECT {taken or 'NULL::int AS nothing'} FROM {place}"
        seen = self._seen(f"{query}{sample(facts, most_rows)}", most_rows)
        if not seen.sampled_rows and facts.rows:  # the sample may contain none of a few pages
            seen = self._seen(f"{query} LIMIT {most_rows}", most_rows)
        return seen.as_of(columns, facts.rows, most_rows).with_kept(kept)

    def _seen(self, query: str, most_rows: int) -> TableStatistics:
        with self.stream(query, {}, order_by=[], batch_rows=most_rows + 1) as batches:
            return of_rows(batches, self.describe(query, {}))

    def _named(self, transaction: Transaction, name: str) -> TableName:
        try:
            return table_named(name, tables_of(transaction))
        except UnknownName as error:
            problem, allowed = error.problem, error.allowed or "none: this role may read no table"
        try:
            # The server's error will say which right is missing.
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
        refused = found.as_column(nullable=nullable, vendor="PostgreSQL")
        return replace(refused, comment=comment, own_type=facts["own_type"])
    return Column(
        found.name,
        found.arrow_type,
        nullable,
        comment=comment,
        labels=tuple(facts["labels"]),
        own_type=facts["own_type"],
    )


def _begun(transaction: Transaction, query: str) -> None:
    """Make the server plan the query and check all rights; a description alone checks no right."""
    transaction.rows(f"SELECT 1 AS one FROM (\n{query}\n) AS {ALIAS} LIMIT 0")


def _written(sql: str, parameters: Mapping[str, datetime]) -> str:
    """The SQL with its parameters filled in; without parameters, the SQL unchanged."""
    return sql % {name: _literal(value) for name, value in parameters.items()} if parameters else sql


def _literal(instant: datetime) -> str:
    """A literal made of digits and signs only, which means the same in every session."""
    return f"(TIMESTAMPTZ '{instant.astimezone(UTC).isoformat(sep=' ')}')"


def _ordered(query: str, columns: Sequence[SourceColumn], order_by: Sequence[str]) -> str:
    by_name = {column.name: column for column in columns}
    order = [key for name in order_by for key in by_name[name].order_first]
    order += [key for column in columns if column.name not in order_by for key in column.order]
    sent = [f"{column.expression} AS {quoted(column.name)}" for column in columns]
    # Sent after the columns, and removed again from each batch.
    sent += [
        f"{column.flag} AS {quoted(f'sluice.flag.{n}')}" for n, column in enumerate(columns) if column.flag
    ]
    return f"SELECT {', '.join(sent)}\nFROM (\n{query}\n) AS {ALIAS}\nORDER BY {', '.join(order)}"
