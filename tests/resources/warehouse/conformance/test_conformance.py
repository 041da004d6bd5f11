"""Each kind of warehouse keeps each promise;
and a warehouse that breaks a promise fails the test of this promise."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path

import pyarrow as pa
import pytest

from resources.errors import SluiceError
from resources.warehouse import QueryCost, SourceTable, TableStatistics, Warehouse, WarehouseError, kinds
from tests.matrix import one_of
from tests.resources.warehouse.conformance import promises
from tests.resources.warehouse.conformance.kinds import KINDS, opened
from tests.resources.warehouse.conformance.promises import PROMISES, Promise
from tests.resources.warehouse.conformance.shop import NAME, Subject, fill
from tests.resources.warehouse.conformance.sqlite_warehouse import SQLiteWarehouse

_BY_NAME = {kind.name: kind for kind in KINDS}
_OWN_DATABASE = {promises.whether_writers_are_held_off_is_true}
"""Promises whose test writes: each has its own database."""


class Databases:
    """The suite's database in each kind of warehouse, made when it is first needed."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._made: dict[str, tuple[Callable[[str], None], Callable[[], Warehouse]]] = {}

    @contextmanager
    def subject(self, name: str, request: pytest.FixtureRequest, *, own: bool) -> Iterator[Subject]:
        kind = _BY_NAME[name]
        made = None if own else self._made.get(name)
        if made is None:
            made = kind.fresh(self._folders.mktemp(name), request)
            fill(kind, made[0])
            if not own:
                self._made[name] = made
        execute, open_it = made
        with closing(open_it()) as warehouse:
            yield Subject(kind, warehouse, execute)


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    return Databases(tmp_path_factory)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("name", [*one_of("postgres", "duckdb"), "sqlite"])
def test_a_warehouse_keeps_its_promise(
    name: str, promise: Promise, databases: Databases, request: pytest.FixtureRequest
) -> None:
    with databases.subject(name, request, own=promise in _OWN_DATABASE) as subject:
        promise(subject)


def test_every_kind_of_the_settings_is_in_the_suite() -> None:
    for kind in kinds.KINDS:
        assert set(kind.schemes) & set(_BY_NAME), f"add {kind.schemes[0]} to tests/…/conformance/kinds.py"


# A warehouse that breaks a promise


class Changed(SQLiteWarehouse):
    """The smallest warehouse, whose rows pass through `change`."""

    def change(self, rows: pa.Table) -> pa.Table:
        return rows

    @contextmanager
    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        with super().stream(sql, parameters, order_by=order_by, batch_rows=batch_rows) as batches:
            rows = self.change(pa.Table.from_batches(list(batches), self.describe(sql, parameters)))
            yield iter(rows.to_batches(max_chunksize=batch_rows))


class ShiftedBounds(SQLiteWarehouse):
    """Reads a bound as local time."""

    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        moved = {name: value.replace(tzinfo=UTC) for name, value in parameters.items()}
        return super().stream(sql, moved, order_by=order_by, batch_rows=batch_rows)


class CutBounds(SQLiteWarehouse):
    """Cuts a bound to seconds."""

    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        cut = {name: value.replace(microsecond=0) for name, value in parameters.items()}
        return super().stream(sql, cut, order_by=order_by, batch_rows=batch_rows)


class TextualParameters(SQLiteWarehouse):
    """Writes the bounds into the text of the query."""

    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        for name, value in parameters.items():
            sql = sql.replace(f":{name}", f"'{value.replace(tzinfo=None).isoformat(' ', 'microseconds')}'")
        return super().stream(sql, {}, order_by=order_by, batch_rows=batch_rows)


class LocalInstants(Changed):
    """Returns instants without their time zone."""

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        found = super().describe(sql, parameters)
        return pa.schema(
            [f.with_type(pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in found]
        )


class Unordered(Changed):
    """Sorts by the leading column alone."""

    def change(self, rows: pa.Table) -> pa.Table:
        return rows.take(list(range(len(rows)))[::-1])


class LargeBatches(SQLiteWarehouse):
    """Returns batches with one row more."""

    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        return super().stream(sql, parameters, order_by=order_by, batch_rows=batch_rows + 1)


class LostRow(Changed):
    """Loses the last row."""

    def change(self, rows: pa.Table) -> pa.Table:
        return rows.slice(0, max(len(rows) - 1, 0))


class OtherSchema(Changed):
    """Describes other columns than it streams."""

    def change(self, rows: pa.Table) -> pa.Table:
        return rows.rename_columns([name.upper() for name in rows.column_names])


class ArrowTypes(SQLiteWarehouse):
    """Returns Arrow's names of types as its own."""

    def types(self, sql: str, parameters: Mapping[str, datetime]) -> dict[str, str]:
        return dict.fromkeys(super().types(sql, parameters), "string")


class TakesAnything(SQLiteWarehouse):
    """Reads types that Arrow cannot hold as text."""

    def types(self, sql: str, parameters: Mapping[str, datetime]) -> dict[str, str]:
        found = super().types(sql, parameters)
        return {name: "TEXT" if kind == "GEOMETRY" else kind for name, kind in found.items()}


class OneConnection(SQLiteWarehouse):
    """The second stream ends the first."""

    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        for connection in list(self._open):
            connection.close()
        return super().stream(sql, parameters, order_by=order_by, batch_rows=batch_rows)


class LeavesThreads(SQLiteWarehouse):
    """Keeps a thread for each stream."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.over = threading.Event()

    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        threading.Thread(target=self.over.wait, daemon=True).start()
        return super().stream(sql, parameters, order_by=order_by, batch_rows=batch_rows)

    def close(self) -> None:
        self.over.set()


class SaysItHoldsOffWriters(SQLiteWarehouse):
    holds_off_writers = True


class OtherMoment(SQLiteWarehouse):
    """Plain rows are from the current moment, not the stream's."""

    def plain_rows(
        self,
        sql: str,
        parameters: Mapping[str, datetime],
        places: Mapping[str, Sequence[object]],
        *,
        most_rows: int,
        in_full: bool = False,
    ) -> list[dict[str, object]]:
        self._streaming = None
        return super().plain_rows(sql, parameters, places, most_rows=most_rows, in_full=in_full)


class TextForInstants(SQLiteWarehouse):
    """Returns plain rows as its driver returns them."""

    def plain_rows(
        self,
        sql: str,
        parameters: Mapping[str, datetime],
        places: Mapping[str, Sequence[object]],
        *,
        most_rows: int,
        in_full: bool = False,
    ) -> list[dict[str, object]]:
        found = super().plain_rows(sql, parameters, places, most_rows=most_rows, in_full=in_full)
        return [{name: str(value) for name, value in row.items()} for row in found]


class EndsItsStream(SQLiteWarehouse):
    """A query of plain rows that fails ends the stream."""

    def plain_rows(
        self,
        sql: str,
        parameters: Mapping[str, datetime],
        places: Mapping[str, Sequence[object]],
        *,
        most_rows: int,
        in_full: bool = False,
    ) -> list[dict[str, object]]:
        try:
            return super().plain_rows(sql, parameters, places, most_rows=most_rows, in_full=in_full)
        except SluiceError:
            if self._streaming is not None:
                self._streaming.close()
            raise


class ShowsItsDriver(SQLiteWarehouse):
    """Raises errors with the driver's error as their cause."""

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        try:
            return super().describe(sql, parameters)
        except WarehouseError as error:
            raise WarehouseError(error.where, error.problem) from OSError("driver")


class ShowsValues(SQLiteWarehouse):
    """Raises errors with the value that could not be read."""

    @contextmanager
    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        try:
            with super().stream(sql, parameters, order_by=order_by, batch_rows=batch_rows) as batches:
                yield batches
        except WarehouseError as error:
            raise WarehouseError(error.where, f"{error.problem}: Anna {NAME}") from None


class Writes(SQLiteWarehouse):
    """Accepts a statement that writes as a query without rows."""

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        return pa.schema([]) if "DELETE" in sql else super().describe(sql, parameters)

    @contextmanager
    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        if "DELETE" in sql:
            yield iter(())
            return
        with super().stream(sql, parameters, order_by=order_by, batch_rows=batch_rows) as batches:
            yield batches


class ExactNamesOnly(SQLiteWarehouse):
    def table(self, name: str) -> SourceTable:
        if name not in self.tables():
            raise WarehouseError("warehouse shop", f"there is no table {name!r}")
        return super().table(name)


class NoKeys(SQLiteWarehouse):
    def table(self, name: str) -> SourceTable:
        return replace(super().table(name), primary_key=(), foreign_keys=())


class GuessesExactly(SQLiteWarehouse):
    """Reports a sample as if it were the whole table."""

    def statistics(self, table: str, *, most_rows: int) -> TableStatistics:
        found = super().statistics(table, most_rows=most_rows)
        return replace(found, rows=found.sampled_rows, rows_exact=True)


class CountsNullsAsValues(SQLiteWarehouse):
    def statistics(self, table: str, *, most_rows: int) -> TableStatistics:
        found = super().statistics(table, most_rows=most_rows)
        return replace(
            found, columns={n: replace(one, null_fraction=0.0) for n, one in found.columns.items()}
        )


class ReadsWholeTables(SQLiteWarehouse):
    def statistics(self, table: str, *, most_rows: int) -> TableStatistics:
        return super().statistics(table, most_rows=100 * most_rows)


class RunsForItsCost(SQLiteWarehouse):
    """Reads the rows to know how many there are; the test gives it little time."""

    def cost(self, sql: str, parameters: Mapping[str, datetime]) -> QueryCost:
        with (
            self.within(0.2),
            self.stream(sql, parameters, order_by=[], batch_rows=1000) as batches,
        ):
            return QueryCost(rows=sum(batch.num_rows for batch in batches))


class NoDeadline(SQLiteWarehouse):
    """Ignores the time limit of the outer block, and gives the query five times its time."""

    def within(self, seconds: float) -> AbstractContextManager[None]:
        return super().within(5 * seconds) if seconds < 1 else nullcontext()


class CancelsLater(SQLiteWarehouse):
    """A request to cancel while no query runs ends the next query."""

    def cancel(self) -> None:
        super().cancel()
        self._cancellation.was_asked = True
        self.owed = True

    owed = False

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        if self.owed:
            self.owed = False
            raise WarehouseError("warehouse shop", "the query was cancelled")
        return super().describe(sql, parameters)


_FOUND = (AssertionError, SluiceError, sqlite3.Error, pytest.fail.Exception)

_BREAKERS: list[tuple[type[SQLiteWarehouse], Promise]] = [
    (ShiftedBounds, promises.bounds_of_a_window_are_instants),
    (CutBounds, promises.bounds_are_exact_to_the_microsecond),
    (TextualParameters, promises.a_parameter_is_no_part_of_a_text),
    (LocalInstants, promises.instants_leave_as_utc),
    (Unordered, promises.rows_come_in_one_total_order),
    (LargeBatches, promises.batches_are_no_larger_than_asked),
    (LostRow, promises.batches_are_no_larger_than_asked),
    (OtherSchema, promises.the_schema_is_known_before_the_rows),
    (ArrowTypes, promises.columns_have_the_type_names_of_the_warehouse),
    (TakesAnything, promises.types_that_arrow_cannot_hold_are_refused_with_what_to_write),
    (OneConnection, promises.two_streams_do_not_disturb_each_other),
    (LeavesThreads, promises.a_stream_that_is_left_early_gives_everything_back),
    (SaysItHoldsOffWriters, promises.whether_writers_are_held_off_is_true),
    (OtherMoment, promises.whether_writers_are_held_off_is_true),
    (TextForInstants, promises.plain_rows_are_those_of_the_stream),
    (EndsItsStream, promises.a_plain_question_that_fails_leaves_the_stream_as_it_was),
    (ShowsItsDriver, promises.a_refused_query_is_an_error_in_words),
    (ShowsValues, promises.an_error_shows_no_value_of_a_row),
    (Writes, promises.nothing_can_be_written),
    (ExactNamesOnly, promises.tables_and_columns_are_found_by_their_names),
    (NoKeys, promises.declared_keys_are_those_of_the_table),
    (CountsNullsAsValues, promises.statistics_of_a_small_table_are_exact),
    (GuessesExactly, promises.statistics_read_no_more_rows_than_allowed),
    (ReadsWholeTables, promises.statistics_read_no_more_rows_than_allowed),
    (RunsForItsCost, promises.a_cost_is_estimated_and_nothing_is_run),
    (NoDeadline, promises.a_query_whose_time_is_over_is_cancelled),
    (CancelsLater, promises.a_query_is_cancelled_from_another_thread),
]


@pytest.mark.parametrize(("broken", "promise"), _BREAKERS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_warehouse_that_breaks_a_promise_is_found(
    broken: type[SQLiteWarehouse], promise: Promise, databases: Databases, request: pytest.FixtureRequest
) -> None:
    with databases.subject("sqlite", request, own=True) as sound:
        assert isinstance(sound.warehouse, SQLiteWarehouse)
        with (
            closing(broken(sound.warehouse.path)) as warehouse,
            pytest.raises(_FOUND),
        ):
            promise(Subject(sound.kind, warehouse, sound.execute))


def test_every_promise_has_a_warehouse_that_breaks_it() -> None:
    assert {promise.__name__ for promise in PROMISES} == {promise.__name__ for _, promise in _BREAKERS}


# How a warehouse is found


def test_an_unknown_scheme_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(WarehouseError, match="no driver for orakel://") as caught:
        opened("orakel://host/db")
    assert "duckdb:///" in str(caught.value) and "postgresql://" in str(caught.value)


def test_another_package_brings_a_warehouse_and_takes_the_place_of_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    points = [
        EntryPoint(scheme, f"{__name__}:open_sqlite", kinds.ENTRY_POINTS) for scheme in ("sqlite", "duckdb")
    ]
    monkeypatch.setattr(kinds, "entry_points", lambda group: [one for one in points if one.group == group])
    monkeypatch.setattr(EntryPoint, "load", lambda _: open_sqlite)
    assert isinstance(opened(f"sqlite://{tmp_path / 'shop.sqlite'}"), SQLiteWarehouse)
    assert not isinstance(opened(f"duckdb://{tmp_path / 'shop.duckdb'}"), SQLiteWarehouse)
    with pytest.raises(WarehouseError, match="sqlite://…"):
        opened("orakel://host/db")


def open_sqlite(address: kinds.Address) -> Warehouse:
    return SQLiteWarehouse(address.rest)
