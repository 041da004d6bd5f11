"""Over all windows of the year, each flight is published exactly as often as it happened."""

import datetime as dt

import pytest


@pytest.mark.parametrize(
    ("name", "happened", "expected"),
    [
        ("flight_departed", "dep_time IS NOT NULL", 328_521),
        ("flight_arrived", "arr_time IS NOT NULL", 328_063),
        ("flight_cancelled", "dep_time IS NULL", 8_255),
    ],
)
def test_each_flight_once(warehouse, name: str, happened: str, expected: int) -> None:
    told, flights, unknown, missing = warehouse.one(
        f"""
        WITH flown AS (
            SELECT concat_ws('-', make_date(year, month, day), carrier, flight, origin) AS flight_id
            FROM flights WHERE {happened}
        )
        SELECT
            (SELECT count(*) FROM told),
            (SELECT count(DISTINCT flight_id) FROM told),
            (SELECT count(*) FROM told ANTI JOIN flown USING (flight_id)),
            (SELECT count(*) FROM flown ANTI JOIN told USING (flight_id))
        """,
        told=warehouse.all_windows(name),
    )
    assert (told, flights, unknown, missing) == (expected, expected, 0, 0)


def test_arrivals_at_the_four_airports_that_are_missing(warehouse) -> None:
    assert warehouse.one(
        """
        SELECT
            count(*) FILTER (destination IS NULL),
            list(DISTINCT destination_code ORDER BY destination_code) FILTER (destination IS NULL),
            list(DISTINCT destination_time_zone) FILTER (destination IS NULL),
            count(*) FILTER (destination IS NOT NULL AND destination.name IS NULL)
        FROM arrived
        """,
        arrived=warehouse.all_windows("flight_arrived"),
    ) == (7_560, ["BQN", "PSE", "SJU", "STT"], ["America/Puerto_Rico"], 0)


def test_delays_of_arrival_are_null_for_the_diverted_only(warehouse) -> None:
    assert warehouse.one(
        "SELECT count(*) FILTER (delay_minutes IS NULL), min(delay_minutes), max(delay_minutes) FROM arrived",
        arrived=warehouse.all_windows("flight_arrived"),
    ) == (717, -86, 1272)


def test_each_carrier_s_days_add_up_to_its_flights(warehouse) -> None:
    days, scheduled, departed, unequal = warehouse.one(
        """
        SELECT count(*), sum(scheduled), sum(departed), count(*) FILTER (
            scheduled <> list_sum(list_transform(origins, lambda o: o.scheduled))
            OR departed <> list_sum(list_transform(origins, lambda o: o.departed))
        ) FROM days
        """,
        days=warehouse.all_windows("carrier_day_closed"),
    )
    (carrier_days,) = warehouse.one("SELECT count(DISTINCT (carrier, year, month, day)) FROM flights")
    assert (days, scheduled, departed, unequal) == (carrier_days, 336_776, 328_521, 0)


def test_a_carrier_s_day_as_counted_by_hand(warehouse) -> None:
    days = warehouse.window("carrier_day_closed", "2013-01-02").to_pylist()
    hawaiian = next(day for day in days if day["carrier"] == "HA")
    assert hawaiian["day"] == dt.date(2013, 1, 1)
    assert hawaiian["closed_at"] == dt.datetime(2013, 1, 2, 5, tzinfo=dt.UTC)
    assert hawaiian["origins"] == [{"origin": "JFK", "scheduled": 1, "departed": 1}]
    assert (str(hawaiian["on_time_share"]), str(hawaiian["mean_delay_minutes"])) == ("1.0000", "-3.0")


def test_a_day_with_a_change_of_the_clocks_ends_once(warehouse) -> None:
    for window, closed_at in [("2013-03-10", 5), ("2013-03-11", 4), ("2013-11-03", 4), ("2013-11-04", 5)]:
        hours = warehouse.window("carrier_day_closed", window).column("closed_at").to_pylist()
        assert {time.astimezone(dt.UTC).hour for time in hours} == {closed_at}


def test_aircraft_weeks_hold_every_departure_with_a_tail_number(warehouse) -> None:
    weeks, aircraft_weeks, legs, unsorted = warehouse.one(
        """
        SELECT count(*), count(DISTINCT (tail_number, window_start)), sum(len(legs)), count(*) FILTER (
            list_sort(list_transform(legs, lambda leg: leg.departed_at))
                <> list_transform(legs, lambda leg: leg.departed_at)
            OR legs[-1].departed_at <> last_departed_at
        ) FROM weeks
        """,
        weeks=warehouse.all_windows("aircraft_week_flown"),
    )
    (flown,) = warehouse.one(
        "SELECT count(*) FROM flights WHERE dep_time IS NOT NULL AND tailnum IS NOT NULL"
    )
    assert legs == flown == 328_521
    assert (weeks, unsorted) == (aircraft_weeks, 0)
