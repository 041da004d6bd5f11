"""Times of departure and arrival:
computed by hand from the source's clock times, and checked over the year."""

import datetime as dt

import pytest


def utc(text: str) -> dt.datetime:
    return dt.datetime.strptime(f"2013-{text}+0000", "%Y-%m-%d %H:%M%z")


# flight_id, instants of departure and arrival in UTC; the comment has the clock times of the source.
BY_HAND = [
    # 05:17 EST (+5), 08:30 CST (+6)
    pytest.param("2013-01-01-UA-1545-EWR", "01-01 10:17", "01-01 14:30", id="an ordinary flight to Houston"),
    # 23:22 EST, 00:18 EST
    pytest.param("2013-01-03-B6-1018-JFK", "01-04 04:22", "01-04 05:18", id="arrival past midnight"),
    # scheduled 22:49 EST on the 13th, 72 minutes late: 00:01 EST, 01:08 EST
    pytest.param("2013-01-13-B6-22-JFK", "01-14 05:01", "01-14 06:08", id="departure past midnight"),
    # scheduled 23:59 EST on the 7th, 24:00 EST, 04:32 AST (+4)
    pytest.param("2013-02-07-B6-727-JFK", "02-08 05:00", "02-08 08:32", id="departure at 2400"),
    # 22:53 EDT (+4), 24:00 EDT
    pytest.param("2013-05-20-B6-128-JFK", "05-21 02:53", "05-21 04:00", id="arrival at 2400"),
    # scheduled 09:00 EST on the 9th, 1,301 minutes late: 06:41 EST on the 10th, 12:42 HST (+10)
    pytest.param("2013-01-09-HA-51-JFK", "01-10 11:41", "01-10 22:42", id="the longest delay, to Honolulu"),
    # 16:23 EDT, 11:48 CDT (+5) on the next day
    pytest.param("2013-06-12-MQ-3694-EWR", "06-12 20:23", "06-13 16:48", id="diverted for a night"),
    # 14:02 EST, 19:34 HST: the evening before the clocks change in New York
    pytest.param("2013-03-09-UA-15-EWR", "03-09 19:02", "03-10 05:34", id="Honolulu"),
    # 10:05 EDT, 15:27 HST
    pytest.param("2013-07-01-HA-51-JFK", "07-01 14:05", "07-02 01:27", id="Honolulu in summer"),
    # 19:14 EST, 22:32 MST (+7)
    pytest.param("2013-03-09-DL-1345-JFK", "03-10 00:14", "03-10 05:32", id="Phoenix"),
    # 06:55 EDT, 08:55 MST: no summer time in Arizona
    pytest.param("2013-07-01-UA-1138-EWR", "07-01 10:55", "07-01 15:55", id="Phoenix in summer"),
    # 16:29 EDT, 19:54 AKDT (+8)
    pytest.param("2013-07-06-UA-887-EWR", "07-06 20:29", "07-07 03:54", id="Anchorage"),
    # 23:53 EST, 04:25 AST
    pytest.param("2013-01-01-B6-739-JFK", "01-02 04:53", "01-02 08:25", id="Ponce, not in airports"),
    # 06:35 EDT, 10:34 AST: no summer time in Puerto Rico
    pytest.param("2013-07-01-AA-413-JFK", "07-01 10:35", "07-01 14:34", id="San Juan in summer"),
    # 07:49 EDT, 12:00 AST
    pytest.param("2013-05-21-AA-655-JFK", "05-21 11:49", "05-21 16:00", id="St Thomas in summer"),
    # scheduled 23:59 EST on the 9th, 00:53 EST, 05:04 AST; New York's clocks change between the two
    pytest.param("2013-03-09-B6-727-JFK", "03-10 05:53", "03-10 09:04", id="March: over the change"),
    # 23:06 EST, "02:03": a time that no clock showed, for 03:03 EDT; 89 minutes after the scheduled 00:34 EST
    pytest.param("2013-03-09-B6-35-JFK", "03-10 04:06", "03-10 07:03", id="March: in the hour that was not"),
    # 06:52 EDT, 09:53 PDT (+7)
    pytest.param("2013-03-10-UA-387-EWR", "03-10 10:52", "03-10 16:53", id="March: the morning after"),
    # 22:17 EDT, 01:14 PDT, 299 minutes after the scheduled 20:15 PDT; an hour later it was 01:14 again, PST
    pytest.param("2013-11-02-VX-413-JFK", "11-03 02:17", "11-03 08:14", id="November: in the hour twice"),
    # 05:54 EST, 07:09 CST
    pytest.param("2013-11-03-UA-279-EWR", "11-03 10:54", "11-03 13:09", id="November: the morning after"),
]


@pytest.mark.parametrize(("flight_id", "departed_at", "arrived_at"), BY_HAND)
def test_a_flight_whose_times_are_known(warehouse, flight_id: str, departed_at: str, arrived_at: str) -> None:
    departed, arrived = utc(departed_at), utc(arrived_at)
    minute = dt.timedelta(minutes=1)
    found = [
        row
        for row in warehouse.rows("flight_departed", departed, departed + minute).to_pylist()
        if row["flight_id"] == flight_id
    ]
    assert [row["departed_at"] for row in found] == [departed]
    found = [
        row
        for row in warehouse.rows("flight_arrived", arrived, arrived + minute).to_pylist()
        if row["flight_id"] == flight_id
    ]
    assert [(row["departed_at"], row["arrived_at"]) for row in found] == [(departed, arrived)]


SOURCE = "concat_ws('-', make_date(year, month, day), flights.carrier, flight, flights.origin)"


def test_every_departure_shows_the_source_s_clock_in_new_york(warehouse) -> None:
    rows, different = warehouse.one(
        f"""
        SELECT count(*), count(*) FILTER (
            strftime(departed_at AT TIME ZONE 'America/New_York', '%H%M')::INTEGER <> dep_time % 2400
        )
        FROM departed JOIN flights ON flight_id = {SOURCE}
        """,
        departed=warehouse.all_windows("flight_departed"),
    )
    assert (rows, different) == (328_521, 0)


def test_every_arrival_shows_the_source_s_clock_at_the_destination(warehouse) -> None:
    rows, different = warehouse.one(
        f"""
        SELECT count(*), count(*) FILTER (
            strftime(arrived_at AT TIME ZONE destination_time_zone, '%H%M')::INTEGER <> arr_time % 2400
        )
        FROM arrived JOIN flights ON flight_id = {SOURCE}
        """,
        arrived=warehouse.all_windows("flight_arrived"),
    )
    assert (rows, different) == (328_063, 1)  # the one whose clock time does not exist, see above


def test_every_arrival_leaves_time_for_taxiing_and_not_much_more(warehouse) -> None:
    """Time between the gates minus air time is taxiing. A wrong hour or day would show in the extremes."""
    flown, shortest, longest, median = warehouse.one(
        """
        WITH taxi AS (
            SELECT date_diff('minute', departed_at, arrived_at) - air_time_minutes AS minutes FROM arrived
        )
        SELECT count(minutes), min(minutes), max(minutes), median(minutes) FROM taxi
        """,
        arrived=warehouse.all_windows("flight_arrived"),
    )
    assert flown == 327_346
    assert (shortest, longest) == (5, 235)
    assert 25 <= median <= 30


def test_taxiing_takes_the_same_whatever_the_zone(warehouse) -> None:
    """A time zone that is wrong by an hour would pass the test above;
    here it shows as a difference of sixty minutes."""
    (spread,) = warehouse.one(
        """
        WITH place AS (
            SELECT median(date_diff('minute', departed_at, arrived_at) - air_time_minutes) AS minutes
            FROM arrived GROUP BY destination_code, month(arrived_at AT TIME ZONE 'UTC') HAVING count(*) > 20
        )
        SELECT max(minutes) - min(minutes) FROM place
        """,
        arrived=warehouse.all_windows("flight_arrived"),
    )
    assert spread < 60


def test_every_arrival_is_its_scheduled_arrival_and_the_delay(warehouse) -> None:
    """The source's own delay shows which of two 01:14 it was; the schedule is a clock time only."""
    rows, different = warehouse.one(
        f"""
        WITH scheduled AS (
            SELECT
                arrived_at,
                arr_delay,
                destination_time_zone                                        AS zone,
                time_hour + to_minutes(minute)                               AS departs_at,
                date_trunc('day', departs_at AT TIME ZONE zone)
                    + to_minutes(sched_arr_time // 100 * 60 + sched_arr_time % 100) AS local,
                CASE WHEN local AT TIME ZONE zone > departs_at THEN local AT TIME ZONE zone
                     ELSE (local + INTERVAL 1 DAY) AT TIME ZONE zone END     AS arrives_at
            FROM arrived JOIN flights ON flight_id = {SOURCE}
            WHERE arr_delay IS NOT NULL
        )
        SELECT count(*), count(*) FILTER (arrived_at <> arrives_at + to_minutes(arr_delay)) FROM scheduled
        """,
        arrived=warehouse.all_windows("flight_arrived"),
    )
    assert (rows, different) == (327_346, 0)


def test_a_flight_arrives_when_its_departure_says_it_left(warehouse) -> None:
    """Two events, two queries, one instant of departure."""
    assert warehouse.one(
        """
        SELECT count(*), count(*) FILTER (a.departed_at = d.departed_at AND a.arrived_at > d.departed_at)
        FROM arrived a JOIN departed d USING (flight_id)
        """,
        arrived=warehouse.all_windows("flight_arrived"),
        departed=warehouse.all_windows("flight_departed"),
    ) == (328_063, 328_063)
