"""The weather was observed at an airport.

One event per airport and hour, except the hours for which the source has no observation. The source holds US
units made from metric ones and knots; this goes back to the figures that were measured, which is exact.
"""

import numpy as np
import pandas as pd

from pipelines import event, hourly

MPH_PER_KNOT = 1.15078  # the factor that the source was made with
HIGHEST_CREDIBLE_KNOTS = 200
COMPASS = np.array(["N", "NE", "E", "SE", "S", "SW", "W", "NW"])


@event(
    topic="weather.weather-observed.v1",
    key="station",
    event_time="observed_at",
    windows=hourly("2013-01-01", "2013-12-31"),
    owner="team:meteorology",
    source="""
        SELECT
            origin                                   AS station,
            time_hour                                AS observed_at,
            ((temp - 32) / 1.8)::DECIMAL(4, 1)       AS temperature_celsius,
            ((dewp - 32) / 1.8)::DECIMAL(4, 1)       AS dew_point_celsius,
            humid                                    AS humidity_percent,
            pressure                                 AS pressure_hectopascal,
            wind_dir                                 AS wind_degrees,
            wind_speed                               AS wind_mph,
            wind_gust                                AS gust_mph,
            precip::DECIMAL(4, 2)                    AS rain_inches,
            visib                                    AS visibility_miles
        FROM weather
        WHERE time_hour >= :window_start AND time_hour < :window_end
    """,
)
def weather_observed(rows: pd.DataFrame) -> pd.DataFrame:
    """Winds in whole knots, and the sector of the compass they blow from."""
    wind, gust = _knots(rows["wind_mph"]), _knots(rows["gust_mph"])
    sector = _sector(rows["wind_degrees"], wind)
    rows = rows.drop(columns=["wind_mph", "gust_mph"])
    return rows.assign(wind_from=sector, wind_knots=wind, gust_knots=gust)


def _knots(mph: pd.Series) -> pd.Series:
    """Whole knots; null where a reading cannot be true (EWR on 2013-02-12 has 911 knots)."""
    knots = (mph / MPH_PER_KNOT).round().astype("int32[pyarrow]")
    return knots.where(knots <= HIGHEST_CREDIBLE_KNOTS)


def _sector(degrees: pd.Series, wind_knots: pd.Series) -> pd.Series:
    """Each sector reaches 22.5 degrees to either side of its name; 0 and 360 degrees are both north."""
    known = degrees.fillna(0).to_numpy("int64")
    sector = pd.Series(COMPASS[(known + 22) // 45 % 8], degrees.index)
    return sector.where(degrees.notna(), None).mask((wind_knots == 0).fillna(False), "CALM")
