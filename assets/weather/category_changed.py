"""The visibility at an airport passed into another flight category.

One event per observation whose category differs from that of the observation before it. An observation with
none in the 24 hours before it counts as a change from null, so the result is the same in any window. The
categories are those of the US National Weather Service, by visibility alone: the source has no ceilings.
"""

import pandas as pd

from pipelines import daily, event


@event(
    topic="weather.flight-category-changed.v1",
    key="station",
    event_time="observed_at",
    windows=daily("2013-01-01", "2013-12-31"),
    owner="team:meteorology",
    source="""
        WITH observed AS (
            SELECT
                origin                        AS station,
                time_hour                     AS observed_at,
                visib                         AS visibility_miles,
                CASE
                    WHEN visib < 1 THEN 'LIFR'
                    WHEN visib < 3 THEN 'IFR'
                    WHEN visib <= 5 THEN 'MVFR'
                    WHEN visib > 5 THEN 'VFR'
                END                           AS category,
                -- Looks back over the start of the window, whose first hour has one before it too.
                last_value(category) OVER (
                    PARTITION BY origin ORDER BY time_hour
                    RANGE BETWEEN INTERVAL 24 HOURS PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
                )                             AS previous_category
            FROM weather
            WHERE time_hour >= :window_start - INTERVAL 24 HOURS AND time_hour < :window_end
        )
        SELECT station, observed_at, category, previous_category, visibility_miles
        FROM observed
        WHERE observed_at >= :window_start AND observed_at < :window_end
            AND category IS DISTINCT FROM previous_category
    """,
)
def category_changed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as the warehouse gives them."""
    return rows
