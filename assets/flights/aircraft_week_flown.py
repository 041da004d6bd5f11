"""An aircraft finished its week of departures from New York.

One event per aircraft and week (Monday to Sunday, UTC) with at least one departure, at the instant of the
last one. Flights without a tail number are in no aircraft's week. One flight in seven is flown by an aircraft
that the planes table does not hold: its `aircraft` is null.
"""

import pandas as pd

from pipelines import event, weekly


@event(
    topic="flights.aircraft-week-flown.v1",
    key="tail_number",
    event_time="last_departed_at",
    windows=weekly("2012-12-31", "2014-01-06"),
    owner="team:fleet",
    source="""
        WITH departed AS (
            SELECT *, time_hour + to_minutes(minute + dep_delay) AS departed_at
            FROM flights
            WHERE tailnum IS NOT NULL
                AND departed_at >= :window_start AND departed_at < :window_end
                -- Lets the warehouse skip the rest of the year; the longest delay of the year is 22 hours.
                AND time_hour >= :window_start - INTERVAL 168 HOURS
                AND time_hour < :window_end + INTERVAL 24 HOURS
        ),
        week AS (
            SELECT
                tailnum                                   AS tail_number,
                max(departed_at)                          AS last_departed_at,
                (sum(air_time) / 60)::DECIMAL(6, 2)       AS air_time_hours,
                list({
                    'flight_id': concat_ws('-', make_date(year, month, day), carrier, flight, origin),
                    'origin': origin,
                    'destination': dest,
                    'departed_at': departed_at
                } ORDER BY departed_at, carrier, flight)  AS legs
            FROM departed
            GROUP BY tailnum
        )
        SELECT
            week.*,
            CASE WHEN planes.tailnum IS NOT NULL THEN {
                'manufacturer': manufacturer, 'model': model, 'seats': seats, 'built': planes.year
            } END AS aircraft
        FROM week
        LEFT JOIN planes ON planes.tailnum = week.tail_number
    """,
)
def aircraft_week_flown(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as the warehouse gives them."""
    return rows
