"""What is true for every sample event: it does not depend on the session's time zone, it is complete over
windows, and it fits its contract."""

import datetime as dt
import io
import json
from itertools import pairwise
from typing import Any

import duckdb
import fastavro
import pyarrow as pa
import pytest

EVENTS = {
    "flights/aircraft_week_flown": "weekly",
    "flights/carrier_day_closed": "daily",
    "flights/flight_arrived": "daily",
    "flights/flight_cancelled": "daily",
    "flights/flight_departed": "daily",
    "weather/category_changed": "daily",
    "weather/month_closed": "monthly",
    "weather/weather_observed": "hourly",
}

# A month with a change of the clocks, and long enough for a window of every cadence.
START, END = dt.datetime(2013, 3, 1, tzinfo=dt.UTC), dt.datetime(2013, 4, 1, tzinfo=dt.UTC)


def test_these_are_the_sample_events(catalogue) -> None:
    assert {name: event.windows.cadence for name, event in catalogue.events.items()} == EVENTS


@pytest.mark.parametrize("name", EVENTS)
def test_the_zone_of_the_session_changes_nothing(warehouse, name: str) -> None:
    found = []
    for zone in ("UTC", "America/New_York", "Asia/Kathmandu"):  # the last is the one of the other tests
        warehouse.connection.execute(f"SET TimeZone = '{zone}'")
        found.append(in_utc(warehouse.rows(name, START, END)))
    assert found[0].num_rows > 0
    assert same_rows(found[0], found[1]) and same_rows(found[0], found[2])


# A week's rows are sums over the window itself: two weeks in one window make different rows.
@pytest.mark.parametrize("name", [name for name, cadence in EVENTS.items() if cadence != "weekly"])
def test_windows_cut_the_events_without_loss_or_repetition(warehouse, name: str) -> None:
    """Many windows together return what one long window returns;
    each event is in the window that its time is in."""
    cadence = EVENTS[name]
    if cadence == "hourly":
        instants = [START + dt.timedelta(hours=hour) for hour in range(31 * 24 + 1)]
    elif cadence == "daily":
        instants = [START + dt.timedelta(days=day) for day in range(32)]
    else:
        instants = [START, dt.datetime(2013, 3, 10, 7, tzinfo=dt.UTC), END]
    parts = [warehouse.rows(name, a, b) for a, b in pairwise(instants)]
    for part, (start, end) in zip(parts, pairwise(instants), strict=True):
        times = part.column(warehouse.event(name).event_time).to_pylist()
        assert all(start <= time < end for time in times)
    assert same_rows(in_utc(pa.concat_tables(parts)), in_utc(warehouse.rows(name, START, END)))


@pytest.mark.parametrize("name", EVENTS)
def test_a_window_of_another_year_is_empty(warehouse, name: str) -> None:
    start = dt.datetime(2020, 6, 1, tzinfo=dt.UTC)
    assert warehouse.rows(name, start, start + dt.timedelta(days=31)).num_rows == 0


@pytest.mark.parametrize("name", EVENTS)
def test_every_row_of_a_month_fits_the_contract(warehouse, name: str) -> None:
    """fastavro, which is not our code, accepts every row, and no row has a field that the contract lacks."""
    event = warehouse.event(name)
    schema = json.loads((event.module_path.with_suffix(".avsc")).read_text())
    schema["fields"] = [field for field in schema["fields"] if field["name"] != event.event_id]
    parsed = fastavro.parse_schema(schema)
    frame = warehouse.transformed(name, warehouse.rows(name, START, END))
    rows: list[dict[str, Any]] = pa.Table.from_pandas(frame, preserve_index=False).to_pylist()
    assert rows
    for row in rows:
        written = io.BytesIO()
        fastavro.schemaless_writer(written, parsed, row, strict=True)
        read: Any = fastavro.schemaless_reader(io.BytesIO(written.getvalue()), parsed, None)
        assert read == row


@pytest.mark.parametrize("name", EVENTS)
def test_a_window_without_rows_passes_the_transform(warehouse, name: str) -> None:
    start = dt.datetime(2020, 6, 1, tzinfo=dt.UTC)
    frame = warehouse.transformed(name, warehouse.rows(name, start, start + dt.timedelta(days=1)))
    contract = {field.name for field in warehouse.event(name).contract.fields}
    assert set(frame.columns) == contract - {warehouse.event(name).event_id}


def in_utc(table: pa.Table) -> pa.Table:
    """Timestamps as instants in UTC: a column's label is the session's time zone."""
    columns = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", "UTC"))
        columns.append(column)
    return pa.table(columns, table.column_names)


def same_rows(one: pa.Table, other: pa.Table) -> bool:
    """The same rows in any order; `EXCEPT ALL` counts repetitions."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("one", one)
        connection.register("other", other)
        differing = connection.execute(
            "SELECT count(*) FROM "
            "((FROM one EXCEPT ALL FROM other) UNION ALL (FROM other EXCEPT ALL FROM one))"
        ).fetchone()
    return differing == (0,)
