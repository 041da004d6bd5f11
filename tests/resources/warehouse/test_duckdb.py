"""Only DuckDB: several readers of one file, memory, locks, files that are not databases.
For the rest see test_contract."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from resources.errors import TransientError
from resources.process.scratch import ScratchFull
from resources.warehouse import WarehouseError, open_warehouse
from resources.warehouse.duckdb.engines import Work
from resources.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.resources.warehouse.conftest import taken


@pytest.fixture
def warehouse(path: Path) -> Iterator[DuckDBWarehouse]:
    opened = DuckDBWarehouse(str(path), memory_limit="128MB")
    yield opened
    opened.close()


def test_one_process_may_open_a_file_twice_with_other_limits(path: Path) -> None:
    one = DuckDBWarehouse(str(path), memory_limit="64MB")
    two = DuckDBWarehouse(str(path), memory_limit="128MB")
    try:
        assert taken(one, "SELECT count(*) AS n FROM t").equals(taken(two, "SELECT count(*) AS n FROM t"))
    finally:
        one.close()
        two.close()


def test_sorting_more_than_the_memory_spills(warehouse: DuckDBWarehouse) -> None:
    # 400,000 rows of over 100 bytes, twice, within 128 MB.
    found = taken(warehouse, "SELECT s, s || s AS ss FROM wide", order_by=("s",), batch_rows=50_000)
    assert found.num_rows == 400_000


def test_a_sort_without_room_to_spill_is_no_fault_of_the_query(path: Path) -> None:
    tight = DuckDBWarehouse(str(path), memory_limit="40MB")
    try:
        for work in Work:
            tight._engines.get(work).execute("SET max_temp_directory_size = '1MB'")
        with pytest.raises(ScratchFull, match="no room"):
            taken(tight, "SELECT s, s || s AS ss FROM wide", order_by=("s",), batch_rows=50_000)
    finally:
        tight.close()


@pytest.mark.parametrize(
    "stem",
    ["main", "MAIN", "information_schema", "pg_catalog", "temp", "system", "memory", "a.b", "a b", "größe"],
)
def test_a_file_of_any_name_is_read(tmp_path: Path, stem: str) -> None:
    with duckdb.connect(str(tmp_path / "made.duckdb")) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 7 AS n")
    (tmp_path / "made.duckdb").rename(tmp_path / f"{stem}.duckdb")
    with closing(DuckDBWarehouse(str(tmp_path / f"{stem}.duckdb"))) as warehouse:
        assert warehouse.tables() == ["orders"]
        for table in ("orders", "main.orders"):
            assert warehouse.plain_rows(f"SELECT n FROM {table}", {}, {}, most_rows=1) == [{"n": 7}]


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
        with pytest.raises(TransientError, match="a writer holds DuckDB's lock"):
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
