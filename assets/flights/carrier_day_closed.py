"""A carrier's day at the New York airports came to its end.

One event per carrier and New York day with at least one scheduled flight. It happens at the local midnight
that ends the day (04:00 or 05:00 UTC), so the window of a date holds the day before it. The delay gives the
last departures of the evening six hours to reach the warehouse; what comes later is a correction. The first
window is empty: the source does not reach back to 2012.
"""

import pandas as pd

from pipelines import daily, event


@event(
    topic="flights.carrier-day-closed.v1",
    key="carrier",
    event_time="closed_at",
    windows=daily("2013-01-01", "2014-01-02", delay="6h"),
    owner="team:network-planning",
    source="""
        WITH at_origin AS (
            SELECT
                carrier,
                origin,
                make_date(year, month, day)                                    AS local_day,
                (local_day + INTERVAL 1 DAY) AT TIME ZONE 'America/New_York'   AS closed_at,
                count(*)                                                       AS scheduled,
                count(dep_time)                                                AS departed,
                count(*) FILTER (WHERE dep_delay < 15)                         AS on_time,
                sum(dep_delay)                                                 AS delay_minutes
            FROM flights
            -- A New York day is 25 hours at most.
            WHERE time_hour >= :window_start - INTERVAL 25 HOURS AND time_hour < :window_end
            GROUP BY ALL
        )
        SELECT
            carrier,
            name                                                             AS carrier_name,
            local_day                                                        AS day,
            closed_at,
            sum(scheduled)::INTEGER                                          AS scheduled,
            sum(departed)::INTEGER                                           AS departed,
            (sum(on_time) / sum(scheduled))::DECIMAL(5, 4)                   AS on_time_share,
            (sum(delay_minutes) / nullif(sum(departed), 0))::DECIMAL(6, 1)   AS mean_delay_minutes,
            list(
                {'origin': origin, 'scheduled': scheduled, 'departed': departed} ORDER BY origin
            )                                                                AS origins
        FROM at_origin
        LEFT JOIN airlines USING (carrier)
        WHERE closed_at >= :window_start AND closed_at < :window_end
        GROUP BY ALL
    """,
)
def carrier_day_closed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as the warehouse gives them; the rounding of the decimals is written in the SQL."""
    return rows
