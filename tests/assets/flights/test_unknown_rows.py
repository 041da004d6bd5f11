"""What the flight events do with rows that have no match in the other tables."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

JANUARY = {
    "window_start": dt.datetime(2013, 1, 1, tzinfo=dt.UTC),
    "window_end": dt.datetime(2013, 1, 2, tzinfo=dt.UTC),
}


@pytest.fixture
def changed(sample: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the sample in memory, which a test may change."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{sample}' AS sample (READ_ONLY)")
        for table in ("airlines", "airports"):
            connection.execute(f"CREATE TABLE {table} AS FROM sample.{table}")
        connection.execute("CREATE TABLE flights AS FROM sample.flights WHERE month = 1 AND day < 4")
        yield connection


def arrivals(connection: duckdb.DuckDBPyConnection, catalogue) -> int:
    query = catalogue.find("flight_arrived").source.to_style("duckdb")
    return connection.sql(query, params=JANUARY).to_arrow_table().num_rows


def test_a_destination_without_a_zone_stops_the_window_and_is_named(changed, catalogue) -> None:
    before = arrivals(changed, catalogue)
    assert before > 400
    changed.execute("UPDATE airports SET tzone = NULL WHERE faa = 'IAH'")
    with pytest.raises(duckdb.Error, match="no time zone is known for the destination IAH"):
        arrivals(changed, catalogue)


def test_an_airport_that_becomes_known_doubles_nothing(changed, catalogue) -> None:
    before = arrivals(changed, catalogue)
    changed.execute(
        "INSERT INTO airports VALUES ('SJU', 'San Juan', 18.4, -66.0, 9, -4, 'N', 'America/Puerto_Rico')"
    )
    assert arrivals(changed, catalogue) == before


def test_a_carrier_without_a_name_is_not_lost(changed, catalogue) -> None:
    """Its name is null, which the contract does not allow:
    it becomes a dead letter, so that somebody sees it."""
    before = arrivals(changed, catalogue)
    changed.execute("DELETE FROM airlines WHERE carrier = 'UA'")
    assert arrivals(changed, catalogue) == before
