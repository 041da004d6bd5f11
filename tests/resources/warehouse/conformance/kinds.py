"""The kinds of warehouses that the suite tests. A new kind is one more entry of `KINDS`."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from resources.warehouse import Warehouse, open_warehouse
from tests.fixtures_postgres import PostgresServer, execute
from tests.resources.warehouse.conformance import sqlite_warehouse

Execute = Callable[[str], None]
"""Runs a script of statements that write, in a separate session."""


@dataclass(frozen=True)
class Kind:
    """A kind of warehouse. `fresh` makes an empty database and returns two functions, one that writes to it
    and one that opens the warehouse over it; its arguments are an empty folder, and the test's request for a
    server's fixture. `instant` writes an instant in SQL; `refused_type` is a type that Arrow cannot hold;
    `failing` is a query of the table `people` that fails because of a name in it. `after` is run when the
    tables are filled."""

    name: str
    fresh: Callable[[Path, pytest.FixtureRequest], tuple[Execute, Callable[[], Warehouse]]]
    refused_type: str
    failing: str
    instant: Callable[[datetime], str] = lambda instant: f"TIMESTAMPTZ '{instant.isoformat()}'"
    naive: Callable[[datetime], str] = lambda instant: (
        f"TIMESTAMP '{instant.replace(tzinfo=None).isoformat()}'"
    )
    after: str = ""


def _duckdb(folder: Path, _: pytest.FixtureRequest) -> tuple[Execute, Callable[[], Warehouse]]:
    file = folder / "shop.duckdb"

    def execute_in_file(script: str) -> None:
        with duckdb.connect(str(file)) as connection:
            connection.execute(f"SET TimeZone = 'America/New_York'; {script}")

    return execute_in_file, lambda: opened(f"duckdb://{file}")


def _postgresql(_: Path, request: pytest.FixtureRequest) -> tuple[Execute, Callable[[], Warehouse]]:
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database()
    return lambda script: execute(url, script), lambda: opened(url)


def _sqlite(folder: Path, _: pytest.FixtureRequest) -> tuple[Execute, Callable[[], Warehouse]]:
    file = folder / "shop.sqlite"

    def execute_in_file(script: str) -> None:
        with closing(sqlite_warehouse.writer(file)) as connection:
            connection.executescript(script)

    return execute_in_file, lambda: sqlite_warehouse.SQLiteWarehouse(str(file))


def opened(url: str) -> Warehouse:
    """The warehouse of a URL, named `shop`, opened as with the settings."""
    return open_warehouse("shop", {"shop": url}, memory_limit="100MB")


def _text(instant: datetime) -> str:
    return f"'{sqlite_warehouse.text_of(instant.astimezone(UTC))}'"


KINDS = (
    # With the name of its server's fixture, so that `--fast` leaves it out.
    Kind("postgres", _postgresql, "INTERVAL", "SELECT CAST(name AS INTEGER) AS n FROM people"),
    Kind("duckdb", _duckdb, "INTERVAL", "SELECT CAST(name AS INTEGER) AS n FROM people"),
    # The smallest one: it keeps the suite independent of the two above, and shows what a new kind must do. A
    # column of numbers contains a text in it, which cannot be read as a number.
    Kind(
        "sqlite",
        _sqlite,
        "GEOMETRY",
        "SELECT year_of_birth AS n FROM people",
        _text,
        _text,
        "UPDATE people SET year_of_birth = name",
    ),
)
