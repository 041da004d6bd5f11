"""category_changed and month_closed, over the year."""

import datetime as dt


def test_changes_of_category_tell_the_whole_story(warehouse) -> None:
    """Applied in order, the changes give the category of every observation of the year."""
    rows, different = warehouse.one(
        """
        WITH played AS (
            SELECT visib, category
            FROM weather ASOF JOIN changes ON weather.origin = changes.station AND observed_at <= time_hour
        )
        SELECT count(*), count(*) FILTER (category <> CASE
            WHEN visib < 1 THEN 'LIFR' WHEN visib < 3 THEN 'IFR' WHEN visib <= 5 THEN 'MVFR' ELSE 'VFR' END)
        FROM played
        """,
        changes=warehouse.all_windows("category_changed"),
    )
    assert (rows, different) == (26_115, 0)


def test_a_change_is_from_what_the_change_before_it_was_to(warehouse) -> None:
    changes = warehouse.all_windows("category_changed")
    broken, idle, first = warehouse.one(
        """
        WITH following AS (
            SELECT *, lag(category) OVER (PARTITION BY station ORDER BY observed_at) AS told_before
            FROM changes
        )
        SELECT
            count(*) FILTER (previous_category <> told_before),
            count(*) FILTER (previous_category = category),
            count(*) FILTER (told_before IS NULL)
        FROM following
        """,
        changes=changes,
    )
    assert (broken, idle, first) == (0, 0, 3)


def test_a_change_over_the_edge_of_a_window_is_told_once(warehouse) -> None:
    whole = warehouse.all_windows("category_changed")
    (at_midnight,) = warehouse.one(
        "SELECT count(*) FROM changes WHERE hour(observed_at AT TIME ZONE 'UTC') = 0", changes=whole
    )
    assert at_midnight > 10


def test_months_hold_every_observation_and_drop_of_rain(warehouse) -> None:
    months, hours, rain = warehouse.one(
        "SELECT count(*), sum(hours_observed), sum(rain_inches) FROM months",
        months=warehouse.all_windows("month_closed"),
    )
    expected = warehouse.one("SELECT 36, count(*), sum(precip::DECIMAL(4, 2)) FROM weather")
    assert (months, hours, rain) == expected


def test_a_month_closes_at_midnight_in_new_york(warehouse) -> None:
    july = warehouse.window("month_closed", "2013-08-01").to_pylist()
    assert {row["closed_at"] for row in july} == {dt.datetime(2013, 8, 1, 4, tzinfo=dt.UTC)}
    assert {row["first_day"] for row in july} == {dt.date(2013, 7, 1)}
    december = warehouse.window("month_closed", "2014-01-01").to_pylist()
    assert {row["closed_at"] for row in december} == {dt.datetime(2014, 1, 1, 5, tzinfo=dt.UTC)}
