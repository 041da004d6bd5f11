"""Queries whose result does not depend on the rows alone:
the column is named, because of a second result or of its SQL."""

from typing import Any

import pytest

from tests.fixtures_postgres import PostgresServer, execute
from tests.pipelines.event_check.conftest import FIELDS, TABLE, Made, failed, level

DOUBLE: dict[str, Any] = {**FIELDS, "x": "double"}
_GROUP = "FROM things {where} GROUP BY g"
_EACH = f"SELECT 'g' || g AS id, max(happened_at) AS happened_at, {{}} AS n {_GROUP}"

# name: (source, the column that is named, contract). In the SQL of both warehouses.
AGAIN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "random": ("SELECT id, happened_at, n, random() AS x FROM things {where}", "x", DOUBLE),
    "clock": (
        "SELECT id, happened_at, n, extract(epoch FROM clock_timestamp())::float8 AS x FROM things {where}",
        "x", DOUBLE,
    ),
    "a new uuid": ("SELECT gen_random_uuid()::text AS id, happened_at, n FROM things {where}", "id", FIELDS),
    "chance in a condition": (
        "SELECT id, happened_at, n FROM things {where} AND random() < 0.5", "the number of rows", FIELDS,
    ),
}  # fmt: skip

ORDERED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "sum of floats": (
        "SELECT 'all' AS id, max(happened_at) AS happened_at, 1 AS n, sum(f * f / 7) AS x FROM things {where} HAVING count(*) > 0",
        "x", DOUBLE,
    ),
    "mean of floats in a CTE": (
        "WITH means AS (SELECT g, avg(f * f / 7) AS x, max(happened_at) AS happened_at FROM things {where} GROUP BY g) "
        "SELECT 'g' || g AS id, happened_at, 1 AS n, x FROM means", "x", DOUBLE,
    ),
    "the first of a list": (_EACH.replace("{}", "(array_agg(n))[1]"), "n", FIELDS),
    "text put together": (
        "SELECT 'g' || g AS id, max(happened_at) AS happened_at, 1 AS n, string_agg(id, ',') AS x "
        f"{_GROUP}", "x", {**FIELDS, "x": "string"},
    ),
    "numbers over ties": (
        "SELECT id, happened_at, row_number() OVER (ORDER BY g) AS n FROM things {where}", "n", FIELDS,
    ),
    "LIMIT": ("SELECT id, happened_at, n FROM things {where} LIMIT 7", "id", FIELDS),
    "LIMIT over ties": (
        "SELECT id, happened_at, n FROM (SELECT * FROM things ORDER BY g LIMIT 5) AS t {where}", "id", FIELDS,
    ),
    "DISTINCT ON": (
        "SELECT DISTINCT ON (g) id, happened_at, n FROM things {where}", "id", FIELDS,
    ),
    "a running sum over ties": (
        "SELECT id, happened_at, (sum(n) OVER (ORDER BY g ROWS UNBOUNDED PRECEDING))::bigint AS n FROM things {where}",
        "n", FIELDS,
    ),
}  # fmt: skip

DUCKDB: dict[str, tuple[str, str, dict[str, Any]]] = {
    "any_value": (_EACH.replace("{}", "any_value(n)"), "n", FIELDS),
    "first": (_EACH.replace("{}", "first(n)"), "n", FIELDS),
    "last": (_EACH.replace("{}", "last(n)"), "n", FIELDS),
    "arg_max with ties": (_EACH.replace("{}", "arg_max(n, g)"), "n", FIELDS),
    "max_by with ties": (_EACH.replace("{}", "max_by(n, g)"), "n", FIELDS),
    "QUALIFY over ties": (
        "SELECT id, happened_at, n FROM things {where} QUALIFY row_number() OVER (PARTITION BY g ORDER BY g) = 1",
        "id", FIELDS,
    ),
}  # fmt: skip

GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "sums of whole numbers": (_EACH.replace("{}", "sum(n)::bigint"), FIELDS),
    "sums of decimals": (
        "SELECT 'g' || g AS id, max(happened_at) AS happened_at, 1 AS n, sum(f::numeric(10, 2))::float8 AS x "
        f"{_GROUP}", DOUBLE,
    ),
    "ordered lists": (_EACH.replace("{}", "(array_agg(n ORDER BY n))[1]"), FIELDS),
    "numbers over unique keys": (
        "SELECT id, happened_at, row_number() OVER (ORDER BY g, id) AS n FROM things {where}", FIELDS,
    ),
    "NaN": ("SELECT id, happened_at, n, 'NaN'::float8 AS x FROM things {where}", {**FIELDS, "x": ["null", "double"]}),
    "a table by its alias": ("SELECT t.id, t.happened_at, t.n FROM things t {where}", FIELDS),
    "a table by its name": ("SELECT things.id, things.happened_at, things.n FROM things {where}", FIELDS),
    "a table twice": (
        "SELECT one.id, one.happened_at, other.n FROM things AS one JOIN things AS other ON one.id = other.id "
        "WHERE one.happened_at >= :window_start AND one.happened_at < :window_end", FIELDS,
    ),
}  # fmt: skip

# More rows than are read: the first ones by event time and key are compared.
_MANY = TABLE.replace("range(40)", "range(5000)").replace("to_minutes(i)", "to_minutes(i % 1400)")


def _names(told: str, column: str) -> bool:
    # Two random samples may have the same number of rows; then the rows differ.
    return f"column {column!r}" in told or ("number" in column and (column in told or "column 'id'" in told))


@pytest.mark.parametrize("name", AGAIN)
def test_what_changes_with_every_answer_is_named(made: Made, name: str) -> None:
    source, column, fields = AGAIN[name]
    told = failed(
        made(source=source.replace("clock_timestamp()", "get_current_timestamp()"), fields=fields).check(),
        "repeatable",
    )
    assert "asked again" in told and _names(told, column)


@pytest.mark.parametrize("name", ORDERED | DUCKDB)
def test_what_depends_on_the_order_of_reading_is_named(made: Made, name: str) -> None:
    source, column, fields = (ORDERED | DUCKDB)[name]
    findings = made(source=source, fields=fields).check()
    told = failed(findings, "repeatable")
    assert f"column {column!r} of source row" in told and "another order" in told, findings


@pytest.mark.parametrize("name", GOOD)
def test_what_the_rows_decide_passes(made: Made, name: str) -> None:
    source, fields = GOOD[name]
    findings = made(source=source, fields=fields).check()
    assert level(findings, "repeatable") == {"ok"}, findings
    assert "another order" in str(findings)


def test_of_many_rows_the_first_ones_are_compared(made: Made) -> None:
    findings = made(table=_MANY).check()
    assert all(one.level == "ok" for one in findings), findings
    assert "the query gave the same 999 rows twice" in str(findings)
    told = failed(
        made(table=_MANY, columns="id, happened_at, (random() * 100)::int AS n").check(), "repeatable"
    )
    assert "column 'n'" in told and "asked again" in told
    told = failed(
        made(table=_MANY, columns="id, happened_at, row_number() OVER (ORDER BY g) AS n").check(),
        "repeatable",
    )
    assert "column 'n'" in told and "another order" in told


def test_no_value_is_shown_of_what_the_query_gives(made: Made) -> None:
    told = str(made(source="SELECT 'secret' || random() AS id, happened_at, n FROM things {where}").check())
    assert "column 'id'" in told and "secret" not in told.replace("'secret'", "")


@pytest.mark.parametrize("name", AGAIN | ORDERED)
def test_so_it_is_on_postgresql(made: Made, things: str, name: str) -> None:
    source, column, fields = (AGAIN | ORDERED)[name]
    findings = made(source=source, fields=fields, warehouse=things).check()
    told = failed(findings, "repeatable")
    assert _names(told, column), findings


@pytest.mark.parametrize("name", GOOD)
def test_what_the_rows_decide_passes_on_postgresql(made: Made, things: str, name: str) -> None:
    source, fields = GOOD[name]
    findings = made(source=source, fields=fields, warehouse=things).check()
    assert level(findings, "repeatable") == {"ok"}, findings
    assert "another order" in str(findings)


@pytest.fixture(scope="module")
def things(postgres: PostgresServer) -> str:
    """A database with the table."""
    url = postgres.new_database()
    execute(url, """
        CREATE TABLE things AS SELECT 'k' || lpad(i::text, 3, '0') AS id, i % 4 AS g, i::bigint AS n,
            i * 0.1::float8 AS f, TIMESTAMPTZ '2024-01-02 00:00:00+00' + i * INTERVAL '1 minute' AS happened_at
        FROM generate_series(0, 39) AS t(i)
    """)  # fmt: skip
    return url
