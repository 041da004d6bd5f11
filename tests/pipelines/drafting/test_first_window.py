"""Where a draft's windows begin: at the earliest real time, in both warehouses."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from pipelines import daily, hourly, monthly, weekly
from pipelines.drafting.first_window import first_window
from resources.warehouse import Warehouse, open_warehouse
from tests.fixtures_postgres import PostgresServer, execute
from tests.matrix import one_of

TYPES = ("DATE", "TIMESTAMP", "TIMESTAMPTZ")
Make = Callable[..., tuple[Warehouse, str]]
_BC = {"duckdb": "0044-03-15 (BC)", "postgresql": "0044-03-15 BC"}


@pytest.fixture(params=one_of("duckdb", "postgresql"))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes a table `t` with one column `at` of a type."""
    opened: list[Warehouse] = []

    def made(kind: str, *values: str) -> tuple[Warehouse, str]:
        written = [_BC[request.param] if value == "BC" else value for value in values]
        rows = " UNION ALL ".join(f"SELECT {kind} '{value}' AS at" for value in written)
        table = f"t{uuid4().hex[:8]}"
        sql = f"CREATE TABLE {table} AS {rows}" if values else f'CREATE TABLE {table} ("at" {kind})'
        if request.param == "duckdb":
            path = tmp_path / f"{table}.duckdb"
            with duckdb.connect(str(path)) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute(sql)
            url = f"duckdb://{path}"
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            url = server.new_database()
            execute(url, f"SET TIME ZONE 'UTC'; {sql}")
        found = open_warehouse("sales", {"sales": url}, memory_limit="100MB")
        opened.append(found)
        return found, table

    yield made
    for one in opened:
        with closing(one):
            pass


def begins(made: tuple[Warehouse, str], cadence: str = "daily") -> tuple[str, str]:
    warehouse, table = made
    source = warehouse.table(table)
    return first_window(warehouse, source.sql, source.columns[0], cadence)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", TYPES)
def test_it_is_where_the_times_begin(make: Make, kind: str) -> None:
    assert begins(make(kind, "2024-02-03", "2024-05-01", "infinity")) == (
        "2024-02-03",
        "where the table's times begin",
    )


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("placeholder", ["-infinity", "BC", "0001-01-01", "0999-12-31"])
def test_a_placeholder_is_left_out_and_named(make: Make, kind: str, placeholder: str) -> None:
    first, why = begins(make(kind, placeholder, "2024-02-03"))
    assert first == "2024-02-03"
    assert "the table's times begin at " in why
    assert {"BC": "BC"}.get(placeholder, placeholder) in why


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "only",
    [
        "-infinity",
        "infinity",
        "BC",
        "0001-01-01",
        "1000-12-31",
        "9000-01-01",
        "9999-12-31",
        "10000-01-01",
        None,
    ],
)
def test_where_no_time_is_usable_it_is_today_and_that_is_said(
    make: Make, kind: str, only: str | None
) -> None:
    first, why = begins(make(kind, *([only] if only else [])))
    assert daily(first)
    assert why.startswith("today, since no ")
    assert "begin" not in why
    assert "--start" in why
    assert ("no row of the table has a time yet" in why) == (only is None)


@pytest.mark.parametrize("cadence", [hourly, daily, weekly, monthly])
def test_it_is_a_start_that_a_declaration_takes(make: Make, cadence: Callable[..., object]) -> None:
    for value in ("1001-01-01", "8999-12-31", "2024-02-03"):
        first, _ = begins(make("DATE", value), cadence.__name__)
        assert cadence(first)


@pytest.mark.parametrize("kind", ["TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"])
def test_every_unit_of_duckdb(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "units.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"CREATE TABLE t AS SELECT {kind} '-infinity' AS at UNION ALL SELECT {kind} '2024-02-03'"
        )
    with closing(open_warehouse("sales", {"sales": f"duckdb://{path}"}, memory_limit="100MB")) as opened:
        first, why = begins((opened, "t"))
    assert first == "2024-02-03"
    assert "-infinity" in why


@pytest.mark.parametrize("warehouse", one_of("duckdb", "postgresql"))
def test_names_that_need_quotes(request: pytest.FixtureRequest, tmp_path: Path, warehouse: str) -> None:
    table = '"sales 2"."select ""it"""'
    sql = (
        f'CREATE SCHEMA "sales 2"; CREATE TABLE {table} ("when ""?""" DATE);'
        f"INSERT INTO {table} VALUES (DATE '0001-01-01'), (DATE '2024-02-03');"
    )
    if warehouse == "duckdb":
        with duckdb.connect(str(tmp_path / "quoted.duckdb")) as connection:
            connection.execute(sql)
        url = f"duckdb://{tmp_path / 'quoted.duckdb'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database()
        execute(url, sql)
    with closing(open_warehouse("sales", {"sales": url}, memory_limit="100MB")) as opened:
        first, _ = begins((opened, 'sales 2.select "it"'))
    assert first == "2024-02-03"
