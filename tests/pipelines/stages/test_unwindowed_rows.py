"""Rows that belong to no window are counted, in both warehouses, whatever their time is."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import daily, monthly
from pipelines.authoring.sql.analysis import analyse
from pipelines.authoring.windows import Windows
from pipelines.stages.unwindowed_rows import Unwindowed, count_rows, stands_in
from resources.warehouse import Warehouse, open_warehouse
from tests.fixtures_postgres import PostgresServer, execute
from tests.matrix import one_of

NOW = datetime(2024, 6, 1, tzinfo=UTC)
MONTHS = monthly("2024-01-01", "2024-04-01")
W = datetime(2024, 6, 1, tzinfo=UTC)
MONTHS = monthly("2024-01-01", "2024-04-01")
STARTS = [
    MONTHS.window(f"2024-0{month}") if False else window for month, window in enumerate(MONTHS.parse("2024"))
]
W = "ts >= :window_start AND ts < :window_end"  # type: ignore[assignment]
BOTH = [
    f"SELECT id, ts FROM rows_of_it WHERE {W}",
    f"SELECT id FROM rows_of_it AS r WHERE (id > 2 AND ({W}))",
    "SELECT id FROM rows_of_it WHERE ts >= CAST(:window_start AS TIMESTAMP) AND ts < CAST(:window_end AS TIMESTAMP)",
    "SELECT id FROM rows_of_it WHERE CAST(ts AS DATE) >= CAST(:window_start AS DATE) AND CAST(ts AS DATE) < CAST(:window_end AS DATE)",
    "SELECT id FROM rows_of_it WHERE ts AT TIME ZONE 'UTC' >= :window_start AND ts AT TIME ZONE 'UTC' < :window_end",
    f"WITH w AS (SELECT * FROM rows_of_it WHERE {W}) SELECT id FROM w",
    f"SELECT id FROM rows_of_it WHERE id < 3 AND {W} UNION ALL SELECT id FROM rows_of_it WHERE {W} AND id >= 3",
    f"SELECT r.id FROM rows_of_it AS r JOIN rows_of_it AS s USING (id) WHERE {W.replace('ts', 'r.ts')}",  # type: ignore[arg-type]
    f"SELECT id FROM rows_of_it WHERE {W} AND ts >= :window_start - INTERVAL '2 days' AND ts < :window_end + INTERVAL '1 day'",
    f"SELECT id FROM rows_of_it WHERE {W} AND ts + INTERVAL '20 days' < :window_end",
    "SELECT id FROM rows_of_it WHERE ts -- (\n >= /* of */ :window_start AND ts < :window_end",
]  # fmt: skip
ODD = [
    "infinity",
    "-infinity",
    "0044-03-15 (BC)",
    "12000-01-01",
    "1900-01-01",
    "9999-12-31",
    "0001-01-01",
    None,
]
PLAIN = ["2023-12-31 23:59:59.999999", "2024-01-01", "2024-02-29 12:00:00", "2024-03-31 23:59:59", "2024-04-01", "2031-01-01"]  # fmt: skip


class DuckDB:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "w.duckdb"

    def of(self, times: Sequence[str | None]) -> Warehouse:
        self._path.unlink(missing_ok=True)
        with duckdb.connect(str(self._path)) as connection:
            connection.execute("CREATE TABLE rows_of_it (id INTEGER, ts TIMESTAMP)")
            connection.executemany("INSERT INTO rows_of_it VALUES (?, ?)", list(enumerate(times)))
        return open_warehouse("default", {"default": f"duckdb://{self._path}"}, memory_limit="128MB")


def taken(query: str, warehouse: Warehouse, windows: Windows = MONTHS) -> int:
    """How many rows the query returns, window by window."""
    sql = analyse(query)[0].bound(warehouse.parameter_style).sql
    rows = 0
    for window in windows.parse("2024"):
        bounds = {"window_start": window.start, "window_end": window.end}
        with warehouse.stream(sql, bounds, order_by=[], batch_rows=100) as batches:
            rows += sum(batch.num_rows for batch in batches)
    return rows


def count(query: str, warehouse: Warehouse, windows: Windows = MONTHS) -> Unwindowed:
    return count_rows(analyse(query)[0], windows, warehouse, now=NOW)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(BOTH), st.lists(st.sampled_from([*ODD, *PLAIN]), min_size=1, max_size=12))
def test_what_no_window_takes_and_what_the_windows_take_is_all(
    tmp_path: Path, query: str, times: list[str | None]
) -> None:
    warehouse = DuckDB(tmp_path).of(times)
    try:
        found = count(query, warehouse)
        assert found.unknown is None
        assert found.rows - found.count == taken(query, warehouse)
        if "id >" not in query:
            assert found.no_time == times.count(None)
            assert found.rows == len(times)
    finally:
        warehouse.close()


@pytest.fixture(params=one_of("duckdb", "postgresql"))
def times(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """A table with each of the times once."""
    everything = [*ODD, *PLAIN]
    if request.param == "duckdb":
        warehouse = DuckDB(tmp_path).of(everything)
    else:
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.new_database()
        rows = ", ".join(
            f"({n}, {'NULL' if time is None else repr(time.replace('(BC)', 'BC'))}::timestamp)"
            for n, time in enumerate(everything)
        )
        execute(url, f"CREATE TABLE rows_of_it (id int, ts timestamp); INSERT INTO rows_of_it VALUES {rows}")
        warehouse = open_warehouse("default", {"default": url}, memory_limit="128MB")
    yield warehouse
    warehouse.close()


@pytest.mark.parametrize("query", BOTH)
def test_each_kind_of_time_is_named(times: Warehouse, query: str) -> None:
    found = count(query, times)
    assert found.unknown is None, found.unknown
    assert found.rows - found.count == taken(query, times)
    if "id >" in query:
        return
    assert (found.no_time, found.before, found.after, found.rows) == (1, 5, 5, 14)
    assert (found.apart, found.further) == (2 if "20 days" in query else 0, False)
    stand_ins = {"year 1 or earlier": 3, "year 9999 or later": 3, "1900-01-01": 1}
    assert found.stand_ins == stand_ins and found.suspicious
    assert str(found.earliest).startswith("2023-12-31") and str(found.latest).startswith("2031-01-01")


def test_the_sentence(times: Warehouse) -> None:
    found = count(BOTH[0], times)
    assert str(found).startswith(
        "11 rows of rows_of_it belong to no window: 1 without a time, 5 after the last window, 5 before the first; "
        "days that may stand for an unknown time: year 1 or earlier (3, 21.4% of all rows)"
    )
    ahead = count(BOTH[0], times, daily("2024-01-01"))
    assert "1 without a time, 3 in the year 9999 or later, 5 before the first window" in str(ahead)
    # 2024-04-01 belongs to a past window, 2031-01-01 to a future one.
    assert (ahead.count, ahead.ahead) == (9, 1)
    assert "; 1 row lies more than a year ahead, in windows that are to come" in str(ahead)


@pytest.mark.parametrize(
    ("query", "no_time"),
    [
        ("SELECT id FROM rows_of_it WHERE ts IS NOT NULL AND ts >= :window_start AND ts < :window_end", 0),
        # The window is on a column that is not the time of the event.
        ("SELECT id, ts AS happened FROM rows_of_it WHERE nullif(id, 13) >= EXTRACT(epoch FROM :window_start) AND nullif(id, 13) < EXTRACT(epoch FROM :window_end)", 1),
        ("SELECT id FROM rows_of_it WHERE id % 2 = 0 AND ts >= :window_start AND ts < :window_end", 0),
    ],
)  # fmt: skip
def test_other_conditions_are_the_author_s_wish(times: Warehouse, query: str, no_time: int) -> None:
    found = count(query, times)
    assert found.unknown is None and found.no_time == no_time


def test_numbers_that_end_in_2038_are_counted_without_stand_ins(times: Warehouse) -> None:
    epoch = "CAST(EXTRACT(epoch FROM {}) AS INTEGER)"
    bounds = epoch.format(":window_start"), epoch.format(":window_end")
    found = count(f"SELECT id FROM rows_of_it WHERE id >= {bounds[0]} AND id < {bounds[1]}", times)
    assert (found.unknown, found.before, found.stand_ins) == (None, 14, {})
    assert not found.suspicious


def test_rows_before_the_first_window_are_only_told() -> None:
    found = Unwindowed(("t",), rows=10, before=4, earliest="2019-01-01")
    assert not found.suspicious
    assert (
        str(found)
        == "4 rows of t belong to no window: 4 before the first window; the earliest other time is 2019-01-01"
    )
    assert Unwindowed(("t",), rows=10, after=1).suspicious is False
    assert Unwindowed(("t",), rows=10, ahead=1, open_ended=True).suspicious
    assert str(Unwindowed(("t",), rows=1, no_time=1)) == "1 row of t belongs to no window: 1 without a time"
    assert (
        str(Unwindowed(("a", "b"), rows=2))
        == "each of the 2 rows that the query takes from a and b belongs to a window"
    )
    assert str(Unwindowed(("t",))) == "the query takes no rows from t, in a window or outside"


@pytest.mark.parametrize(
    ("condition", "apart", "further"),
    [
        # Each window keeps the rows of its first ten days; February 29 and March 31 are in a window by their
        # time, but left out.
        ("ts < :window_start + INTERVAL '10 days'", None, None),
        ("ts - INTERVAL '10 days' < :window_start AND id IS NOT NULL", None, None),
        ("ts + INTERVAL '21 days' < :window_end", 2, False),
        ("nullif(id, 9) >= EXTRACT(month FROM :window_start)", 1, False),
        ("EXTRACT(day FROM ts) >= EXTRACT(day FROM CAST(:window_start AS DATE))", 0, False),
    ],
)
def test_rows_that_another_condition_with_the_bounds_leaves_out(
    times: Warehouse, condition: str, apart: int | None, further: bool | None
) -> None:
    query = f"SELECT id FROM rows_of_it WHERE {W} AND {condition}"
    found = count(query, times)
    if apart is None:
        assert found.unknown is not None
        return
    assert (found.unknown, found.apart, found.further) == (None, apart, further)
    assert found.rows - found.count == taken(query, times)
    assert not apart or f"{apart} that another condition with the window's bounds leaves out" in str(found)


@pytest.mark.parametrize(
    "query",
    [
        # A row is returned only if both have it, and only the outer one is compared.
        "WITH w AS (SELECT id, ts - INTERVAL '40 days' AS ts FROM rows_of_it WHERE ts >= :window_start AND ts < :window_end + INTERVAL '40 days')"
        f" SELECT id FROM w WHERE {W}",
        "SELECT r.id FROM rows_of_it AS r JOIN (SELECT id FROM rows_of_it WHERE ts >= :window_start AND ts < :window_end) AS s USING (id)"
        f" WHERE {W}",
        "SELECT id FROM rows_of_it WHERE ts >= CAST(:window_start AS TIMESTAMP) AND ts < CAST(:window_end AS TIMESTAMP) AND ts + INTERVAL '20 days' < :window_end",
    ],
)  # fmt: skip
def test_where_other_conditions_are_not_compared_that_is_said(times: Warehouse, query: str) -> None:
    found = count(query, times)
    assert found.unknown is None and found.further
    assert found.rows - found.count >= taken(query, times)
    assert "; rows that another condition with the window's bounds leaves out are not counted" in str(found)
    none = Unwindowed(("t",), rows=3, further=True)
    assert str(none).startswith(
        "the time of each of the 3 rows that the query takes from t lies in a window; "
    )


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT r.id FROM rows_of_it AS r LEFT JOIN (SELECT id, ts FROM rows_of_it WHERE {W}) AS s ON s.id = r.id",
        f"WITH s AS (SELECT id, ts FROM rows_of_it WHERE {W}) SELECT r.id FROM rows_of_it AS r LEFT JOIN s ON s.id = r.id",
        f"SELECT id FROM rows_of_it WHERE {W} UNION ALL SELECT id FROM rows_of_it WHERE id > 3",
        "SELECT id FROM rows_of_it WHERE ts >= :window_start AND ts < :window_end - INTERVAL '1 day'",
        f"SELECT id FROM rows_of_it TABLESAMPLE SYSTEM (50) WHERE {W}",
        f"WITH s AS (SELECT id FROM rows_of_it WHERE {W}) SELECT r.id FROM rows_of_it AS r LEFT JOIN s ON s.id = r.id WHERE {W.replace('ts', 'r.ts')}",  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_rows_that_cannot_be_told_from_rows_of_a_window_are_not_counted(times: Warehouse, query: str) -> None:
    assert "the window of the query cannot be taken off" in str(count(query, times).unknown)


def test_a_column_of_a_name_that_sluice_might_choose_is_not_taken_for_the_time(times: Warehouse) -> None:
    """`SELECT *` returns all columns of the table,
    here other times in columns with every name that the count uses."""
    names = (
        "sluice_time_0",
        "sluice_time_1",
        "place",
        "day",
        "rows",
        "no_time",
        "source",
        "unfiltered",
        "placed",
    )
    columns = ", ".join(f"TIMESTAMP '2024-02-01' AS {name}" for name in names)
    bounded = f"{W} AND ts + INTERVAL '20 days' < :window_end"
    found = count(f"SELECT * FROM (SELECT *, {columns} FROM rows_of_it) AS t WHERE {bounded}", times)
    assert found == count(f"SELECT id FROM rows_of_it WHERE {bounded}", times)
    assert (found.no_time, found.before, found.after, found.apart, found.rows) == (1, 5, 5, 2, 14)


def test_what_is_not_known_has_its_reason(times: Warehouse) -> None:
    found = count(
        "SELECT max(ts) AS ts FROM rows_of_it WHERE ts >= :window_start AND ts < :window_end", times
    )
    assert str(found) == (
        "not known whether every row belongs to a window: the window of the query cannot be taken off "
        "(an aggregate merges rows)"
    )
    refused = count("SELECT id FROM nowhere WHERE ts >= :window_start AND ts < :window_end", times)
    assert refused.unknown is not None and "was refused" in refused.unknown
    # No window has such a time, so only the count reads the value.
    cast = "SELECT id FROM rows_of_it WHERE CAST(CAST(ts AS VARCHAR) AS INTEGER) > 0 AND ts >= :window_start AND ts < :window_end"
    quoted = count(cast, times).unknown
    assert quoted is not None and "was refused" in quoted and "********" in quoted
    # The count's own random names may contain any digits.
    assert "20" not in re.sub(r"sluice_time_\w+", "", quoted)
    slow = "SELECT r.id FROM rows_of_it AS r, generate_series(1, 100000) AS a, generate_series(1, 100000) AS b WHERE r.ts >= :window_start AND r.ts < :window_end"  # fmt: skip
    query, _ = analyse(slow)
    bounded = count_rows(query, MONTHS, times, seconds=0.2, now=NOW)
    assert bounded.unknown == "the count took longer than 0.2 s"
    # The warehouse can be used as before.
    assert count(BOTH[0], times).unknown is None


@pytest.mark.parametrize(("day", "is_one"), [("1900-01-01", True), ("0001-01-01", True), ("9999-12-31", True), ("1999-01-01", False)])  # fmt: skip
def test_days_that_stand_for_an_unknown_time(day: str, is_one: bool) -> None:
    assert stands_in(datetime.fromisoformat(day).replace(tzinfo=UTC)) is is_one
