"""What every warehouse promises: bound instants, one total order, small batches, errors in a reader's words."""

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from resources.warehouse import TookTooLong, Warehouse, WarehouseError
from tests.resources.warehouse.conftest import marked, taken

WINDOW = {
    "window_start": datetime(2013, 1, 1, 2, tzinfo=UTC),
    "window_end": datetime(2013, 1, 1, 5, tzinfo=UTC),
}


@pytest.mark.parametrize("column", ["naive", "aware"])
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-5))])
def test_windows_are_half_open_and_in_utc(warehouse: Warehouse, column: str, zone: timezone) -> None:
    bounds = {name: instant.astimezone(zone) for name, instant in WINDOW.items()}
    sql = marked(warehouse, f"SELECT i FROM t WHERE {column} >= <window_start> AND {column} < <window_end>")
    assert taken(warehouse, sql, bounds, ("i",)).column("i").to_pylist() == [2, 3, 4]


def test_bounds_are_exact_to_the_microsecond(warehouse: Warehouse) -> None:
    sql = marked(warehouse, "SELECT i FROM t WHERE aware >= <window_start> AND aware < <window_end>")
    late = {**WINDOW, "window_start": WINDOW["window_start"] + timedelta(microseconds=1)}
    assert taken(warehouse, sql, late).column("i").to_pylist() == [3, 4]


def test_instants_leave_as_utc_whatever_the_machine_s_zone(warehouse: Warehouse) -> None:
    assert warehouse.describe("SELECT aware FROM t", {}).field("aware").type == pa.timestamp("us", "UTC")
    assert taken(warehouse, "SELECT aware FROM t WHERE i = 3").column("aware").to_pylist() == [
        datetime(2013, 1, 1, 3, tzinfo=UTC)
    ]


def test_a_parameter_is_no_part_of_a_text(warehouse: Warehouse) -> None:
    told = "$window_start :window_start $1 100%"
    sql = marked(
        warehouse, f"SELECT '{told}' AS told FROM t WHERE aware >= <window_start> AND aware < <window_end>"
    )
    assert taken(warehouse, sql, WINDOW).column("told").to_pylist() == [told] * 3


def test_rows_come_in_one_total_order_whatever_order_the_table_has(warehouse: Warehouse) -> None:
    values = [(a, b, c) for a in (2, None, 1) for b in ("y", "x", "ä", "Z", "") for c in (None, 0.5, -1.0)]

    def query(rows: list[tuple[int | None, str, float | None]]) -> str:
        told = ", ".join(
            f"({a if a is not None else 'NULL'}, '{b}', {f'{c}::float8' if c is not None else 'NULL'})"
            for a, b, c in rows
        )
        return f"SELECT * FROM (VALUES {told}) AS v(a, b, c)"

    one = taken(warehouse, query(values), order_by=("b",))
    two = taken(warehouse, query(values[::-1]), order_by=("b",))
    assert one.equals(two)
    assert one.column_names == ["a", "b", "c"]
    # By bytes, not by any language's alphabet; nulls last; what leads is equal, so the rest decides.
    assert one.column("b").to_pylist() == [b for b in ("", "Z", "x", "y", "ä") for _ in range(9)]
    assert one.column("a").to_pylist()[:9] == [1, 1, 1, 2, 2, 2, None, None, None]
    assert one.column("c").to_pylist()[:3] == [-1.0, 0.5, None]


def test_batches_are_no_larger_than_asked(warehouse: Warehouse) -> None:
    with warehouse.stream("SELECT i FROM wide", {}, order_by=["i"], batch_rows=5000) as batches:
        sizes = [batch.num_rows for batch in batches]
    assert sum(sizes) == 400_000
    assert max(sizes) <= 5000


def test_two_streams_of_one_warehouse_do_not_disturb_each_other(warehouse: Warehouse) -> None:
    sql = "SELECT i FROM wide"
    with (
        warehouse.stream(sql, {}, order_by=["i"], batch_rows=2048) as one,
        warehouse.stream(sql, {}, order_by=["i"], batch_rows=2048) as two,
    ):
        counts = [0, 0]
        for first, second in zip(one, two, strict=True):
            counts[0] += first.num_rows
            counts[1] += second.num_rows
    assert counts == [400_000, 400_000]


def test_a_stream_left_early_gives_everything_back(warehouse: Warehouse) -> None:
    before = threading.active_count()
    for _ in range(3):
        with warehouse.stream("SELECT i FROM wide", {}, order_by=["i"], batch_rows=10) as batches:
            next(batches)
        with warehouse.stream("SELECT i FROM wide", {}, order_by=["i"], batch_rows=10):
            pass
    with (
        pytest.raises(KeyError, match="the reader's"),
        warehouse.stream("SELECT i FROM wide", {}, order_by=["i"], batch_rows=10) as batches,
    ):
        next(batches)
        raise KeyError("the reader's own")
    assert taken(warehouse, "SELECT 1 AS one").num_rows == 1
    assert threading.active_count() == before


def test_an_empty_result_has_its_schema(warehouse: Warehouse) -> None:
    found = taken(warehouse, "SELECT * FROM raw.orders", order_by=('odd "name',))
    assert found.num_rows == 0
    assert found.schema.names == ["order_id", 'odd "name']


def test_a_refused_query_names_the_place_without_a_stack_trace(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r"sales.*flight_idd") as caught:
        warehouse.describe("SELECT flight_idd FROM t", {})
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    for wrong in ("SELEC 1", "SELECT i FROM nowhere", "SELECT i FROM t WHERE"):
        with pytest.raises(WarehouseError, match="refused"):
            taken(warehouse, wrong)


def test_a_fault_in_the_middle_of_the_rows_is_a_refusal_too(warehouse: Warehouse) -> None:
    sql = "SELECT CAST(CASE WHEN i = 399999 THEN 'abc' ELSE '1' END AS INTEGER) AS n FROM wide"
    with pytest.raises(WarehouseError, match="abc"):
        taken(warehouse, sql)
    assert taken(warehouse, "SELECT 1 AS one").num_rows == 1


def test_tables_and_columns_tell_near_misses(warehouse: Warehouse) -> None:
    assert warehouse.tables() == ["t", "wide", "raw.orders"]
    columns = warehouse.columns("raw.orders")
    assert [(c.name, c.arrow_type, c.nullable) for c in columns] == [
        ("order_id", pa.int32(), False),
        ('odd "name', pa.string(), True),
    ]
    with pytest.raises(WarehouseError, match=re.escape("Did you mean 'raw.orders'?")):
        warehouse.columns("raw.order")


@pytest.mark.parametrize(
    "write", [lambda: "DELETE FROM t", lambda: "WITH gone AS (DELETE FROM t RETURNING i) SELECT i FROM gone"]
)
def test_nothing_can_be_written(warehouse: Warehouse, write: Callable[[], str]) -> None:
    with pytest.raises(WarehouseError):
        taken(warehouse, write())
    assert taken(warehouse, "SELECT i FROM t").num_rows == 24


_ENDLESS = "SELECT count(*) AS n FROM wide AS a, wide AS b, wide AS c"


def test_a_query_whose_time_is_over_is_cancelled_and_the_next_one_is_not(warehouse: Warehouse) -> None:
    with warehouse.within(0.2), pytest.raises(TookTooLong, match=r"did not answer within 0\.2 s"):
        taken(warehouse, _ENDLESS)
    assert taken(warehouse, "SELECT count(*) AS n FROM t").column("n").to_pylist() == [24]


def test_of_two_bounds_the_earlier_one_counts(warehouse: Warehouse) -> None:
    with warehouse.within(0.2), warehouse.within(60), pytest.raises(TookTooLong):
        taken(warehouse, _ENDLESS)
    with warehouse.within(60):
        assert taken(warehouse, "SELECT count(*) AS n FROM t").column("n").to_pylist() == [24]
