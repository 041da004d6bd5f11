"""A scheduled flight did not depart.

One event per flight without a time of departure. The source does not say when it was cancelled, so the event
happens at the scheduled departure: the instant at which the passengers should have left.
"""

import pandas as pd

from pipelines import daily, event


@event(
    topic="flights.flight-cancelled.v1",
    key="flight_id",
    event_time="scheduled_at",
    headers="cloudevents",
    windows=daily("2013-01-01", "2014-01-02"),
    owner="team:flight-operations",
    source="""
        SELECT
            concat_ws('-', make_date(year, month, day), carrier, flight, origin) AS flight_id,
            carrier,
            flight                           AS flight_number,
            tailnum                          AS tail_number,
            origin,
            dest                             AS destination,
            time_hour + to_minutes(minute)   AS scheduled_at
        FROM flights
        WHERE dep_time IS NULL
            AND scheduled_at >= :window_start AND scheduled_at < :window_end
            -- The same, in terms of a stored column: lets the warehouse skip the rest of the year.
            AND time_hour > :window_start - INTERVAL 1 HOUR AND time_hour < :window_end
    """,
)
def flight_cancelled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as the warehouse gives them."""
    return rows
