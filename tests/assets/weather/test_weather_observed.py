"""The transform of weather_observed, with three rows, and its figures over the year."""

import datetime as dt

import pandas as pd
import pyarrow as pa
import pytest

from assets.weather.weather_observed import weather_observed


def transformed(
    degrees: list[int | None], wind: list[float | None], gust: list[float | None]
) -> dict[str, list]:  # type: ignore[type-arg]
    table = pa.table(
        {
            "wind_degrees": pa.array(degrees, pa.int32()),
            "wind_mph": pa.array(wind, pa.float64()),
            "gust_mph": pa.array(gust, pa.float64()),
        }
    )
    rows = weather_observed(table.to_pandas(types_mapper=pd.ArrowDtype))
    return {name: pa.Array.from_pandas(rows[name]).to_pylist() for name in rows.columns}


def test_miles_become_knots_and_degrees_a_sector() -> None:
    # 9 knots from the west, calm, and a wind that was not measured
    assert transformed([270, 0, None], [10.35702, 0.0, None], [20.71404, None, None]) == {
        "wind_degrees": [270, 0, None],
        "wind_from": ["W", "CALM", None],
        "wind_knots": [9, 0, None],
        "gust_knots": [18, None, None],
    }


def test_north_is_0_and_360_and_sectors_turn_at_22_and_a_half() -> None:
    assert transformed([360, 20, 30], [11.5078] * 3, [None] * 3)["wind_from"] == ["N", "N", "NE"]
    assert transformed([330, 340, 350], [11.5078] * 3, [None] * 3)["wind_from"] == ["NW", "N", "N"]


def test_a_reading_above_200_knots_is_null_and_a_variable_wind_has_no_sector() -> None:
    # 911 knots at EWR, 200 knots, 3 knots from no direction
    found = transformed([260, 260, None], [1048.36058, 230.156, 3.45234], [None, None, None])
    assert found["wind_knots"] == [None, 200, 3]
    assert found["wind_from"] == ["W", "W", None]


def test_every_observation_of_january_once_and_in_its_hour(warehouse) -> None:
    windows = warehouse.event("weather_observed").windows.between("2013-01-01-00:00", "2013-01-31-23:00")
    parts = [warehouse.rows("weather_observed", window.start, window.end) for window in windows]
    keys = [(row["station"], row["observed_at"]) for part in parts for row in part.to_pylist()]
    assert len(windows) == 744
    (expected,) = warehouse.one(
        "SELECT count(*) FROM weather WHERE strftime(time_hour AT TIME ZONE 'UTC', '%Y-%m') = '2013-01'"
    )
    assert len(keys) == len(set(keys)) == expected


def test_the_windows_hold_every_observation(warehouse) -> None:
    windows = warehouse.event("weather_observed").windows
    rows = warehouse.rows("weather_observed", windows.start, windows.end)
    assert rows.num_rows == 26_115


def test_both_hours_that_new_york_calls_one_o_clock_are_told(warehouse) -> None:
    start = dt.datetime(2013, 11, 3, 5, tzinfo=dt.UTC)
    rows = warehouse.rows("weather_observed", start, start + dt.timedelta(hours=2)).to_pylist()
    jfk = {row["observed_at"]: str(row["temperature_celsius"]) for row in rows if row["station"] == "JFK"}
    assert jfk == {start: "12.2", start + dt.timedelta(hours=1): "11.1"}


@pytest.mark.parametrize(
    ("measured", "column", "to_source"),
    [
        ("temperature_celsius", "temp", "measured * 1.8 + 32"),
        ("dew_point_celsius", "dewp", "measured * 1.8 + 32"),
        ("wind_knots", "wind_speed", "measured * 1.15078"),
        ("gust_knots", "wind_gust", "measured * 1.15078"),
        ("rain_inches", "precip", "measured"),
    ],
)
def test_going_back_to_the_measured_figures_loses_nothing(
    warehouse, measured: str, column: str, to_source: str
) -> None:
    windows = warehouse.event("weather_observed").windows
    frame = warehouse.transformed(
        "weather_observed", warehouse.rows("weather_observed", windows.start, windows.end)
    )
    lost, furthest = warehouse.one(
        f"""
        WITH pairs AS (
            SELECT {measured}::DOUBLE AS measured, {column} AS source
            FROM told JOIN weather ON origin = station AND time_hour = observed_at
        )
        SELECT count(*) FILTER (measured IS NULL AND source IS NOT NULL), max(abs({to_source} - source))
        FROM pairs
        """,
        told=pa.Table.from_pandas(frame, preserve_index=False),
    )
    assert lost == (1 if measured == "wind_knots" else 0)  # the 911 knots
    assert furthest < 1e-9
