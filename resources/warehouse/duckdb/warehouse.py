"""DuckDB as a warehouse of the protocol.

The file is attached read-only to an engine of our own. So any number of runs may read it at the same time,
also in one process. (A second connection to the file itself would need exactly the same configuration.) Each
query sorts in bounded memory (`memory_limit`, with spill files in a temporary folder).

Sorting costs more than everything else that happens to source rows. A query that scans one table, without a
join or an aggregation, returns the rows in the order in which they were appended. If a look at event time and
key shows that this is the required order, the rows are streamed without a sort. Otherwise, many rows are
sorted range by range of event time (stretches.py).
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Timer
from typing import Any, Literal

import duckdb
import pyarrow as pa

from resources.errors import SluiceError
from resources.process.memory import MANY_ROWS
from resources.process.waiting import waiting_for
from resources.warehouse.cancellation import Cancellation
from resources.warehouse.catalogue import Column, SourceTable
from resources.warehouse.deadline import Deadline
from resources.warehouse.duckdb.engines import Engines, Work
from resources.warehouse.duckdb.errors import NeedsMemory, refused
from resources.warehouse.duckdb.estimates import estimated_rows, rows_of, sample
from resources.warehouse.duckdb.ordering import Ascending
from resources.warehouse.duckdb.stretches import bounds, conditions
from resources.warehouse.duckdb.tables import declared, labels_of, tables_of
from resources.warehouse.duckdb.types import read_as, refused_type
from resources.warehouse.errors import OutOfOrder, QueryCancelled, WarehouseError
from resources.warehouse.interruption import ended_by_signals
from resources.warehouse.names import UnknownName, quoted, table_named
from resources.warehouse.plain_values import number_of, of_driver, parameter_of
from resources.warehouse.refusal import RefusedType, refuse
from resources.warehouse.statistics import QueryCost, TableStatistics, of_rows

# Operators that keep the order of the table.
_KEEP_ORDER = {"PROJECTION", "FILTER", "SEQ_SCAN"}
_LOOK_ROWS = 131_072
# Ways to sort, each for rows with which the way before it fails: an engine, and how many bytes of
# rows are sorted at once, as a multiple of the engine's memory. A sort holds some thousand rows for
# each part that it merges. If rows are so wide that these fill the memory, each sort must fit in
# memory as a whole (the last way).
_SORTS = ((Work.SORTING, 9.0), (Work.SORTING_LONG, 9.0), (Work.SORTING_WIDE, 9.0), (Work.SORTING_WIDE, 0.25))
# The first way is known to work up to so many bytes per row; for longer rows it is not tried.
_SORTED_BYTES = 200
# Engines that pass rows on without a sort, for the same rows. They need the current block of each column, and
# more memory if the column's values are long.
_PASSES = (Work.PASSING, Work.SORTING_LONG, Work.SORTING_WIDE, Work.SORTING_WIDE)
_SAMPLE = 16_384
_WIDTH_ROWS = 1_024
_MORE = "the query's rows are too many to be sorted as those of the window before"
_WIDER = "the query's rows are too wide to be read as others are"


class DuckDBWarehouse:
    """A DuckDB file. `path` is the part of the URL after `duckdb://`."""

    dialect = "duckdb"
    holds_off_writers = True  # while a process has the file open, DuckDB's lock keeps writers out
    parameter_style: Literal["duckdb"] = "duckdb"

    def __init__(self, path: str, *, memory_limit: str = "128MB") -> None:
        # duckdb:///var/x is absolute, duckdb:////var/x too; duckdb://x is relative to the working directory.
        self._path = Path("/" + path.lstrip("/")) if path.startswith("/") else Path(path)
        self._engines = Engines(self._path, memory_limit)
        # What is known about a query. It is valid while the file is attached,
        # because the file cannot change then.
        self._schemas: dict[str, pa.Schema] = {}
        self._sources: dict[str, str] = {}  # the query as it is read
        self._appended: dict[str, bool] = {}
        self._rows_before: dict[str, int] = {}
        self._looked_at = 0
        self._sort: Counter[str] = Counter()  # the index in _SORTS
        self._deadline = Deadline()
        self._cancellation = Cancellation()

    @property
    def _where(self) -> str:
        return f"warehouse {self._path.name}"

    @contextmanager
    def _answering(self, sql: str) -> Iterator[None]:
        """Within the block, DuckDB works on the query `sql`. Raises DuckDB's errors as `refused` explains
        them, and KeyboardInterrupt if the query was ended because the process must stop."""
        try:
            with (
                self._cancellation.running(),
                waiting_for(f"{self._where} to answer a query"),
                ended_by_signals(self._engines.interrupt),
            ):
                yield
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if "INTERRUPT" in str(error) and not self._deadline.passed:
                if self._cancellation.was_asked:
                    raise QueryCancelled(self._where) from None
                raise KeyboardInterrupt from None
            raise self._refused(error, sql) from None
        except RuntimeError as error:
            # DuckDB passes on in this form what a signal's handler raised inside it.
            if "interrupted" in str(error) and not self._deadline.passed:
                raise KeyboardInterrupt from None
            raise

    @contextmanager
    def _cursor(self, work: Work = Work.ANYTHING) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._engines.cursor(work) as cursor:
            cursor.execute(f"USE {quoted(self._engines.catalog)}")
            seconds = self._deadline.seconds_left
            if seconds is None:
                yield cursor
                return
            timer = Timer(seconds, cursor.interrupt)
            timer.daemon = True
            timer.start()
            try:
                yield cursor
            finally:
                timer.cancel()
                timer.join()  # if a thread still has the cursor when the process ends, DuckDB reports leaks

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """See Warehouse."""
        return self._deadline.within(seconds)

    def cancel(self) -> None:
        """See Warehouse."""
        self._cancellation.ask(self._engines.interrupt)

    def _refused(self, error: Exception, sql: str) -> SluiceError:
        if self._deadline.passed and "INTERRUPT" in str(error):
            return self._deadline.error(self._where)
        return refused(self._where, error, sql)

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        """See Warehouse."""
        if sql not in self._schemas:
            with self._cursor() as cursor:
                relation = self._relation(cursor, f"SELECT * FROM (\n{sql}\n) AS source LIMIT 0", parameters)
                # Checked before the Arrow type is read: DuckDB has no Arrow type for some
                # types and a wrong one for others.
                refuse(self._where, _refused_types(relation))
                others = ", ".join(filter(None, map(read_as, relation.columns, relation.types)))
            source = f"SELECT *{others and f' REPLACE ({others})'} FROM (\n{sql}\n) AS source"
            with self._query(f"{source} LIMIT 0", parameters, 1) as reader:
                self._sources[sql], self._schemas[sql] = source, reader.schema
        return self._schemas[sql]

    def types(self, sql: str, parameters: Mapping[str, datetime]) -> dict[str, str]:
        """See Warehouse."""
        with self._cursor() as cursor:
            relation = self._relation(cursor, f"SELECT * FROM (\n{sql}\n) AS source LIMIT 0", parameters)
            return dict(zip(relation.columns, map(str, relation.types), strict=True))

    def cost(self, sql: str, parameters: Mapping[str, datetime]) -> QueryCost:
        """See Warehouse. DuckDB estimates rows only."""
        with self._cursor() as cursor, self._answering(sql):
            rows = cursor.execute(f"EXPLAIN (FORMAT json) {sql}", dict(parameters) or None).fetchall()
        return QueryCost(rows=estimated_rows(rows[0][1]))

    def statistics(self, table: str, *, most_rows: int) -> TableStatistics:
        """See Warehouse. All but the number of rows is computed from rows: DuckDB keeps only that number."""
        found = self.table(table)
        with self._cursor() as cursor:
            rows = rows_of(cursor, found.parts)
        taken = (
            ", ".join(quoted(one.name) for one in found.columns if one.instead is None) or "NULL AS nothing"
        )
        query = f"SELECT {taken} FROM {'.'.join(map(quoted, found.parts))}{sample(rows, most_rows)}"
        with self._query(query, {}, most_rows) as reader:
            seen = of_rows(self._batches(reader, query), reader.schema)
        return seen.as_of(found, rows, most_rows)

    @contextmanager
    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """See Warehouse."""
        try:
            with self._ordered(sql, parameters, order_by, batch_rows) as batches:
                yield batches
        finally:
            if self._rows_before.get(sql, MANY_ROWS) >= MANY_ROWS or self._sort[sql]:
                self._engines.give_back()

    @contextmanager
    def _ordered(
        self, sql: str, parameters: Mapping[str, datetime], order_by: Sequence[str], batch_rows: int
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        names = self.describe(sql, parameters).names
        order = [*order_by, *(name for name in names if name not in order_by)]
        first = (order_by[0], order_by[1]) if len(order_by) > 1 else None
        source = self._sources[sql]
        try:
            if first and self._in_order(sql, parameters, first):
                with self._query(source, parameters, batch_rows, self._passing(sql)) as reader:
                    yield self._still_in_order(sql, self._counted(sql, self._batches(reader, sql)), first)
                return
        except NeedsMemory as error:
            raise self._sorted_otherwise(sql, error) from None
        columns = ", ".join(quoted(name) for name in order)
        work, stretches = Work.ANYTHING, [("TRUE", dict[str, Any]())]
        # If the last window had few rows, they are not counted first: counting takes as long as sorting them.
        uncounted = self._rows_before.get(sql, MANY_ROWS) < MANY_ROWS and not self._sort[sql]
        if self._appended.get(sql):
            if not uncounted:
                try:
                    stretches = self._stretches(sql, parameters, order[0])
                except NeedsMemory as error:
                    raise self._sorted_otherwise(sql, error) from None
                self._engines.give_back()  # frees the blocks that these looks have read
            work, _ = _SORTS[self._sort[sql]]

        def batches() -> Generator[pa.RecordBatch, None, None]:
            given = 0
            for condition, more in stretches:
                query = f"{source} WHERE {condition} ORDER BY {columns}"
                try:
                    with self._query(query, {**parameters, **more}, batch_rows, work) as reader:
                        for batch in self._batches(reader, sql):
                            given += batch.num_rows
                            yield batch
                except NeedsMemory as error:
                    if uncounted:
                        self._rows_before[sql] = MANY_ROWS
                        raise OutOfOrder(self._where, _MORE) from None
                    raise self._sorted_otherwise(sql, error) from None
            if len(stretches) > 1 and given != self._looked_at:
                # The query returns other rows each time (random(), now()), so it
                # must be one query over all rows.
                self._appended[sql] = False
                raise OutOfOrder(self._where)

        with closing(batches()) as found:
            yield self._counted(sql, found)

    def _passing(self, sql: str) -> Work:
        """The engine for rows that are not sorted."""
        return _PASSES[self._sort[sql]]

    def _asking(self, sql: str) -> Work:
        """The engine for another query about rows that were just streamed; a different engine
        would read their blocks again."""
        many = self._rows_before.get(sql, 0) >= MANY_ROWS
        return self._passing(sql) if many and self._appended.get(sql) else Work.ANYTHING

    def _sorted_otherwise(self, sql: str, error: WarehouseError) -> WarehouseError:
        """The error to raise if rows need more memory than they may use: OutOfOrder if there is another way
        to sort, else `error` itself."""
        if not self._appended.get(sql) or self._sort[sql] + 1 == len(_SORTS):
            return error
        self._sort[sql] += 1
        return OutOfOrder(self._where, _WIDER)

    def _stretches(
        self, sql: str, parameters: Mapping[str, datetime], column: str
    ) -> list[tuple[str, dict[str, Any]]]:
        """SQL conditions that divide the rows of one table into ranges that can be sorted in the memory that
        may be used. Counts the rows and measures their width for that."""
        source = f"FROM (\n{sql}\n) AS source"
        with self._query(f"SELECT count(*) AS rows {source}", parameters, 1, self._passing(sql)) as reader:
            rows = sum(batch.column(0)[0].as_py() for batch in self._batches(reader, sql))
        self._looked_at = rows
        if rows <= _WIDTH_ROWS:
            return [("TRUE", {})]
        look = f"SELECT * {source} LIMIT {_WIDTH_ROWS}"
        with self._query(look, parameters, _WIDTH_ROWS, _SORTS[self._sort[sql]][0]) as reader:
            first = [(batch.nbytes, batch.num_rows) for batch in self._batches(reader, sql)]
        width = sum(size for size, _ in first) / max(1, sum(count for _, count in first))
        if width > _SORTED_BYTES and not self._sort[sql]:
            self._sort[sql] = 1
        work, at_once = _SORTS[self._sort[sql]]
        parts = math.ceil(rows * width / (at_once * self._engines.memory(work)))
        if parts <= 1:
            return [("TRUE", {})]
        name = quoted(column)
        look = f"SELECT {name} {source} USING SAMPLE reservoir({_SAMPLE} ROWS)"
        with self._query(look, parameters, _SAMPLE, self._passing(sql)) as reader:
            sample = pa.concat_arrays([batch.column(0) for batch in self._batches(reader, sql)])
        return conditions(name, bounds(sample, parts))

    def _in_order(self, sql: str, parameters: Mapping[str, datetime], names: tuple[str, str]) -> bool:
        """Whether the query returns its rows in ascending order of these two columns."""
        if self._rows_before.get(sql, MANY_ROWS) < MANY_ROWS:
            return False  # the last window had few rows: a sort is quicker than this check
        if sql not in self._appended:
            self._appended[sql] = self._keeps_order(sql, parameters)
        if not self._appended[sql]:
            return False
        ascending = Ascending(names)
        columns = ", ".join(quoted(name) for name in names)
        look = f"SELECT {columns} FROM (\n{sql}\n) AS source"
        with self._query(look, parameters, _LOOK_ROWS, self._passing(sql)) as reader:
            return all(ascending.goes_on(batch) for batch in self._batches(reader, sql))

    def _keeps_order(self, sql: str, parameters: Mapping[str, datetime]) -> bool:
        """Whether the query returns the rows of one table in their stored order, and
        text is ordered by its bytes."""
        with self._cursor() as cursor:
            try:
                rows = cursor.execute(f"EXPLAIN (FORMAT json) {sql}", dict(parameters) or None).fetchall()
                tables = cursor.execute("SELECT sql FROM duckdb_tables()").fetchall()
                operators = _operators(json.loads(rows[0][1]))
            except (duckdb.Error, ValueError, LookupError, TypeError):
                return False  # the query itself will raise the error
        collated = any("collate" in str(text).lower() for text in (sql, *tables))
        return not collated and operators <= _KEEP_ORDER

    def _still_in_order(
        self, sql: str, batches: Iterator[pa.RecordBatch], names: tuple[str, str]
    ) -> Iterator[pa.RecordBatch]:
        ascending = Ascending(names)
        for batch in batches:
            if not ascending.goes_on(batch):
                self._appended[sql] = False  # for example, a query that returns other rows each time
                raise OutOfOrder(self._where)
            yield batch

    def _counted(self, sql: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = 0
        for batch in batches:
            rows += batch.num_rows
            yield batch
        self._rows_before[sql] = rows

    def _batches(self, reader: pa.RecordBatchReader, sql: str) -> Iterator[pa.RecordBatch]:
        """The batches of `reader`; `sql` is the query that errors are about."""
        while True:
            try:
                with self._answering(sql):
                    batch = reader.read_next_batch()
            except StopIteration:
                return
            yield batch

    @contextmanager
    def _query(
        self,
        sql: str,
        parameters: Mapping[str, datetime],
        batch_rows: int,
        work: Work = Work.ANYTHING,
    ) -> Iterator[pa.RecordBatchReader]:
        with self._cursor(work) as cursor:
            relation = self._relation(cursor, sql, parameters)
            # The relation streams; cursor.execute(...) would first hold the whole result in memory.
            with self._answering(sql):
                reader = relation.to_arrow_reader(batch_rows)
            try:
                yield reader
            finally:
                with suppress(duckdb.Error, pa.ArrowException):
                    reader.close()

    def _relation(
        self, cursor: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, datetime]
    ) -> duckdb.DuckDBPyRelation:
        with self._answering(sql):
            return cursor.sql(sql, params=dict(parameters)) if parameters else cursor.sql(sql)

    def plain_rows(
        self,
        sql: str,
        parameters: Mapping[str, datetime],
        places: Mapping[str, Sequence[object]],
        *,
        most_rows: int,
        in_full: bool = False,
    ) -> list[dict[str, object]]:
        """See Warehouse. The file stays attached, so it does not change. The values are those of DuckDB's own
        driver; dates and times are text, because Python's dates end at the year 9999."""
        schema = self.describe(sql, parameters)
        shown, plain = [], []
        for field in schema:
            column, number = f"source.{quoted(field.name)}", number_of(field.type)
            shown.append(f"{column}::VARCHAR" if number else column)
            plain.append(_or_null(number) if number else of_driver(field.type))
        bound: dict[str, Any] = dict(parameters)
        conditions = []
        for n, (name, values) in enumerate(places.items()):
            bound[f"sluice_{n}"] = [parameter_of(value, schema.field(name).type) for value in values]
            conditions.append(f"source.{quoted(name)} IN (SELECT unnest($sluice_{n}))")
        rows = f"WITH source AS MATERIALIZED (\n{sql}\n) SELECT {', '.join(shown)} FROM source"
        if not in_full:
            rows = f"SELECT {', '.join(shown)} FROM (\n{sql}\n) AS source"
        query = f"{rows} WHERE {' AND '.join(conditions) or 'TRUE'} LIMIT {most_rows + 1}"
        try:
            found = self._fetched(query, bound, sql, Work.ANYTHING if in_full else self._asking(sql))
        except NeedsMemory:
            found = self._fetched(query, bound, sql, Work.ANYTHING)
        return [
            {name: convert(value) for name, convert, value in zip(schema.names, plain, row, strict=True)}
            for row in found
        ]

    def _fetched(self, query: str, bound: Mapping[str, Any], sql: str, work: Work) -> list[tuple[Any, ...]]:
        with self._cursor(work) as cursor, self._answering(sql):
            return cursor.execute(query, bound).fetchall()

    def tables(self) -> list[str]:
        """Names of the tables and views, with the schema if it is not the main schema."""
        with self._cursor() as cursor:
            return [one.plain for one in tables_of(cursor, self._engines.catalog)]

    def table(self, name: str) -> SourceTable:
        """See Warehouse. A column of a refused type has Arrow's opaque type."""
        with self._cursor() as cursor:
            try:
                found = table_named(name, tables_of(cursor, self._engines.catalog))
            except UnknownName as error:
                raise WarehouseError(self._where, error.problem, allowed=error.allowed) from None
            sql = ".".join(map(quoted, (self._engines.catalog, found.schema, found.name)))
            described = cursor.execute(f"DESCRIBE {sql}").fetchall()
            facts = declared(cursor, found, [column for column, *_ in described])
            relation = self._relation(cursor, f"FROM {sql}", {})
            labels = dict(zip(relation.columns, map(labels_of, relation.types), strict=True))
            without = {one.name: one for one in _refused_types(relation)}
        taken = [quoted(column) for column, *_ in described if column not in without]
        schema = self.describe(f"SELECT {', '.join(taken)} FROM {sql}", {}) if taken else pa.schema([])
        kinds = iter(schema.types)  # by position: Arrow ends a name at a NUL, DuckDB does not
        columns = [
            without[column].as_column(nullable=null != "NO", vendor="DuckDB")
            if column in without
            else Column(column, next(kinds), null != "NO", labels=labels[column])
            for column, _, null, *_ in described
        ]
        own_types = {column: str(kind) for column, kind, *_ in described}
        return SourceTable(
            found.parts,
            tuple(
                replace(column, comment=facts.comments.get(column.name), own_type=own_types[column.name])
                for column in columns
            ),
            facts.kind,
            facts.comment,
            facts.primary_key,
            facts.unique,
            facts.foreign_keys,
        )

    def columns(self, table: str) -> list[Column]:
        """See Warehouse."""
        return list(self.table(table).columns)

    def close(self) -> None:
        """See Warehouse."""
        self._engines.close()
        # Others may write now. The number of rows and the way to sort are kept,
        # because they are only guesses.
        for known in (self._schemas, self._sources, self._appended):
            known.clear()


def _or_null(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _refused_types(relation: duckdb.DuckDBPyRelation) -> list[RefusedType]:
    found = map(refused_type, relation.columns, relation.types)
    return [one for one in found if one is not None]


def _operators(plans: list[dict[str, Any]]) -> set[str]:
    return {name for plan in plans for name in (str(plan["name"]).strip(), *_operators(plan["children"]))}
