"""What is read from an event's SQL, and how its parameters reach a driver."""

from datetime import UTC, datetime

import duckdb
import pytest

from pipelines import SourceQuery
from pipelines.authoring.sql.analysis import analyse
from pipelines.authoring.sql.mistakes import SqlMistakes

WHERE = "WHERE t >= :window_start AND t < :window_end"


def query(sql: str, dialect: str = "duckdb") -> SourceQuery:
    return analyse(sql, dialect)[0]


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        (f"SELECT a FROM flights {WHERE}", ("flights",)),
        (f"SELECT a FROM main.flights f JOIN lake.ops.planes USING (tail) {WHERE}", ("lake.ops.planes", "main.flights")),
        (f"SELECT a FROM b {WHERE} UNION ALL SELECT a FROM a {WHERE}", ("a", "b")),
        (f"WITH x AS (SELECT a, t FROM flights) SELECT a FROM x {WHERE}", ("flights",)),
        (f"WITH x AS (SELECT 1 a, 2 t), y AS (SELECT * FROM X) SELECT a FROM y {WHERE}", ()),
        # a CTE's own name is not visible inside it: this reads the table
        (f"WITH flights AS (SELECT a, t FROM flights) SELECT a FROM flights {WHERE}", ("flights",)),
        # neither is a later one
        (f"WITH x AS (SELECT a FROM y), y AS (SELECT 1 a) SELECT a FROM x {WHERE}", ("y",)),
        (f"WITH RECURSIVE r AS (SELECT 1 a UNION ALL SELECT a + 1 FROM r) SELECT a FROM r {WHERE}", ()),
        # a CTE of a subquery is not visible outside it
        (f"SELECT a FROM x JOIN (WITH x AS (SELECT 1 b) SELECT b FROM x) q ON true {WHERE}", ("x",)),
        (f"WITH x AS (SELECT 1 a) SELECT a FROM main.x {WHERE}", ("main.x",)),
        (f"SELECT a FROM t {WHERE} AND a IN (SELECT b FROM u) AND EXISTS (FROM v)", ("t", "u", "v")),
        (f"SELECT a FROM range(10) r(a), read_csv('x.csv'), 'y.parquet' {WHERE}", ('"y.parquet"',)),
        (f'SELECT a FROM "Weekly Flights" {WHERE}', ("Weekly Flights",)),
    ],
)  # fmt: skip
def test_tables(sql: str, tables: tuple[str, ...]) -> None:
    assert query(sql).tables == tables


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        (f"SELECT a, b AS c, t.d, x.y.z FROM t {WHERE}", ("a", "c", "d", "z")),
        (f"SELECT a + 1, f(b), c::DATE, 1 FROM t {WHERE}", ("", "", "", "")),
        (f"SELECT * FROM t {WHERE}", None),
        (f"SELECT t.* EXCLUDE (a), b FROM t {WHERE}", None),
        (f"SELECT COLUMNS('a.*') FROM t {WHERE}", None),
        (f"FROM t {WHERE}", None),
        (f"SELECT a FROM t {WHERE} UNION SELECT b FROM t {WHERE}", ("a",)),
        (f"(SELECT a FROM t {WHERE}) UNION (SELECT b FROM t {WHERE})", ("a",)),
        (f"WITH q AS (SELECT a, b FROM t {WHERE}) SELECT * FROM q", ("a", "b")),
        (f"WITH q(x, y) AS (SELECT a, b FROM t {WHERE}) SELECT q.*, 1 AS z FROM q", ("x", "y", "z")),
        (f"SELECT o.* FROM (SELECT a, b FROM t {WHERE}) o JOIN p USING (a)", ("a", "b")),
        (f"SELECT * FROM (SELECT a, b FROM t {WHERE}) o JOIN p USING (a)", None),
        (f"SELECT count(*) AS n FROM t {WHERE}", ("n",)),
    ],
)
def test_columns(sql: str, columns: tuple[str, ...] | None) -> None:
    assert query(sql).columns == columns


TRICKY = f"""
    SELECT ':window_start' AS a, t::VARCHAR AS b, {{'k':t, 'l': 5 % 2}} AS c, -- :window_end
           [1, 2, 3][1:2] AS d, "x:window_start" AS e /* :window_start */, $$ :window_end $$ AS f
    FROM t {WHERE} AND :window_start < :window_end;
"""


@pytest.mark.parametrize(
    ("style", "start", "end", "parameters"),
    [
        ("duckdb", "$window_start", "$window_end", ("window_start", "window_end")),
        ("postgres", "$1", "$2", ("window_start", "window_end")),
        ("numeric", "$1", "$2", ("window_start", "window_end")),
        ("qmark", "?", "?", ("window_start", "window_end", "window_start", "window_end")),
        ("named", ":window_start", ":window_end", ("window_start", "window_end")),
        ("pyformat", "%(window_start)s", "%(window_end)s", ("window_start", "window_end")),
    ],
)
def test_only_parameters_are_rewritten(style: str, start: str, end: str, parameters: tuple[str, ...]) -> None:
    bound = query(TRICKY).bound(style)
    head, _, tail = query(TRICKY).sql.partition("WHERE ")
    if style == "pyformat":
        head = head.replace("%", "%%")
    assert bound.sql == head + f"WHERE t >= {start} AND t < {end} AND {start} < {end}"
    assert bound.parameters == parameters
    assert query(TRICKY).to_style(style) == bound.sql
    assert tail.startswith("t >= :window_start")


QUOTED = {
    "string": "'%(x)s {{ y }}'",
    "name": '(SELECT 1 AS "%(x)s")."%(x)s"',
    "dollar quotes": "$${{ y }}$$",
    "comment": "1 /* {{ y }} {% if z %} */ -- {window_start}",
}


@pytest.mark.parametrize("text", QUOTED.values(), ids=QUOTED)
@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_what_is_quoted_is_no_template(text: str, dialect: str) -> None:
    sql = f"SELECT a, {text}\n AS b FROM t {WHERE}".replace('(SELECT 1 AS "%(x)s").', "u.")
    assert analyse(sql, dialect)[0].bound("duckdb").sql == sql.replace(":window", "$window")


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT a FROM {{{{ ref('t') }}}} {WHERE}",
        f"SELECT a FROM t {WHERE} {{% if full %}} AND x {{% endif %}}",
        f"SELECT a FROM %(table)s {WHERE}",
        "SELECT a FROM t WHERE t >= '{{ ds }}' AND t < :window_end",
        "SELECT a FROM t WHERE t >= '{{ ds }}",
        "SELECT a FROM t WHERE t >= {window_start} AND t < {window_end}",
    ],
)
def test_a_template_in_place_of_words_or_of_a_parameter_is_refused(sql: str) -> None:
    with pytest.raises(SqlMistakes, match="nothing fills in templates"):
        analyse(sql)


def test_numbers_follow_the_order_of_appearance() -> None:
    bound = query("SELECT a FROM t WHERE t < :window_end AND t >= :window_start").bound("postgres")
    assert bound == ("SELECT a FROM t WHERE t < $1 AND t >= $2", ("window_end", "window_start"))


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ValueError, match="no parameter style 'oracle'"):
        query(TRICKY).bound("oracle")


def test_duckdb_takes_what_is_bound_for_it() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT TIMESTAMPTZ '2013-01-01 05:00:00Z' AS t, 1 AS \"x:window_start\""
        )
        values = {
            "window_start": datetime(2013, 1, 1, tzinfo=UTC),
            "window_end": datetime(2013, 1, 2, tzinfo=UTC),
        }
        rows = connection.execute(query(TRICKY).to_style("duckdb"), values).fetchall()
    assert rows[0][0] == ":window_start"
    assert rows[0][3:] == ([1, 2], 1, " :window_end ")


def test_sql_is_kept_as_written_but_for_its_indentation() -> None:
    written = f"\n        SELECT a  -- why\n          FROM t\n        {WHERE} ;;\n    "
    assert query(written).sql == f"SELECT a  -- why\n  FROM t\n{WHERE}"


def test_layout_comments_and_keywords_do_not_count() -> None:
    one = query(f"SELECT a, 'X' AS b FROM t {WHERE}")
    other = query(
        f"select a , 'X' as b /* note */\nfrom t {WHERE.replace('WHERE', 'where').replace('AND', 'and')} -- end"
    )
    assert one.normalised == other.normalised


@pytest.mark.parametrize(
    "change", [("'X'", "'x'"), ("a,", "A,"), ("FROM t", 'FROM "t"'), (">=", "IS NOT DISTINCT FROM")]
)
def test_what_changes_the_rows_counts(change: tuple[str, str]) -> None:
    sql = f"SELECT a, 'X' AS b FROM t {WHERE} AND c >= 1"
    old, new = change
    new_sql = sql.replace(old, new) if old != ">=" else sql.replace("c >=", "c IS NOT DISTINCT FROM")
    assert query(sql).normalised != query(new_sql).normalised


@pytest.mark.parametrize(
    "condition",
    [
        "t >= :window_start AND t < :window_end",
        ":window_start <= t AND :window_end > t",
        "t >= (:window_start) AND t < CAST(:window_end AS TIMESTAMPTZ)",
        # a wider range beside the exact one, to help the warehouse
        "t >= :window_start AND t < :window_end AND day >= :window_start - INTERVAL 1 DAY AND day <= :window_end",
        # days and expressions are not checked
        "day > :window_start::DATE AND day <= :window_end::DATE",
        "date_trunc('day', t) BETWEEN :window_start - INTERVAL 1 DAY AND :window_end - INTERVAL 1 SECOND",
        # an interval that overlaps the window
        "valid_from < :window_end AND valid_to >= :window_start",
    ],
)
def test_windows_that_are_fine(condition: str) -> None:
    assert query(f"SELECT a FROM t WHERE {condition}").columns == ("a",)


def test_a_cast_bound_is_still_a_bound() -> None:
    with pytest.raises(SqlMistakes, match="in two windows"):
        query("SELECT a FROM t WHERE t >= :window_start AND t <= :window_end::TIMESTAMP")


def test_a_colon_that_could_be_either_is_refused() -> None:
    with pytest.raises(SqlMistakes, match="a colon before window_start or window_end that is no parameter"):
        query(f"SELECT l[1::window_start] AS a, {{'k' :window_start}} AS b FROM t {WHERE}")


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize(
    "value",
    [
        "x[1:2]", "x[a:b]", "x[a :b]", "x[:2]", "x[:n]", "x[f(n):m]", "x[y[1]:z]", "x[a:b][c:d]", "t::date", "t ::date",
        "'10:30'", '"a:b"', "j->>'a:b'", "$$a:b$$", "-- a:b\n 1", "/* :c */ 1",
    ],
)  # fmt: skip
def test_a_colon_that_is_no_parameter_is_left_alone(value: str, dialect: str) -> None:
    sql = f"SELECT {value} AS v, a FROM t {WHERE}"
    found = query(sql, dialect)
    assert [span.name for span in found.spans] == ["window_start", "window_end"]
    assert found.to_style("named") == sql


@pytest.mark.parametrize(
    "value", ["{'a':b}", "{'a' :b}", "{a:b}", "{'a':{'b':c}}", "MAP {'a' :b}", "x[1:n:m]"]
)
def test_names_of_structs_are_no_parameters(value: str) -> None:
    assert (
        query(f"SELECT {value} AS v, a FROM t {WHERE}").to_style("named").startswith(f"SELECT {value} AS v")
    )


@pytest.mark.parametrize("value", [":start", "f(:n)", "[a, f(:n)]", "x + :n", "CASE WHEN a THEN :n END"])
def test_other_parameters_are_refused(value: str) -> None:
    with pytest.raises(SqlMistakes, match="which nothing binds"):
        query(f"SELECT {value} AS v, a FROM t {WHERE}")


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_the_operator_of_the_absolute_value_is_no_parameter(dialect: str) -> None:
    assert "SELECT @a AS v" in query(f"SELECT @a AS v, a FROM t {WHERE}", dialect).to_style("named")
    with pytest.raises(SqlMistakes, match="'@window_start', which nothing binds"):
        query("SELECT a FROM t WHERE a >= @window_start AND a < :window_end", dialect)


def test_a_statement_that_writes_inside_a_cte_is_refused() -> None:
    with pytest.raises(SqlMistakes, match=r"changes data \(DELETE\)"):
        query(f"WITH gone AS (DELETE FROM a RETURNING b) SELECT b FROM gone {WHERE}", "postgres")


def test_json_operators_of_postgres_are_no_parameters() -> None:
    bound = query(f"SELECT a FROM t {WHERE} AND data ? 'key'", "postgres").bound("postgres")
    assert bound.sql.endswith("AND data ? 'key'")


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT a FROM t {WHERE}",
        f"SELECT a, row_number() OVER (ORDER BY b) AS n FROM t {WHERE}",
        f"SELECT a, first(b ORDER BY c) AS n, last(b) OVER (ORDER BY c) AS m FROM t {WHERE} GROUP BY a",
    ],
)
def test_nothing_to_remark(sql: str) -> None:
    assert analyse(sql)[1] == []


@pytest.mark.parametrize(
    ("sql", "remark"),
    [
        (f"SELECT * FROM t {WHERE}", "selects *"),
        (f"SELECT a, current_date AS d FROM t {WHERE}", "CURRENT_DATE"),
        (f"SELECT a, gen_random_uuid() AS d FROM t {WHERE}", "gives another value in every run"),
        (f"SELECT a, random() AS d FROM t {WHERE}", "gives another value in every run"),
        (f"SELECT a FROM t TABLESAMPLE 10% {WHERE}", "TABLESAMPLE"),
        (f"SELECT a, x + random() AS d FROM t {WHERE}", "RAND() in column 'd'"),
        (f"SELECT a FROM t {WHERE} AND x < now()", "the SQL uses NOW(), which"),
        (f"SELECT a, localtimestamp AS d FROM t {WHERE}", "in column 'd'"),
        (f"SELECT a, localtime AS d FROM t {WHERE}", "in column 'd'"),
        (f"SELECT a, get_current_timestamp() AS d FROM t {WHERE}", "in column 'd'"),
        (f"SELECT a, statement_timestamp() AS d FROM t {WHERE}", "in column 'd'"),
        (f"SELECT a, age(born) AS d FROM t {WHERE}", "AGE(BORN) in column 'd'"),
        (f"SELECT a, nextval('s') AS d FROM t {WHERE}", "in column 'd'"),
        (f"SELECT a, uuidv7() AS d FROM t {WHERE}", "in column 'd'"),
        (f"SELECT a, rowid AS d FROM t {WHERE}", "ROWID in column 'd'"),
        (f"SELECT a, t.ctid AS d FROM t {WHERE}", "T.CTID in column 'd'"),
        (f"SELECT a, any_value(b) AS d FROM t {WHERE} GROUP BY a", "column 'd' takes any_value of rows"),
        (f"SELECT a, upper(first(b)) AS d FROM t {WHERE} GROUP BY a", "column 'd' takes first of rows"),
        (f"WITH x AS (SELECT any_value(b) AS d FROM t {WHERE}) SELECT d AS e FROM x", "column 'd' takes"),
        (f"SELECT a FROM t {WHERE} LIMIT 5", "LIMIT"),
        (f"SELECT a FROM t {WHERE} ORDER BY a", "sorts its rows"),
    ],
)
def test_remarks(sql: str, remark: str) -> None:
    (only,) = analyse(sql)[1]
    assert remark in only.problem


@pytest.mark.parametrize(
    "value", ["age(a, born)", 't."rowid"', "uuid_of(a)", "epoch_ms(a)", "date_trunc('day', a)"]
)
def test_what_the_row_decides_needs_no_remark(value: str) -> None:
    assert analyse(f"SELECT a, {value} AS d FROM t {WHERE}")[1] == []
