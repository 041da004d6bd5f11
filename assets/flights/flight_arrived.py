"""A flight reached the gate at its destination.

One event per flight with a time of arrival: not for the cancelled, nor for the 458 that departed and of which
the source knows no arrival. Diverted flights count once they reach their destination; they have no delay.

The source has the time of arrival as HHMM on the destination's clock, without a date (2400 and 0 are one
midnight). The arrival is the first instant after departure at which that clock shows that time. Four
destinations (BQN, PSE, SJU, STT: Puerto Rico and the US Virgin Islands) are missing from the airports table:
their zone is supplied here, their `destination` record is null, and none of their arrivals is lost. Any
other destination without a zone stops the window, because its arrivals would belong to no window at all.
"""

import pandas as pd

from pipelines import daily, event


@event(
    topic="flights.flight-arrived.v1",
    key="flight_id",
    event_time="arrived_at",
    windows=daily("2013-01-01", "2014-01-02"),
    owner="team:flight-operations",
    source="""
        WITH departed AS (
            SELECT
                flights.*,
                airlines.name                                AS carrier_name,
                time_hour + to_minutes(minute + dep_delay)   AS departed_at,
                CASE WHEN airports.faa IS NOT NULL THEN {
                    'name': airports.name, 'latitude': lat, 'longitude': lon, 'elevation_feet': alt
                } END                                        AS airport,
                coalesce(
                    airports.tzone,
                    CASE WHEN dest IN ('BQN', 'PSE', 'SJU', 'STT') THEN 'America/Puerto_Rico' END,
                    error('no time zone is known for the destination ' || dest)
                )                                            AS zone
            FROM flights
            -- Left joins: what a table does not hold must show, not make arrivals disappear.
            LEFT JOIN airlines USING (carrier)
            LEFT JOIN airports ON airports.faa = flights.dest
            WHERE arr_time IS NOT NULL
                -- Lets the warehouse skip the rest of the year; the longest way from
                -- schedule to arrival is 33 hours.
                AND time_hour >= :window_start - INTERVAL 72 HOURS
                AND time_hour < :window_end + INTERVAL 24 HOURS
        ),
        landed AS (
            SELECT
                *,
                departed_at AT TIME ZONE zone                               AS departed_local,
                to_minutes(arr_time // 100 * 60 + arr_time % 100)           AS clock,
                date_trunc('day', departed_local) + clock                   AS same_day,
                same_day + to_days((same_day <= departed_local)::INTEGER)   AS arrived_local,
                -- The hour that clocks show twice in November: AT TIME ZONE takes the second, this the first.
                least(
                    arrived_local AT TIME ZONE zone,
                    (arrived_local - INTERVAL 1 HOUR) AT TIME ZONE zone + INTERVAL 1 HOUR
                )                                                           AS arrived_at
            FROM departed
        )
        SELECT
            concat_ws('-', make_date(year, month, day), carrier, flight, origin) AS flight_id,
            carrier,
            carrier_name,
            origin,
            dest       AS destination_code,
            airport    AS destination,
            zone       AS destination_time_zone,
            departed_at,
            arrived_at,
            arr_delay  AS delay_minutes,
            air_time   AS air_time_minutes,
            distance   AS distance_miles
        FROM landed
        WHERE arrived_at >= :window_start AND arrived_at < :window_end
    """,
)
def flight_arrived(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds punctuality: 15 minutes is where the US Department of Transportation begins to count a delay."""
    delay = rows["delay_minutes"]
    punctuality = pd.Series("ON_TIME", rows.index).mask(delay >= 15, "LATE").mask(delay <= -15, "EARLY")
    return rows.assign(punctuality=punctuality.mask(delay.isna(), None))
