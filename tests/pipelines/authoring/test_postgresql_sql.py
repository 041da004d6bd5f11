"""SQL that only PostgreSQL accepts, in a module that is loaded although its warehouse is not known."""

import pytest

from pipelines.authoring.sql.analysis import analyse
from pipelines.authoring.sql.mistakes import SqlMistakes

WINDOW = "WHERE t >= :window_start AND t < :window_end"

TAKEN = {
    "cast": f"SELECT id, t::timestamptz AS t FROM a {WINDOW}",
    "cast of a bound": "SELECT id FROM a WHERE t >= :window_start::timestamp AND t < :window_end::timestamp",
    "matching": f"SELECT id FROM a {WINDOW} AND n ILIKE 'x%' AND n ~* 'foo' AND n !~ 'b'",
    "interval": f"SELECT id, t + interval '1 day' AS u FROM a {WINDOW}",
    "json": f"SELECT j->>'a' AS x, j #>> '{{a,b}}' AS z FROM a {WINDOW} AND j @> '{{\"a\":1}}'::jsonb",
    "json has a key": f"SELECT id FROM a {WINDOW} AND j ? 'k' AND j ?| array['k'] AND j ?& array['b']",
    "json path": f"SELECT jsonb_path_query_first(j, '$.a') AS x FROM a {WINDOW} AND j @? '$.b' AND j @@ '$.c > 1'",
    "json without a key": f"SELECT j - 'a' AS x, j #- '{{b}}' AS y FROM a {WINDOW}",
    "series": "SELECT d FROM generate_series(:window_start::timestamptz, :window_end, interval '1 hour') AS g(d) "
    "WHERE d >= :window_start AND d < :window_end",
    "distinct on": f"SELECT DISTINCT ON (id) id, t FROM a {WINDOW}",
    "strings": f"SELECT E'a\\'b' AS x, $$it's$$ AS y, U&'d\\0061t' AS z, B'101' AS b FROM a {WINDOW}",
    "arrays": f"SELECT arr[1] AS x, arr[1:2] AS z FROM a {WINDOW} AND id = ANY(ARRAY[1,2])",
    "lateral": f"SELECT a.id, e->>'q' AS q FROM a, jsonb_array_elements(a.items) AS e {WINDOW}",
    "ranges": f"SELECT id FROM a {WINDOW} AND r && tsrange('2020-01-01','2021-01-01')",
    "records": f"SELECT (c).f AS f, id OPERATOR(pg_catalog.+) 1 AS x FROM ONLY a {WINDOW}",
}


@pytest.mark.parametrize("sql", TAKEN.values(), ids=TAKEN.keys())
def test_it_is_read(sql: str) -> None:
    query, _ = analyse(sql)
    assert query.tables == (() if "generate_series" in sql else ("a",))
    assert [span.name for span in query.spans[:2]] == ["window_start", "window_end"]
    bound = query.bound("pyformat").sql
    filled = bound % {"window_start": "<s>", "window_end": "<e>"}
    assert filled == sql.replace(":window_start", "<s>").replace(":window_end", "<e>")


def test_what_neither_knows_is_told_as_before() -> None:
    for wrong, told in (
        ("SELECT id FROM a WHERE t >= ? AND t < ?", r"the parameter '\?', which nothing binds"),
        (f"SELECT id FROM a {WINDOW} AND x = ?", r"the parameter '\?', which nothing binds"),
        (f"SELECT id FROM a {WINDOW} AND x = $1", r"the parameter '\$1', which nothing binds"),
        (f"SELECT id FORM a {WINDOW}", "cannot be read"),
        ("SELECT id FROM a", "no :window_start"),
        ("DELETE FROM a", "is not a SELECT"),
    ):
        with pytest.raises(SqlMistakes, match=told):
            analyse(wrong)


def test_what_duckdb_reads_is_read_as_ever() -> None:
    query, _ = analyse(f"FROM a {WINDOW}")
    assert query.dialect == "duckdb"
    query, _ = analyse(f"SELECT id FROM a {WINDOW} AND j ? 'k'")
    assert query.dialect == "postgres"
