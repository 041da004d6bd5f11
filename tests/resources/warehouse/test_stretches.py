"""A sort that is done part by part gives the rows of one sort, and every row once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.warehouse import OutOfOrder, WarehouseError
from resources.warehouse.duckdb import warehouse as module
from resources.warehouse.duckdb.engines import Work
from resources.warehouse.duckdb.stretches import bounds, conditions
from resources.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.resources.warehouse.conftest import taken

ROWS = 150_000
# Shares of the memory that divide these rows into about seven sorts.
IN_PARTS = ((Work.SORTING, 0.008),)
TYPES = ["TIMESTAMPTZ", "TIMESTAMP_NS", "DATE", "BIGINT", "VARCHAR"]


@given(
    sample=st.lists(st.none() | st.integers(-5, 5)),
    stretches=st.integers(1, 9),
    rows=st.lists(st.none() | st.integers(-9, 9)),
)
@settings(deadline=None)
def test_every_row_is_in_one_stretch_and_they_follow_each_other(
    sample: list[int | None], stretches: int, rows: list[int | None]
) -> None:
    ends = bounds(pa.array(sample, pa.int64()), stretches)
    assert ends == sorted(set(ends))
    assert len(ends) < stretches
    found: list[int | None] = []
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (i BIGINT)")
        connection.executemany("INSERT INTO t VALUES (?)", [[row] for row in rows or [None]])
        for condition, parameters in conditions("i", ends):
            query = f"SELECT i FROM t WHERE {condition} ORDER BY i"
            found += [row for (row,) in connection.execute(query, parameters or None).fetchall()]
        whole = [row for (row,) in connection.execute("SELECT i FROM t ORDER BY i").fetchall()]
    assert found == whole


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unordered rows; some without an instant, many with the same one."""
    path = tmp_path_factory.mktemp("shuffled") / "shuffled.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"""CREATE TABLE t AS SELECT
                'k' || (i % 977) AS key, i AS n,
                CASE WHEN i % 101 > 0 THEN TIMESTAMPTZ '2013-01-01 00:00:00+00' + (hash(i) % 1000)::BIGINT * INTERVAL 8600 SECOND END AS moment
            FROM range({ROWS}) AS r(i)"""
        )
    return path


@pytest.mark.parametrize("kind", TYPES)
def test_stretches_give_the_bytes_of_one_sort(
    shuffled: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = {"BIGINT": "epoch_us(moment)", "VARCHAR": "moment::VARCHAR"}.get(
        kind, f"moment::TIMESTAMP::{kind}"
    )
    sql = f"SELECT {moment} AS happened, key, n FROM t WHERE moment IS NULL OR moment >= $window_start"
    start = {"window_start": datetime(2013, 1, 1, 1, tzinfo=UTC)}
    queries: list[str] = []
    query = DuckDBWarehouse._query

    def noted(self: DuckDBWarehouse, sql: str, *others: object) -> object:
        queries.append(sql)
        return query(self, sql, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(DuckDBWarehouse, "_query", noted)
    found: list[pa.Table] = []
    for in_parts in (False, True):
        if in_parts:
            monkeypatch.setattr(module, "_SORTS", IN_PARTS)
        warehouse = DuckDBWarehouse(str(shuffled))
        try:
            with warehouse.stream(sql, start, order_by=("happened", "key"), batch_rows=10_000) as batches:
                found.append(pa.Table.from_batches(batches).combine_chunks())
        finally:
            warehouse.close()
    assert found[0].equals(found[1])
    assert found[0].column("happened").null_count > 1000
    assert sum("ORDER BY" in sql for sql in queries) >= 1 + 5, "one sort, and then several"


def test_a_query_that_needs_more_memory_is_no_wrong_query(shuffled: Path) -> None:
    warehouse = DuckDBWarehouse(str(shuffled), memory_limit="4MB")
    try:
        with pytest.raises(WarehouseError, match="more memory than it may have") as told:
            taken(warehouse, "SELECT list(key || n) AS all FROM t")
        assert "SLUICE_MEMORY_LIMIT" in str(told.value.next_step)
    finally:
        warehouse.close()


def test_rows_that_are_others_at_each_look_are_not_taken_from_several(
    shuffled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SORTS", IN_PARTS)
    sql = "SELECT moment AS happened, key, n FROM t WHERE random() < 0.9"
    warehouse = DuckDBWarehouse(str(shuffled))
    try:
        with pytest.raises(OutOfOrder):
            taken(warehouse, sql, order_by=("happened", "key"))
        assert taken(warehouse, sql, order_by=("happened", "key")).num_rows > ROWS // 2
    finally:
        warehouse.close()


def test_few_rows_are_not_counted_and_many_behind_them_are_found_out(
    shuffled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT moment AS happened, key, n, repeat(key, 50) AS wide FROM t WHERE n < epoch($rows)"
    counted: list[str] = []
    stretches = DuckDBWarehouse._stretches

    def noted(self: DuckDBWarehouse, sql: str, *others: object) -> object:
        counted.append(sql)
        return stretches(self, sql, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(DuckDBWarehouse, "_stretches", noted)
    warehouse = DuckDBWarehouse(str(shuffled), memory_limit="16MB")

    def rows(count: int) -> int:
        told = {"rows": datetime.fromtimestamp(count, UTC)}
        with warehouse.stream(sql, told, order_by=("happened", "key"), batch_rows=1000) as batches:
            return sum(batch.num_rows for batch in batches)

    try:
        assert rows(500) == 500
        assert len(counted) == 1, "the first window of a query"
        assert rows(600) == 600
        assert len(counted) == 1
        query = DuckDBWarehouse._batches

        def too_many(
            self: DuckDBWarehouse, reader: pa.RecordBatchReader, sql: str
        ) -> Iterator[pa.RecordBatch]:
            raise module.refused("warehouse", duckdb.OutOfMemoryException("64 MB used"), sql)  # type: ignore[attr-defined]
            yield from query(self, reader, sql)

        with monkeypatch.context() as tight:
            tight.setattr(DuckDBWarehouse, "_batches", too_many)
            with pytest.raises(OutOfOrder, match="too many to be sorted"):
                rows(ROWS)
        monkeypatch.setattr(module, "_SORTS", IN_PARTS)
        monkeypatch.setattr(module, "_SORTED_BYTES", 1000)
        assert rows(ROWS) == ROWS
        assert len(counted) == 2
        with monkeypatch.context() as tight, pytest.raises(WarehouseError, match="more memory") as told:
            tight.setattr(DuckDBWarehouse, "_batches", too_many)
            rows(ROWS)
        assert not isinstance(told.value, OutOfOrder), "counted rows that are too many are so for good"
    finally:
        warehouse.close()


@pytest.mark.parametrize(("columns", "rows"), [(10, 80_000), (50, 15_000)])
def test_wide_rows_in_no_order_are_sorted_in_the_memory_there_is(
    tmp_path: Path, columns: int, rows: int
) -> None:
    texts = ", ".join(
        f"md5((i + {place})::VARCHAR) || repeat('x', 168) AS c{place}" for place in range(columns)
    )
    moment = "TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_microseconds((hash(i) % 86400)::BIGINT * 1000000)"
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute(
            f"CREATE TABLE t AS SELECT {moment} AS happened, i AS n, {texts} FROM range({rows}) AS r(i)"
        )
        wanted = connection.sql("SELECT n, c1 FROM t ORDER BY happened, n").to_arrow_table()
    warehouse = DuckDBWarehouse(str(tmp_path / "w.duckdb"))

    def streamed() -> pa.Table:
        with warehouse.stream("SELECT * FROM t", {}, order_by=("happened", "n"), batch_rows=4096) as batches:
            return pa.Table.from_batches([batch.select(["n", "c1"]) for batch in batches])

    try:
        for _ in range(2):
            with pytest.raises(OutOfOrder, match="too wide"):
                streamed()
        assert streamed().equals(wanted)
    finally:
        warehouse.close()


@pytest.mark.parametrize(("columns", "times"), [(2, 0), (18, 1), (60, 2)])
def test_wide_rows_in_order_get_as_much_memory_as_they_need(tmp_path: Path, columns: int, times: int) -> None:
    texts = ", ".join(
        f"md5((i + {place})::VARCHAR) || repeat('x', 100) AS c{place}" for place in range(columns)
    )
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        moment = "TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_microseconds(i)"
        connection.execute(
            f"CREATE TABLE t AS SELECT {moment} AS happened, i AS n, {texts} FROM range(70000) AS r(i)"
        )
    warehouse = DuckDBWarehouse(str(tmp_path / "w.duckdb"))

    def streamed() -> pa.Table:
        with warehouse.stream("SELECT * FROM t", {}, order_by=("happened", "n"), batch_rows=4096) as batches:
            return pa.Table.from_batches([batch.select(["n"]) for batch in batches])

    try:
        for _ in range(times):
            with pytest.raises(OutOfOrder, match="too wide"):
                streamed()
        assert streamed().column("n").to_pylist() == list(range(70_000))
        assert warehouse._appended == {"SELECT * FROM t": True}, "read as they lie, not sorted"
    finally:
        warehouse.close()


@pytest.mark.parametrize("kind", [pa.timestamp("us", "UTC"), pa.timestamp("s"), pa.date32()])
def test_a_stretch_ends_at_no_value_that_python_lacks(kind: pa.DataType) -> None:
    count = pa.int32() if pa.types.is_date(kind) else pa.int64()
    largest = 2 ** (count.bit_width - 1) - 1
    sample = pa.array([-largest, 0, 1, 2, largest, largest], count).view(kind)
    ends = bounds(sample, 6)
    assert ends == sample.slice(1, 3).to_pylist()
