"""A warehouse's message about a query that it refused
shows the query's words and never the value of a row."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.warehouse import Warehouse, WarehouseError
from resources.warehouse.own_words import STARS, without_values  # type: ignore[attr-defined]
from tests.fixtures_postgres import execute
from tests.matrix import one_of
from tests.resources.warehouse.conftest import opened, taken

if TYPE_CHECKING:
    from pathlib import Path

# An apostrophe, a quotation mark, a line that looks like the engine's own, and digits.
SECRET = 'it\'s "Anna" Karlsson\nLINE 1: Sundgatan 55'
PARTS = ("Anna", "Karlsson", "Sundgatan", "55", "5000000123", "Zebra")
_TABLE = """
CREATE TABLE people AS SELECT i, CASE WHEN i = 9999 THEN '{secret}' ELSE '1' END AS note,
    CASE WHEN i = 9999 THEN 5000000123 ELSE 1 END AS big, CASE WHEN i = 9999 THEN 'Zebra' ELSE '1' END AS plain,
    CASE WHEN i = 9999 THEN '{{Zebra' ELSE '{{}}' END AS js
FROM {range} AS r(i);
"""
_BOTH = (
    "CAST(note AS INTEGER)", "CAST(big AS INTEGER)", "CAST(note AS DATE)", "CAST(note AS UUID)", "CAST(note AS BOOLEAN)",
    "CAST(plain AS INTEGER)", "CAST(plain AS DECIMAL(5, 2))", "CAST(big AS DECIMAL(5, 2))", "CAST(js AS JSON)",
    "CAST(note AS INTEGER[])", "date_trunc(plain, TIMESTAMP '2013-01-01')", "big * big * big * big * 10",
    "repeat(note, CAST(big * 100 AS INTEGER))",
)  # fmt: skip
_ONLY = {
    "duckdb": (
        "error(note)", "strptime(note, '%Y-%m-%d')", "CAST(note AS ENUM('a', 'b'))", "json_extract(js, '$.a')",
        "from_base64(note)", "unhex(plain)", "TIMESTAMP '2013-01-01' AT TIME ZONE plain", "regexp_matches(note, '(' || plain)",
        "CAST(CAST(note AS INTERVAL) AS VARCHAR)",
    ),
    "postgresql": (
        "boom(note)", "quoted(note)", "to_timestamp(note, 'YYYY')", "decode(note, 'base64')", "CAST(note AS e)",
        "CAST(CAST(plain AS regclass) AS text)", "note ~ ('(' || note)", "set_config('work_mem', note, true)",
        "CAST(CAST(note AS varchar(30)) AS timestamptz)", "chr(CAST(-big AS int))",
    ),
}  # fmt: skip
_FUNCTIONS = """
CREATE TYPE e AS ENUM ('a');
CREATE FUNCTION boom(x text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    IF length(x) > 1 THEN
        RAISE EXCEPTION 'patient % bad', x USING errcode = '42P01', detail = 'd ' || x, hint = 'h ' || x;
    END IF;
    RETURN x;
END $$;
CREATE FUNCTION quoted(x text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE found text; BEGIN
    EXECUTE 'SELECT ' || quote_literal(x) || '::int' INTO found; RETURN found;
END $$;
"""


@pytest.fixture(scope="module")
def people_urls(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, str]:
    """The same ten thousand rows in both warehouses; the last one is about a person."""
    path: Path = tmp_path_factory.mktemp("people") / "people.duckdb"
    secret = SECRET.replace("'", "''")
    with duckdb.connect(str(path)) as connection:
        connection.execute(_TABLE.format(secret=secret, range="range(0, 10000)"))
    url = request.getfixturevalue("postgres").new_database()
    execute(url, _FUNCTIONS + _TABLE.format(secret=secret, range="generate_series(0, 9999)"))
    return {"duckdb": f"duckdb://{path}", "postgresql": url}


@pytest.fixture(params=one_of("postgresql", "duckdb"))
def people(request: pytest.FixtureRequest, people_urls: dict[str, str]) -> Iterator[tuple[str, Warehouse]]:
    with closing(opened(people_urls[request.param])) as made:
        yield request.param, made


def test_no_refusal_shows_a_value_of_a_row(people: tuple[str, Warehouse]) -> None:
    kind, warehouse = people
    for expression in (*_BOTH, *_ONLY[kind]):
        sql = f"SELECT i, {expression} AS n FROM people"
        with pytest.raises(WarehouseError) as caught:
            taken(warehouse, sql, batch_rows=500)
        told = str(caught.value)
        assert not [part for part in PARTS if part in told], expression
        assert "refused" in told or "UTF-8" in told, expression
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_a_refusal_still_says_what_the_query_did(people: tuple[str, Warehouse]) -> None:
    kind, warehouse = people
    with pytest.raises(WarehouseError) as caught:
        taken(warehouse, "SELECT CAST(plain AS INTEGER) AS n FROM people")
    expected = {
        "duckdb": f"Could not convert string {STARS} to INT32 when casting from source column plain LINE 2:",
        "postgresql": f"invalid input syntax for type integer: {STARS}",
    }
    assert expected[kind] in caught.value.problem


def test_what_is_said_before_a_row_is_read_is_shown_whole(people: tuple[str, Warehouse]) -> None:
    _, warehouse = people
    with pytest.raises(WarehouseError, match="nosuch") as caught:
        taken(warehouse, "SELECT nosuch FROM people")
    # Engines show only a part of a long line, with other blanks.
    long = ",\t".join(f"i AS a{n}" for n in range(60))
    with pytest.raises(WarehouseError, match="nosuch"):
        taken(warehouse, f"SELECT {long}, nosuch, {long} FROM people")
    assert STARS not in str(caught.value)
    with pytest.raises(WarehouseError, match="abc") as caught:
        taken(warehouse, "SELECT CAST('abc' AS INTEGER) AS n FROM people")


@given(
    st.sampled_from(
        ("invalid input syntax for type integer: {}", "Could not convert string '{}' to INT32", 'value "{}" is out of range',
         "Malformed JSON at byte 1 of input: unexpected character.  Input: \"{}\" when casting from source column js",
         "Overflow in multiplication of INT64 ({} * {})!", "patient {} bad")
    ),
    st.lists(
        st.text("qxzQXZ0123456789äß😀", min_size=4, max_size=8).filter(lambda text: "int" not in text), min_size=1, max_size=4
    ),
    st.sampled_from((" ", "'", '"', "' ", "\n", "`", ", ", "(", " LINE 1: ")),
)  # fmt: skip
def test_no_word_of_a_value_is_shown_wherever_it_stands(
    sentence: str, words: list[str], between: str
) -> None:
    told = without_values(
        sentence.format(*[between.join(words)] * 2), "SELECT CAST(js AS INTEGER) FROM people"
    )
    assert not [word for word in words if word in told]
    assert STARS in told
