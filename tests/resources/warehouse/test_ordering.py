"""Rows that come in their order are not sorted, and the result is the same as if they had been."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.warehouse.duckdb.engines import Work
from resources.warehouse.duckdb.ordering import Ascending
from resources.warehouse.duckdb.warehouse import DuckDBWarehouse

COUNT = 100_000
_ROW = f"""
    SELECT i AS amount, printf('k%07d', i) AS id,
           TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_microseconds((i // 3) * 1000) AS seen
    FROM range({COUNT}) AS t(i)
"""


@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.integers(-3, 3), st.none() | st.text(alphabet="aé\U0001f600\uffff", max_size=2)
        ),
        max_size=8,
    ),
    cut=st.integers(1, 8),
)
def test_ascending_is_what_python_says_of_the_bytes(
    rows: list[tuple[int | None, str | None]], cut: int
) -> None:
    batch = pa.record_batch(
        [pa.array([r[0] for r in rows], pa.timestamp("us")), pa.array([r[1] for r in rows], pa.string())],
        names=["at", "id"],
    )
    plain = [(at, key.encode()) for at, key in rows if at is not None and key is not None]
    expected = len(plain) == len(rows) and all(a < b for a, b in pairwise(plain))
    ascending = Ascending(("at", "id"))
    assert all(ascending.goes_on(batch.slice(n, cut)) for n in range(0, len(rows), cut)) is expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([1.0, 2.0]), pa.array(["a", "b"])),
        (pa.array(["a", "b"]), pa.array(["a", "b"])),
        (pa.array([1, 2]), pa.array([1.0, 2.0])),
    ],
)
def test_types_that_engines_order_differently_are_never_ascending(first: pa.Array, second: pa.Array) -> None:
    assert not Ascending(("x", "y")).goes_on(pa.record_batch([first, second], names=["x", "y"]))


@pytest.fixture
def sorts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """For each stream from now on: whether the engine sorted it."""
    seen: list[bool] = []
    real = DuckDBWarehouse._query

    def query(
        self: DuckDBWarehouse, sql: str, parameters: object, batch_rows: int, work: Work = Work.ANYTHING
    ) -> object:
        if sql.startswith("SELECT *") and " LIMIT " not in sql:
            seen.append("ORDER BY" in sql)
        return real(self, sql, parameters, batch_rows, work)  # type: ignore[arg-type]

    monkeypatch.setattr(DuckDBWarehouse, "_query", query)
    yield seen


def made(tmp_path: Path, rows: str, *, columns: str = "") -> DuckDBWarehouse:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE t {columns} AS {rows}")
    return DuckDBWarehouse(str(tmp_path / "w.duckdb"))


def streamed(warehouse: DuckDBWarehouse, sql: str = "SELECT amount, id, seen FROM t") -> pa.Table:
    with warehouse.stream(sql, {}, order_by=["seen", "id"], batch_rows=10_000) as batches:
        return pa.Table.from_batches(batches, warehouse.describe(sql, {}))


@pytest.mark.parametrize(
    ("order", "sql", "sorted_"),
    [
        ("seen, id", "SELECT amount, id, seen FROM t", False),
        ("seen, id", "SELECT amount, upper(id) AS id, seen FROM t WHERE amount % 5 > 0", False),
        ("seen, id DESC", "SELECT amount, id, seen FROM t", True),
        ("amount = 99999 DESC, seen, id", "SELECT amount, id, seen FROM t", True),
        ("seen, id", "SELECT amount, 'same' AS id, seen FROM t", True),
        ("seen, id", "SELECT amount, nullif(id, 'k0050000') AS id, seen FROM t", True),
        ("seen, id", "SELECT amount, id COLLATE NOCASE AS id, seen FROM t", True),
        ("seen, id", "SELECT amount, id, seen FROM t ORDER BY amount", True),
        ("seen, id", "SELECT amount, id, max(seen) AS seen FROM t GROUP BY ALL", True),
        ("seen, id", "SELECT t.amount, t.id, t.seen FROM t JOIN t AS u USING (amount)", True),
    ],
)
def test_rows_are_sorted_where_they_must_be_and_come_out_the_same(
    tmp_path: Path, sorts: list[bool], order: str, sql: str, sorted_: bool
) -> None:
    warehouse = made(tmp_path, f"{_ROW} ORDER BY {order}")
    found = streamed(warehouse, sql)
    assert sorts == [sorted_]
    with warehouse._query(f"SELECT * FROM ({sql}) ORDER BY seen, id, amount", {}, 10_000) as reader:
        assert found.equals(reader.read_all())
    warehouse.close()


def test_a_query_with_few_rows_in_a_window_is_sorted_without_a_look(
    tmp_path: Path, sorts: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = made(tmp_path, f"{_ROW} LIMIT 1000")
    expected = streamed(warehouse)
    assert sorts == [False]
    monkeypatch.setattr(Ascending, "goes_on", lambda *_: pytest.fail("looked"))
    assert streamed(warehouse).equals(expected)
    assert sorts == [False, True]
    warehouse.close()


def test_a_table_whose_text_is_collated_is_sorted(tmp_path: Path, sorts: list[bool]) -> None:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("CREATE TABLE t (amount BIGINT, id VARCHAR COLLATE NOCASE, seen TIMESTAMPTZ)")
        connection.execute("INSERT INTO t VALUES (1, 'B', '2013-01-01'), (2, 'a', '2013-01-01')")
    warehouse = DuckDBWarehouse(str(tmp_path / "w.duckdb"))
    assert streamed(warehouse)["amount"].to_pylist() == [2, 1]
    assert sorts == [True]
    warehouse.close()


@pytest.mark.parametrize(("order", "work"), [("seen, id", Work.PASSING), ("hash(id)", Work.SORTING)])
def test_the_rows_of_one_table_take_one_thread_and_less_memory(
    tmp_path: Path, order: str, work: Work
) -> None:
    warehouse = made(tmp_path, f"{_ROW} ORDER BY {order}")
    with warehouse.stream(
        "SELECT amount, id, seen FROM t", {}, order_by=["seen", "id"], batch_rows=10_000
    ) as batches:
        next(batches)
        assert work in warehouse._engines._opened
        asked = "SELECT current_setting('threads'), current_setting('memory_limit')"
        limits = {w: warehouse._engines.get(w).execute(asked).fetchall()[0] for w in (Work.ANYTHING, work)}
    assert limits[work][0] == 1
    share = {Work.PASSING: 0.125, Work.SORTING: 0.375}[work]
    mebibytes = {w: float(limits[w][1].removesuffix(" MiB")) for w in limits}
    assert mebibytes[work] == pytest.approx(mebibytes[Work.ANYTHING] * share, rel=0.02)
    warehouse.close()
    assert not warehouse._engines._opened


def test_one_thread_sorts_wide_rows_in_its_share_of_the_memory(tmp_path: Path, sorts: list[bool]) -> None:
    wide = "SELECT i AS amount, repeat('x', 200) || i AS id, TIMESTAMPTZ '2013-01-01' AS seen FROM range(400000) AS t(i)"
    warehouse = made(tmp_path, f"{wide} ORDER BY hash(i)")
    with warehouse.stream(
        "SELECT amount, id, seen FROM t", {}, order_by=["seen", "id"], batch_rows=50_000
    ) as batches:
        assert sum(batch.num_rows for batch in batches) == 400_000
        assert sorts == [True] and Work.SORTING_LONG in warehouse._engines._opened
    warehouse.close()


def test_engines_of_large_windows_are_given_back_when_nobody_reads(tmp_path: Path) -> None:
    warehouse = made(tmp_path, f"{_ROW} ORDER BY seen, id")
    sql = "SELECT amount, id, seen FROM t"
    with warehouse.stream(sql, {}, order_by=["seen", "id"], batch_rows=10_000) as outer:
        next(outer)
        assert streamed(warehouse).num_rows == COUNT
        assert Work.PASSING in warehouse._engines._opened
        assert sum(batch.num_rows for batch in outer) == COUNT - 10_000
    assert set(warehouse._engines._opened) == {Work.ANYTHING}
    assert streamed(warehouse).num_rows == COUNT
    warehouse.close()


@pytest.mark.parametrize("memory", ["as it is", "too little"])
def test_rows_of_a_large_window_are_asked_for_again_where_they_were_read(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another engine would read the same blocks into its own memory. If the first engine has too little
    memory, the other one answers."""
    warehouse = made(tmp_path, f"{_ROW} ORDER BY seen, id")
    sql = "SELECT amount, id, seen FROM t"
    asked: list[Work] = []
    cursor = warehouse._engines.cursor
    monkeypatch.setattr(warehouse._engines, "cursor", lambda work: asked.append(work) or cursor(work))
    with warehouse.stream(sql, {}, order_by=["seen", "id"], batch_rows=10_000) as batches:
        assert sum(batch.num_rows for batch in batches) == COUNT
        if memory == "too little":
            warehouse._engines.get(Work.PASSING).execute("SET memory_limit = '10kB'")
        asked.clear()
        (row,) = warehouse.plain_rows(sql, {}, {"id": ["k0000007"]}, most_rows=1)
        assert row["amount"] == 7
        assert asked == [Work.PASSING, *[Work.ANYTHING] * (memory == "too little")]
        asked.clear()
        warehouse.plain_rows(sql, {}, {"id": ["k0000007"]}, most_rows=1, in_full=True)
        assert asked == [Work.ANYTHING]
    warehouse.close()
