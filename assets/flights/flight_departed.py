"""A flight left its gate.

One event per flight that departed; a cancelled flight has none. The source gives a scheduled hour in UTC,
a minute and a delay, and these three need no time zone. (Its clock times are local HHMM integers, which roll
past midnight and write that midnight as 0 or 2400.)
"""

import pandas as pd

from pipelines import daily, event


@event(
    topic="flights.flight-departed.v1",
    key="flight_id",
    event_time="departed_at",
    event_id="event_id",
    windows=daily("2013-01-01", "2014-01-02"),
    owner="team:flight-operations",
    source="""
        SELECT
            concat_ws('-', make_date(year, month, day), carrier, flight, origin) AS flight_id,
            carrier,
            flight                                       AS flight_number,
            tailnum                                      AS tail_number,
            origin,
            dest                                         AS destination,
            time_hour + to_minutes(minute)               AS scheduled_at,
            time_hour + to_minutes(minute + dep_delay)   AS departed_at,
            dep_delay                                    AS delay_minutes
        FROM flights
        WHERE dep_delay IS NOT NULL  -- else the flight was cancelled
            AND departed_at >= :window_start AND departed_at < :window_end
            -- Lets the warehouse skip the rest of the year; the longest delay of the year is 22 hours.
            AND time_hour >= :window_start - INTERVAL 168 HOURS
            AND time_hour < :window_end + INTERVAL 24 HOURS
    """,
)
def flight_departed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as the warehouse gives them; it costs nothing."""
    return rows
