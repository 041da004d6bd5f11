"""DuckDB: bound instants, one total order, flat memory, several readers, errors in a reader's words."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from resources.errors import PassingFault
from resources.warehouse import WarehouseError, open_warehouse
from resources.warehouse.duckdb import DuckDBWarehouse

WINDOW = {
    "window_start": datetime(2013, 1, 1, 2, tzinfo=UTC),
    "window_end": datetime(2013, 1, 1, 5, tzinfo=UTC),
}
HOURS = "SELECT i FROM t WHERE {} >= $window_start AND {} < $window_end"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("dwh") / "sales.duckdb"
    connection = duckdb.connect(str(file))
    connection.execute("SET TimeZone = 'America/New_York'")
    connection.execute(
        "CREATE TABLE t AS SELECT range AS i, TIMESTAMP '2013-01-01' + INTERVAL (range) HOUR AS naive, "
        "TIMESTAMPTZ '2013-01-01 00:00:00+00' + INTERVAL (range) HOUR AS aware FROM range(24)"
    )
    connection.execute("CREATE SCHEMA raw")
    connection.execute('CREATE TABLE raw.orders (order_id INTEGER NOT NULL, "odd ""name" VARCHAR)')
    connection.execute(
        "CREATE TABLE wide AS SELECT range AS i, repeat('x', 100) || range AS s FROM range(400000)"
    )
    connection.close()
    return file


@pytest.fixture
def warehouse(path: Path) -> Iterator[DuckDBWarehouse]:
    opened = DuckDBWarehouse(str(path), memory_limit="100MB")
    yield opened
    opened.close()


def taken(
    warehouse: DuckDBWarehouse,
    sql: str,
    parameters: dict[str, datetime] | None = None,
    order_by: tuple[str, ...] = (),
    batch_rows: int = 1000,
) -> pa.Table:
    with warehouse.stream(sql, parameters or {}, order_by=order_by, batch_rows=batch_rows) as batches:
        return pa.Table.from_batches(list(batches), warehouse.describe(sql, parameters or {}))


@pytest.mark.parametrize("column", ["naive", "aware"])
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-5))])
def test_windows_are_half_open_and_in_utc(warehouse: DuckDBWarehouse, column: str, zone: timezone) -> None:
    bounds = {name: instant.astimezone(zone) for name, instant in WINDOW.items()}
    found = taken(warehouse, HOURS.format(column, column), bounds, ("i",))
    assert found.column("i").to_pylist() == [2, 3, 4]


def test_instants_leave_as_utc_whatever_the_machine_s_zone(warehouse: DuckDBWarehouse) -> None:
    assert warehouse.describe("SELECT aware FROM t", {}).field("aware").type == pa.timestamp("us", "UTC")


def test_a_parameter_is_bound_and_never_part_of_the_text(warehouse: DuckDBWarehouse) -> None:
    sql = "SELECT '$window_start' AS told FROM t WHERE aware >= $window_start AND aware < $window_end"
    assert taken(warehouse, sql, WINDOW).column("told").to_pylist() == ["$window_start"] * 3


def test_rows_come_in_one_total_order_whatever_order_the_table_has(warehouse: DuckDBWarehouse) -> None:
    values = [(a, b, c) for a in (2, None, 1) for b in ("y", "x") for c in (None, 0.5, -1.0)]

    def query(rows: list[tuple[object, ...]]) -> str:
        told = ", ".join(
            f"({a if a is not None else 'NULL'}, '{b}', {c if c is not None else 'NULL'})" for a, b, c in rows
        )
        return f"SELECT * FROM (VALUES {told}) AS v(a, b, c)"

    one = taken(warehouse, query(values), order_by=("b",))
    two = taken(warehouse, query(values[::-1]), order_by=("b",))
    assert one.equals(two)
    assert one.column("b").to_pylist() == ["x"] * 9 + ["y"] * 9
    assert one.column_names == ["a", "b", "c"]


def test_batches_are_no_larger_than_asked(warehouse: DuckDBWarehouse) -> None:
    with warehouse.stream("SELECT i FROM wide", {}, order_by=["i"], batch_rows=5000) as batches:
        sizes = [batch.num_rows for batch in batches]
    assert sum(sizes) == 400_000
    assert max(sizes) <= 5000


def test_two_streams_of_one_warehouse_do_not_disturb_each_other(warehouse: DuckDBWarehouse) -> None:
    how = {"order_by": ["i"], "batch_rows": 2048}
    with (
        warehouse.stream("SELECT i FROM wide", {}, **how) as one,
        warehouse.stream(  # type: ignore[arg-type]
            "SELECT i FROM wide",
            {},
            **how,  # type: ignore[arg-type]
        ) as two,
    ):
        counts = [sum(batch.num_rows for pair in zip(one, two, strict=True) for batch in pair)]
    assert counts == [800_000]


def test_a_stream_left_early_gives_everything_back(warehouse: DuckDBWarehouse) -> None:
    for _ in range(3):
        with warehouse.stream("SELECT i FROM wide", {}, order_by=["i"], batch_rows=10) as batches:
            next(batches)
    assert taken(warehouse, "SELECT 1 AS one").num_rows == 1


def test_one_process_may_open_a_file_twice_with_other_limits(path: Path) -> None:
    one = DuckDBWarehouse(str(path), memory_limit="64MB")
    two = DuckDBWarehouse(str(path), memory_limit="128MB")
    try:
        assert taken(one, "SELECT count(*) AS n FROM t").equals(taken(two, "SELECT count(*) AS n FROM t"))
    finally:
        one.close()
        two.close()


def test_sorting_more_than_the_memory_spills(warehouse: DuckDBWarehouse) -> None:
    # 400,000 rows of over 100 bytes twice over, within 100 MB.
    found = taken(warehouse, "SELECT s, s || s AS ss FROM wide", order_by=("s",), batch_rows=50_000)
    assert found.num_rows == 400_000


def test_a_refused_query_names_the_place_without_a_stack_trace(warehouse: DuckDBWarehouse) -> None:
    with pytest.raises(WarehouseError, match=r"sales\.duckdb.*flight_idd") as caught:
        warehouse.describe("SELECT flight_idd FROM t", {})
    assert caught.value.__cause__ is None
    with pytest.raises(WarehouseError, match="refused"):
        taken(warehouse, "SELECT i FROM t WHERE i >= $window_start", {})


def test_a_fault_in_the_middle_of_the_rows_is_a_refusal_too(warehouse: DuckDBWarehouse) -> None:
    with pytest.raises(WarehouseError, match="abc"):
        taken(
            warehouse, "SELECT CAST(CASE WHEN i = 399999 THEN 'abc' ELSE '1' END AS INTEGER) AS n FROM wide"
        )


def test_tables_and_columns_tell_near_misses(warehouse: DuckDBWarehouse) -> None:
    assert warehouse.tables() == ["t", "wide", "raw.orders"]
    columns = warehouse.columns("raw.orders")
    assert [(c.name, c.arrow_type, c.nullable) for c in columns] == [
        ("order_id", pa.int32(), False),
        ('odd "name', pa.string(), True),
    ]
    with pytest.raises(WarehouseError, match=re.escape("Did you mean 'raw.orders'?")):
        warehouse.columns("raw.order")
    assert taken(warehouse, "SELECT * FROM raw.orders", order_by=('odd "name',)).num_rows == 0


def test_tables_may_be_named_by_schema_and_by_file(warehouse: DuckDBWarehouse) -> None:
    for name in ("t", "main.t", "sales.main.t"):
        assert taken(warehouse, f"SELECT i FROM {name}").num_rows == 24


def test_nothing_can_be_written(warehouse: DuckDBWarehouse) -> None:
    with pytest.raises(WarehouseError, match="read-only"), warehouse._query("DELETE FROM t", {}, 1):
        pass


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="there is no such DuckDB file"):
        DuckDBWarehouse(str(tmp_path / "no.duckdb")).tables()
    (tmp_path / "text.duckdb").write_text("hello" * 1000)
    with pytest.raises(WarehouseError, match="not a valid DuckDB database"):
        DuckDBWarehouse(str(tmp_path / "text.duckdb")).tables()
    with pytest.raises(WarehouseError, match="Memory"):
        duckdb.connect(str(tmp_path / "ok.duckdb")).close()
        DuckDBWarehouse(str(tmp_path / "ok.duckdb"), memory_limit="lots").tables()


def test_a_writer_s_lock_is_a_passing_fault(tmp_path: Path) -> None:
    file = tmp_path / "locked.duckdb"
    code = f"import duckdb; c = duckdb.connect({str(file)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None and writer.stdin is not None
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(PassingFault, match="a writer holds DuckDB's lock"):
            DuckDBWarehouse(str(file)).tables()
        writer.stdin.write("\n")
        writer.stdin.close()
    other = DuckDBWarehouse(str(file))
    assert other.tables() == []
    other.close()


def test_a_warehouse_is_found_by_its_name() -> None:
    known = {"default": "duckdb:///x.duckdb", "sales": "oracle://me:hunter2@db"}
    assert isinstance(open_warehouse("default", known, memory_limit="1GB"), DuckDBWarehouse)
    with pytest.raises(WarehouseError, match=r"Did you mean 'sales'.*SLUICE_WAREHOUSE_SALE"):
        open_warehouse("sale", known, memory_limit="1GB")
    with pytest.raises(WarehouseError, match="no driver for oracle://") as caught:
        open_warehouse("sales", known, memory_limit="1GB")
    assert "hunter2" not in str(caught.value)
