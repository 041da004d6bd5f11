"""Statistics and costs: what each kind of warehouse knows by itself, and what is computed from rows."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.warehouse import Column, SourceTable, Warehouse
from resources.warehouse.statistics import ColumnStatistics, TableStatistics, of_rows
from tests.fixtures_postgres import PostgresServer, execute
from tests.resources.warehouse.conftest import opened

_ROWS = 50_000


@pytest.fixture
def postgresql(postgres: PostgresServer) -> Iterator[Warehouse]:
    url = postgres.new_database()
    execute(
        url,
        f"""
        CREATE TABLE big AS SELECT i, i % 10 AS digit, CASE WHEN i % 4 = 0 THEN i END AS quarter, make_date(2020, 1, 1) AS day
            FROM generate_series(1, {_ROWS}) AS r(i);
        CREATE TABLE stale AS SELECT 1 AS i;
        CREATE VIEW seen AS SELECT * FROM big;
        ANALYZE;
        INSERT INTO stale SELECT * FROM generate_series(1, {_ROWS});
        """,
    )
    with closing(opened(url)) as made:
        yield made


def test_postgresql_answers_from_its_own_statistics_and_a_sample(postgresql: Warehouse) -> None:
    found = postgresql.statistics("big", most_rows=1000)
    assert found.rows == pytest.approx(_ROWS, rel=0.05) and not found.rows_exact
    assert 0 < found.sampled_rows <= 1000
    assert found.columns["digit"].source == "catalogue"
    assert (found.columns["digit"].distinct, found.columns["digit"].smallest) == (10, "0")
    assert found.columns["i"].distinct == pytest.approx(_ROWS, rel=0.05)
    assert found.columns["quarter"].null_fraction == pytest.approx(0.75, abs=0.05)
    assert found.columns["day"].largest == "2020-01-01"


def test_of_a_view_and_of_a_table_that_has_grown_the_number_of_rows_is_not_known(
    postgresql: Warehouse,
) -> None:
    for table in ("seen", "stale"):
        found = postgresql.statistics(table, most_rows=1000)
        assert (found.rows, found.rows_exact, found.sampled_rows) == (None, False, 1001), table


def test_postgresql_estimates_rows_and_bytes(postgresql: Warehouse) -> None:
    cost = postgresql.cost("SELECT i, digit FROM big WHERE digit = 3", {})
    assert cost.rows == pytest.approx(_ROWS / 10, rel=0.2)
    assert cost.bytes == cost.rows * 8
    assert cost.bytes_read is None


def test_duckdb_samples_blocks_of_a_large_table_and_estimates_rows(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "big.duckdb") as connection:
        connection.execute(
            f"CREATE TABLE big AS SELECT i, i % 10 AS digit, INTERVAL 1 DAY AS span FROM range({_ROWS}) r(i); "
            "CREATE SCHEMA s; CREATE TABLE s.small AS SELECT 7 AS n; CREATE VIEW seen AS FROM big"
        )
    with closing(opened(f"duckdb://{tmp_path / 'big.duckdb'}")) as warehouse:
        found = warehouse.statistics("big", most_rows=1000)
        assert (found.rows, found.rows_exact) == (_ROWS, False)
        assert 0 < found.sampled_rows <= 1000
        assert (found.columns["digit"].distinct, found.columns["digit"].source) == (10, "sample")
        assert found.columns["span"] == ColumnStatistics()
        assert found == warehouse.statistics("big", most_rows=1000), "the same rows each time"
        assert warehouse.statistics("s.small", most_rows=5).columns["n"].largest == "7"
        assert warehouse.statistics("seen", most_rows=5).rows is None
        cost = warehouse.cost("SELECT * FROM big", {})
        assert (cost.rows, cost.bytes) == (_ROWS, None)


def test_rows_of_every_kind_of_type_have_statistics() -> None:
    rows = pa.table(
        {
            "list": [[1], None],
            "struct": [{"a": 1}, {"a": 2}],
            "flag": [True, None],
            "raw": [b"\x01", b"\xff"],
            "price": [Decimal("1.50"), Decimal("-2.00")],
            "label": pa.array(["b", "a"]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
    )
    found = of_rows(rows.to_batches(), rows.schema).columns
    assert found["list"] == ColumnStatistics(0.5)
    assert found["struct"].null_fraction == 0
    assert (found["flag"].distinct, found["flag"].smallest) == (1, "true")
    assert (found["raw"].smallest, found["raw"].largest) == ("01", "ff")
    assert (found["price"].smallest, found["price"].largest) == ("-2.00", "1.50")
    assert (found["label"].smallest, found["label"].distinct) == ("a", 2)
    assert found["nothing"].null_fraction == 1
    assert of_rows([], rows.schema).columns["flag"] == ColumnStatistics(None, 0)


@given(st.integers(0, 20), st.none() | st.integers(0, 20), st.integers(1, 10))
def test_a_sample_is_the_table_only_where_it_came_to_its_end(
    there: int, kept: int | None, most_rows: int
) -> None:
    """`there` rows are in the table, and the catalogue says that there are `kept`."""
    limit = most_rows + 1 if kept is None or kept <= most_rows else most_rows
    sampled = min(there, limit)
    table = SourceTable(("t",), (Column("a", pa.int64(), True),))
    found = TableStatistics(None, False, sampled, {}).as_of(table, kept, most_rows)
    assert found.rows_exact is (there <= most_rows and (kept is None or kept <= most_rows))
    assert not found.rows_exact or found.rows == there
    assert found.rows is None or found.rows >= sampled
    assert found.columns["a"].source == ("all rows" if found.rows_exact else "sample")
