"""A month of weather at an airport came to its end.

One event per airport and New York month, at the local midnight that ends it: the window of a month holds the
month before it. Sums and extremes are taken over decimals, never over floats, whose sum would depend on the
order in which the warehouse happens to add them.
"""

import pandas as pd

from pipelines import event, monthly


@event(
    topic="weather.station-month-closed.v1",
    key="station",
    event_time="closed_at",
    windows=monthly("2013-01-01", "2014-02-01", delay="1d"),
    owner="team:meteorology",
    source="""
        SELECT
            origin                                                                    AS station,
            make_date(year, month, 1)                                                 AS first_day,
            (first_day + INTERVAL 1 MONTH) AT TIME ZONE 'America/New_York'            AS closed_at,
            count(*)                                                                  AS hours_observed,
            sum(precip::DECIMAL(4, 2))::DECIMAL(6, 2)                                 AS rain_inches,
            min(((temp - 32) / 1.8)::DECIMAL(4, 1))                                   AS coldest_celsius,
            max(((temp - 32) / 1.8)::DECIMAL(4, 1))                                   AS warmest_celsius,
            coalesce(list(DISTINCT day ORDER BY day) FILTER (WHERE precip > 0), [])   AS rainy_days
        FROM weather
        -- A month is 31 days and an hour at most.
        WHERE time_hour >= :window_start - INTERVAL 745 HOURS AND time_hour < :window_end
        GROUP BY ALL
        HAVING closed_at >= :window_start AND closed_at < :window_end
    """,
)
def month_closed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as the warehouse gives them."""
    return rows
