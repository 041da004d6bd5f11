"""What every warehouse promises: one function for each promise.
`PROMISES` has all of them, in the order of this file."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from resources.warehouse import QueryCancelled, TookTooLong, WarehouseError
from tests.resources.warehouse.conformance.shop import ENDLESS, FIRST, HOURS, MANY, NAME, TOLD, Subject

Promise = Callable[[Subject], None]
PROMISES: list[Promise] = []
_WINDOW = {"window_start": FIRST + timedelta(hours=2), "window_end": FIRST + timedelta(hours=5)}
_IN_WINDOW = "SELECT i FROM events WHERE {0} >= <window_start> AND {0} < <window_end>"
# The limit for something that happens at once; a machine may be busy.
_PATIENCE_SECONDS = 120


def promise(function: Promise) -> Promise:
    """Add a promise to the suite."""
    PROMISES.append(function)
    return function


# Rows of a query


@promise
def bounds_of_a_window_are_instants(on: Subject) -> None:
    for zone in (UTC, timezone(timedelta(hours=-5))):
        bounds = {name: instant.astimezone(zone) for name, instant in _WINDOW.items()}
        for column in ("naive", "aware"):
            sql = on.marked(_IN_WINDOW.format(column))
            assert on.values(sql, bounds) == [2, 3, 4], (zone, column)


@promise
def bounds_are_exact_to_the_microsecond(on: Subject) -> None:
    late = {**_WINDOW, "window_start": _WINDOW["window_start"] + timedelta(microseconds=1)}
    assert on.values(on.marked(_IN_WINDOW.format("aware")), late) == [3, 4]


@promise
def a_parameter_is_no_part_of_a_text(on: Subject) -> None:
    sql = on.marked(f"{_IN_WINDOW.format('aware')} AND note = '{TOLD}'")
    assert on.values(sql, _WINDOW) == [2, 3, 4]


@promise
def instants_leave_as_utc(on: Subject) -> None:
    sql = "SELECT naive, aware FROM events WHERE i = 3"
    assert on.warehouse.describe(sql, {}).types == [pa.timestamp("us"), pa.timestamp("us", "UTC")]
    (row,) = on.rows(sql).to_pylist()
    assert row == {
        "naive": (FIRST + timedelta(hours=3)).replace(tzinfo=None),
        "aware": FIRST + timedelta(hours=3),
    }


@promise
def rows_come_in_one_total_order(on: Subject) -> None:
    one, two = (on.rows(f"SELECT a, b, c FROM {table}", order_by=["b"]) for table in ("mixed", "dexim"))
    assert one.equals(two)
    assert one.column_names == ["a", "b", "c"]
    # Sorted by bytes, not by any language's alphabet; nulls last;
    # the leading column has equal values, so the rest decides.
    assert one.column("b").to_pylist() == [b for b in ("", "Z", "x", "y", "ä") for _ in range(9)]
    assert one.column("a").to_pylist()[:9] == [1, 1, 1, 2, 2, 2, None, None, None]
    assert one.column("c").to_pylist()[:3] == [-1.0, 0.5, None]


@promise
def batches_are_no_larger_than_asked(on: Subject) -> None:
    with on.warehouse.stream("SELECT i FROM many", {}, order_by=["i"], batch_rows=700) as batches:
        found = list(batches)
    assert max(batch.num_rows for batch in found) <= 700
    assert pa.Table.from_batches(found).column("i").to_pylist() == list(range(MANY))


@promise
def the_schema_is_known_before_the_rows(on: Subject) -> None:
    for sql in ("SELECT a, b, c FROM mixed", 'SELECT order_id, "odd ""name" FROM orders'):
        with on.warehouse.stream(sql, {}, order_by=[], batch_rows=10) as batches:
            schemas = {batch.schema for batch in batches} | {on.warehouse.describe(sql, {})}
        assert len(schemas) == 1
    assert on.rows("SELECT * FROM orders").schema.names == ["order_id", "line", 'odd "name', "customer"]


@promise
def columns_have_the_type_names_of_the_warehouse(on: Subject) -> None:
    types = on.warehouse.types("SELECT b AS first, a, odd FROM mixed, refusals", {})
    assert list(types) == ["first", "a", "odd"]
    assert all(types.values()) and len(set(types.values())) == 3


@promise
def types_that_arrow_cannot_hold_are_refused_with_what_to_write(on: Subject) -> None:
    for ask in (on.warehouse.describe, lambda sql, _: on.rows(sql)):
        with pytest.raises(WarehouseError, match="odd") as caught:
            ask("SELECT id, odd FROM refusals", {})
        assert caught.value.next_step
    columns = {column.name: column for column in on.warehouse.columns("refusals")}
    assert columns["odd"].instead and columns["id"].instead is None
    assert isinstance(columns["odd"].arrow_type, pa.OpaqueType)


# Streams


@promise
def two_streams_do_not_disturb_each_other(on: Subject) -> None:
    sql = "SELECT i FROM many"
    with (
        on.warehouse.stream(sql, {}, order_by=["i"], batch_rows=512) as one,
        on.warehouse.stream(sql, {}, order_by=["i"], batch_rows=512) as two,
    ):
        counts = [0, 0]
        for first, second in zip(one, two, strict=True):
            counts[0] += first.num_rows
            counts[1] += second.num_rows
    assert counts == [MANY, MANY]


@promise
def a_stream_that_is_left_early_gives_everything_back(on: Subject) -> None:
    sql = "SELECT i FROM many"
    on.rows("SELECT i FROM events")
    before = threading.active_count()
    for _ in range(3):
        with on.warehouse.stream(sql, {}, order_by=["i"], batch_rows=10) as batches:
            next(batches)
        with on.warehouse.stream(sql, {}, order_by=["i"], batch_rows=10):
            pass
    with (
        pytest.raises(KeyError, match="the reader's"),
        on.warehouse.stream(sql, {}, order_by=["i"], batch_rows=10) as batches,
    ):
        next(batches)
        raise KeyError("the reader's own")
    assert len(on.values("SELECT i FROM events")) == HOURS
    assert threading.active_count() == before


@promise
def whether_writers_are_held_off_is_true(on: Subject) -> None:
    """Also: a stream that does not block writers returns the rows of one moment, and so do its plain rows."""
    sql = "SELECT i FROM events"
    with on.warehouse.stream(sql, {}, order_by=["i"], batch_rows=HOURS) as batches:
        found = next(batches).num_rows
        assert next(batches, None) is None
        written = False
        with suppress(Exception):
            on.execute("DELETE FROM events WHERE i >= 20")
            written = True
        assert written is not on.warehouse.holds_off_writers
        plain = on.warehouse.plain_rows(sql, {}, {"i": [1, 20, 21]}, most_rows=5)
    assert found == HOURS
    assert len(plain) == 3
    on.warehouse.close()
    on.execute("DELETE FROM events WHERE i >= 20")
    assert on.values(sql) == list(range(20)), "closed, it opens again, and sees what was written"


# The independent judge


@promise
def plain_rows_are_those_of_the_stream(on: Subject) -> None:
    sql = on.marked("SELECT i, naive, aware, note FROM events WHERE aware < <window_end>")
    bounds = {"window_end": _WINDOW["window_end"]}
    micros = [int((FIRST + timedelta(hours=n)).timestamp()) * 10**6 for n in range(5)]
    with on.warehouse.stream(sql, bounds, order_by=["i"], batch_rows=100) as batches:
        assert sum(batch.num_rows for batch in batches) == 5
        for places in ({"i": [3, 99]}, {"aware": [micros[3]]}, {"i": [2, 3], "naive": [micros[3]]}):
            for in_full in (False, True):
                found = on.warehouse.plain_rows(sql, bounds, places, most_rows=5, in_full=in_full)
                assert found == [{"i": 3, "naive": micros[3], "aware": micros[3], "note": TOLD}]
        assert on.warehouse.plain_rows(sql, bounds, {"note": [TOLD], "i": [4]}, most_rows=5)[0]["i"] == 4
        assert len(on.warehouse.plain_rows(sql, bounds, {}, most_rows=2)) == 3
    (null,) = on.warehouse.plain_rows("SELECT a, c FROM mixed WHERE a IS NULL", {}, {}, most_rows=0)
    assert null["a"] is None


@promise
def a_plain_question_that_fails_leaves_the_stream_as_it_was(on: Subject) -> None:
    sql = "SELECT i FROM events"
    with on.warehouse.stream(sql, {}, order_by=["i"], batch_rows=100) as batches:
        assert sum(batch.num_rows for batch in batches) == HOURS
        with on.warehouse.within(0.2), pytest.raises(TookTooLong):
            on.warehouse.plain_rows(ENDLESS, {}, {"i": [3]}, most_rows=5)
        assert on.warehouse.plain_rows(sql, {}, {"i": [3]}, most_rows=5) == [{"i": 3}]
    assert len(on.values(sql)) == HOURS


# Errors


@promise
def a_refused_query_is_an_error_in_words(on: Subject) -> None:
    with pytest.raises(WarehouseError, match=r"shop.*flight_idd") as caught:
        on.warehouse.describe("SELECT flight_idd FROM events", {})
    assert caught.value.__cause__ is None and caught.value.__suppress_context__, "no stack trace of a driver"
    for wrong in ("SELEC 1", "SELECT i FROM nowhere", "SELECT i FROM events WHERE"):
        with pytest.raises(WarehouseError, match="refused"):
            on.rows(wrong)
    assert len(on.values("SELECT i FROM events")) == HOURS


@promise
def an_error_shows_no_value_of_a_row(on: Subject) -> None:
    with pytest.raises(WarehouseError) as caught:
        on.rows(on.kind.failing)
    assert NAME not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert len(on.values("SELECT i FROM events")) == HOURS


@promise
def nothing_can_be_written(on: Subject) -> None:
    for write in ("DELETE FROM events", "WITH gone AS (DELETE FROM events RETURNING i) SELECT i FROM gone"):
        with pytest.raises(WarehouseError):
            on.rows(write)
    assert len(on.values("SELECT i FROM events")) == HOURS


# The catalogue


@promise
def tables_and_columns_are_found_by_their_names(on: Subject) -> None:
    names = {"customers", "dexim", "events", "many", "mixed", "numbers", "orders", "people", "refusals"}
    assert set(on.warehouse.tables()) == names
    for name in ("orders", '"orders"', "ORDERS"):
        table = on.warehouse.table(name)
        assert (table.parts, table.sql, table.kind) == (("orders",), "orders", "table")
    columns = on.warehouse.columns("orders")
    assert [(one.name, one.arrow_type, one.nullable) for one in columns] == [
        ("order_id", pa.int64(), False),
        ("line", pa.int64(), False),
        ('odd "name', pa.string(), True),
        ("customer", pa.int64(), True),
    ]
    assert all(one.own_type for one in columns)
    with pytest.raises(WarehouseError, match="Did you mean 'orders'"):
        on.warehouse.table("order")


@promise
def declared_keys_are_those_of_the_table(on: Subject) -> None:
    table = on.warehouse.table("orders")
    assert table.primary_key == ("order_id", "line")
    assert [(key.columns, key.table, key.referred) for key in table.foreign_keys] == [
        (("customer",), "customers", ("id",))
    ]
    assert on.warehouse.table("mixed").primary_key == ()


# What it would cost


@promise
def statistics_of_a_small_table_are_exact(on: Subject) -> None:
    found = on.warehouse.statistics("mixed", most_rows=1000)
    assert (found.rows, found.rows_exact, found.sampled_rows) == (45, True, 45)
    a, b, c = (found.columns[name] for name in ("a", "b", "c"))
    assert (a.distinct, a.smallest, a.largest) == (2, "1", "2")
    assert (b.null_fraction, b.distinct, b.smallest, b.largest) == (0, 5, "", "ä")
    assert (c.distinct, c.smallest, c.largest) == (2, "-1", "0.5")
    assert a.null_fraction == c.null_fraction == pytest.approx(1 / 3)
    assert {one.source for one in (a, b, c)} == {"all rows"}
    refused = on.warehouse.statistics("refusals", most_rows=10)
    assert set(refused.columns) == {"id", "odd"} and refused.columns["odd"].distinct is None


@promise
def statistics_read_no_more_rows_than_allowed(on: Subject) -> None:
    found = on.warehouse.statistics("many", most_rows=500)
    assert 0 < found.sampled_rows <= 501
    assert not found.rows_exact
    assert found.rows is None or found.rows >= 501
    assert found.columns["i"].source != "all rows"
    with pytest.raises(WarehouseError, match="many"):
        on.warehouse.statistics("manny", most_rows=500)


@promise
def a_cost_is_estimated_and_nothing_is_run(on: Subject) -> None:
    for sql, parameters in ((ENDLESS, {}), (on.marked(_IN_WINDOW.format("aware")), _WINDOW)):
        with on.warehouse.within(_PATIENCE_SECONDS):
            cost = on.warehouse.cost(sql, parameters)
        for number in (cost.rows, cost.bytes, cost.bytes_read):
            assert number is None or number >= 0
    with pytest.raises(WarehouseError, match="flight_idd"):
        on.warehouse.cost("SELECT flight_idd FROM events", {})


# Ending a query


@promise
def a_query_whose_time_is_over_is_cancelled(on: Subject) -> None:
    with on.warehouse.within(0.2), pytest.raises(TookTooLong, match=r"did not answer within 0\.2 s"):
        on.rows(ENDLESS)
    with on.warehouse.within(0.2), on.warehouse.within(_PATIENCE_SECONDS), pytest.raises(TookTooLong):
        on.rows(ENDLESS)
    with on.warehouse.within(_PATIENCE_SECONDS):
        assert len(on.values("SELECT i FROM events")) == HOURS


@promise
def a_query_is_cancelled_from_another_thread(on: Subject) -> None:
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            on.rows(ENDLESS)
        except BaseException as error:
            ended.append(error)
        else:
            ended.append(None)

    on.values("SELECT i FROM events")
    on.warehouse.cancel()  # no query runs now
    asking = threading.Thread(target=run)
    asking.start()
    until = datetime.now(UTC) + timedelta(seconds=_PATIENCE_SECONDS)
    while asking.is_alive() and datetime.now(UTC) < until:
        on.warehouse.cancel()
        asking.join(0.05)
    assert len(ended) == 1 and isinstance(ended[0], QueryCancelled), ended
    on.warehouse.cancel()
    assert len(on.values("SELECT i FROM events")) == HOURS, "the next query runs"
