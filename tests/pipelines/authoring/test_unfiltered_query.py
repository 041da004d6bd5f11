"""The window is removed from a query only if the rows that it leaves out can then be counted one by one."""

import pytest

from pipelines.authoring.sql.analysis import analyse
from pipelines.authoring.sql.reach import Unremovable
from pipelines.authoring.sql.unfiltered_query import unfiltered

W = "ts >= :window_start AND ts < :window_end"


def sql_of(query: str) -> list[str]:
    return [part.sql for part in unfiltered(analyse(query)[0])]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        (f"SELECT id, ts FROM t WHERE {W}", "SELECT id, ts , (ts) AS sluice_time_0 FROM t WHERE TRUE AND TRUE"),
        (
            f"SELECT id, ts, FROM t WHERE kind = ':window_start' AND ({W}) AND x BETWEEN 1 AND 2 ORDER BY 1",
            "SELECT id, ts,  (ts) AS sluice_time_0 FROM t WHERE kind = ':window_start' AND (TRUE AND TRUE) "
            "AND x BETWEEN 1 AND 2",
        ),
        (
            "SELECT a IS DISTINCT FROM b AS c FROM t WHERE :window_start <= a::timestamp AND (a::timestamp) < :window_end",
            "SELECT a IS DISTINCT FROM b AS c , (a::timestamp) AS sluice_time_0 FROM t WHERE TRUE AND TRUE",
        ),
        (f"WITH w AS (SELECT * FROM t WHERE {W}) SELECT id FROM w", "SELECT * , (ts) AS sluice_time_0 FROM t WHERE TRUE AND TRUE"),
        (f"SELECT * FROM (SELECT id, ts FROM t WHERE {W}) AS x", "SELECT id, ts , (ts) AS sluice_time_0 FROM t WHERE TRUE AND TRUE"),
        (f"SELECT t.id FROM t LEFT JOIN u USING (id) WHERE {W.replace('ts', 't.ts')}", "SELECT t.id , (t.ts) AS sluice_time_0 FROM t LEFT JOIN u USING (id) WHERE TRUE AND TRUE"),
        (f"SELECT id, row_number() OVER (ORDER BY id) AS n FROM t WHERE {W}", "SELECT id, row_number() OVER (ORDER BY id) AS n , (ts) AS sluice_time_0 FROM t WHERE TRUE AND TRUE"),
        (
            "SELECT hour + shift AS ts FROM t WHERE ts >= :window_start AND ts < :window_end"
            " AND hour > :window_start - INTERVAL 2 HOUR AND hour < :window_end",
            "SELECT hour + shift AS ts , (ts) AS sluice_time_0, (hour) AS sluice_time_1 FROM t WHERE TRUE AND TRUE AND TRUE AND TRUE",
        ),
    ],
)  # fmt: skip
def test_the_window_s_conditions_are_cut_out_of_the_author_s_text(query: str, rows: str) -> None:
    (sql,) = sql_of(query)
    assert sql.partition("FROM (\n")[2].partition("\n) AS source")[0] == rows


def test_parts_of_a_union_are_counted_each() -> None:
    parts = sql_of(
        f"WITH c AS (SELECT 1 AS one) SELECT ts FROM a WHERE {W} UNION ALL SELECT ts FROM b, c WHERE {W}"
    )
    assert ["FROM a" in part for part in parts] == [True, False]
    assert all(part.startswith("WITH c AS (SELECT 1 AS one)") for part in parts)


def test_a_cte_sees_only_those_before_it() -> None:
    (sql,) = sql_of(
        f"WITH a AS (SELECT 1 AS one), w AS (SELECT * FROM t, a WHERE {W}), z AS (SELECT * FROM w) SELECT ts FROM z"
    )
    assert sql.startswith("WITH a AS (SELECT 1 AS one)\nSELECT sluice_time_0 FROM (")


def test_a_wider_window_further_in_is_taken_off_too() -> None:
    (sql,) = sql_of(
        "WITH w AS (SELECT hour, hour + shift AS ts FROM t WHERE hour >= :window_start - INTERVAL 1 DAY"
        f" AND hour < :window_end) SELECT ts FROM w WHERE {W}"
    )
    assert ":window" not in sql and sql.startswith(
        "WITH w AS (SELECT hour, hour + shift AS ts FROM t WHERE TRUE AND TRUE)"
    )


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (f"SELECT id, max(ts) AS ts FROM t WHERE {W} GROUP BY id", "GROUP BY merges rows"),
        (f"SELECT max(ts) AS ts FROM t WHERE {W}", "an aggregate merges rows"),
        ("SELECT id, max(ts) AS m FROM t GROUP BY id HAVING m >= :window_start AND m < :window_end", "HAVING"),
        (f"SELECT DISTINCT id FROM t WHERE {W}", "DISTINCT merges rows"),
        (f"SELECT id FROM t WHERE {W} LIMIT 5", "LIMIT cuts rows off"),
        (f"SELECT id FROM t WHERE {W} QUALIFY row_number() OVER (PARTITION BY id ORDER BY ts) = 1", "QUALIFY"),
        (f"SELECT id FROM a WHERE {W} UNION SELECT id FROM b WHERE {W}", "UNION merges rows"),
        (f"SELECT id FROM a WHERE {W} EXCEPT SELECT id FROM b", "EXCEPT merges rows"),
        (f"WITH w AS (SELECT * FROM t WHERE {W}) SELECT id FROM w WHERE x = 1", "conditions further out"),
        (f"WITH w AS (SELECT * FROM t WHERE {W}) SELECT id FROM w JOIN u USING (id)", "joined further out"),
        (f"WITH w AS (SELECT * FROM t WHERE {W}) SELECT id FROM w GROUP BY id", "GROUP BY"),
        (f"WITH w AS (SELECT * FROM t WHERE {W}) SELECT a.id FROM w AS a, w AS b", "is read 2 times"),
        ("SELECT a.id FROM a LEFT JOIN b USING (id) WHERE b.ts >= :window_start AND b.ts < :window_end", "outer join"),
        (f"SELECT a.id FROM a LEFT JOIN b USING (id) WHERE {W}", "outer join"),
        ("SELECT a.id FROM a RIGHT JOIN b USING (id) WHERE a.ts >= :window_start AND a.ts < :window_end", "outer join"),
        ("SELECT a.id, b.ts AS at FROM a LEFT JOIN b USING (id) WHERE at >= :window_start AND at < :window_end", "outer join"),
        ("SELECT id FROM t WHERE s < :window_end AND e >= :window_start", "no expression has both bounds"),
        (f"SELECT id FROM t WHERE {W} OR x", "not one of the conditions"),
        (f"SELECT id FROM t WHERE NOT ({W})", "not one of the conditions"),
        ("SELECT id FROM t WHERE ts >= :window_start AT TIME ZONE zone AND ts < :window_end AT TIME ZONE zone", "depends on the row"),
        (f"SELECT id FROM t WHERE {W} AND since <= :window_start", "no bound of a window"),
        (f"SELECT id FROM t WHERE {W} AND EXISTS (SELECT 1 FROM u WHERE u.ts >= :window_start)", "not read as rows"),
        (
            "WITH w AS (SELECT ts, lag(x) OVER (ORDER BY ts) AS x FROM t WHERE ts >= :window_start - INTERVAL 1 DAY"
            f" AND ts < :window_end) SELECT ts FROM w WHERE {W}",
            "a window function looks at other rows",
        ),
        (f"WITH RECURSIVE w AS (SELECT * FROM t WHERE {W}) SELECT id FROM w", "recursive"),
        (f"FROM t WHERE {W}", "cannot be taken off"),
    ],
)  # fmt: skip
def test_why_it_cannot_be_taken_off(query: str, reason: str) -> None:
    with pytest.raises(Unremovable, match=reason):
        sql_of(query)


def test_the_project_s_own_events_are_known_or_not_for_a_reason() -> None:
    from pipelines import load_catalogue

    counted = set()
    for event in load_catalogue():
        try:
            counted |= {event.name for part in unfiltered(event.source) if part.times}
        except Unremovable as reason:
            assert str(reason)
    assert counted >= {"flight_departed", "flight_cancelled", "flight_arrived", "weather_observed"}
