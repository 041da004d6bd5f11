"""Windows: keys and bounds as in Dagster, and the texts with which users name them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import Window, WindowError, Windows, daily, hourly, monthly, weekly
from pipelines.authoring.cadence import CADENCES, floor
from pipelines.authoring.problems import DeclarationError

ALL = {
    "hourly": hourly("2013-01-01", "2013-01-04-05:00"),
    "daily": daily("2012-02-20", "2012-03-05"),
    "weekly": weekly("2012-12-24", "2013-02-04"),
    "monthly": monthly("2012-11", "2014-02"),
}


def dagsters(windows: Windows) -> dg.TimeWindowPartitionsDefinition:
    start, end = windows.start, windows.end
    match windows.cadence:
        case "hourly":
            return dg.HourlyPartitionsDefinition(start_date=start, end_date=end)
        case "daily":
            return dg.DailyPartitionsDefinition(start_date=start, end_date=end)
        case "weekly":
            return dg.WeeklyPartitionsDefinition(start_date=start, end_date=end, day_offset=1)
        case "monthly":
            return dg.MonthlyPartitionsDefinition(start_date=start, end_date=end)


@pytest.mark.parametrize("cadence", CADENCES)
def test_keys_and_bounds_are_dagsters(cadence: str) -> None:
    windows = ALL[cadence]
    partitions = dagsters(windows)
    keys = partitions.get_partition_keys()
    mine = windows.between(keys[0], keys[-1])
    assert [window.key for window in mine] == list(keys)
    for window in mine:
        assert (window.start, window.end) == tuple(partitions.time_window_for_partition_key(window.key))
        assert windows.window(window.key) == window
    with pytest.raises(WindowError):
        windows.containing(mine[-1].end)


@settings(deadline=None, max_examples=60)  # Dagster lists every key of a definition
@given(
    cadence=st.sampled_from(CADENCES),
    now=st.datetimes(datetime(2013, 1, 1), datetime(2013, 6, 1)),
    delay=st.integers(0, 72),
)
def test_complete_windows_are_those_dagster_counts(cadence, now: datetime, delay: int) -> None:
    """Dagster knows no delay: its windows that are complete at `now` are ours at `now + delay`."""
    windows = Windows(cadence, floor(cadence, datetime(2013, 2, 1, tzinfo=UTC)), delay=timedelta(hours=delay))
    instant = now.replace(tzinfo=UTC)
    keys = dagsters(windows).get_partition_keys(current_time=instant)
    late = instant + windows.delay
    last = windows.last_complete(late)
    assert windows.count(late) == len(keys)
    assert (last.key if last else None) == (keys[-1] if keys else None)
    if last:
        assert windows.is_complete(last, late)
        assert windows.complete_at(last) <= late


@given(cadence=st.sampled_from(CADENCES), instant=st.datetimes(datetime(2000, 1, 3), datetime(2060, 1, 1)))
def test_every_instant_is_in_exactly_the_window_that_contains_it(cadence, instant: datetime) -> None:
    windows = Windows(cadence, floor(cadence, datetime(2000, 1, 3, tzinfo=UTC)))
    at = instant.replace(tzinfo=UTC)
    window = windows.containing(at)
    assert window.start <= at < window.end
    assert window.contains(at)
    assert not window.contains(window.end)
    assert windows.containing(window.end).start == window.end
    assert windows.parse(window.key) == [window]


def test_windows_end_with_their_end() -> None:
    windows = daily("2013-01-01", "2013-01-03")
    now = datetime(2020, 1, 1, tzinfo=UTC)
    assert windows.count(now) == 2
    assert windows.last_complete(now) == windows.window("2013-01-02")


def test_a_delay_holds_a_window_back() -> None:
    windows = daily("2013-01-01", delay="1d 6h")
    assert windows.delay == timedelta(hours=30)
    first = windows.window("2013-01-01")
    assert windows.last_complete(datetime(2013, 1, 3, 5, 59, tzinfo=UTC)) is None
    assert windows.last_complete(datetime(2013, 1, 3, 6, tzinfo=UTC)) == first
    assert not windows.is_complete(first, datetime(2013, 1, 3, 5, 59, tzinfo=UTC))


@pytest.mark.parametrize(
    ("delay", "minutes"),
    [("0h", 0), ("90m", 90), ("1w", 10080), ("2d12h30m", 3630), (timedelta(minutes=5), 5), ("60 s", 1)],
)
def test_delays(delay: str | timedelta, minutes: int) -> None:
    assert hourly("2013-01-01", delay=delay).delay == timedelta(minutes=minutes)


def test_instants_of_another_zone_are_the_same_instants() -> None:
    new_york = datetime(2012, 12, 31, 20, tzinfo=timezone(timedelta(hours=-5)))
    assert daily("2013-01-01").containing(new_york).key == "2013-01-01"


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="carries no time zone"):
        daily("2013-01-01").containing(datetime(2013, 1, 1))


@pytest.mark.parametrize(
    ("windows", "text", "first", "last", "count"),
    [
        (ALL["daily"], "2012-02-28..2012-03-01", "2012-02-28", "2012-03-01", 3),
        (ALL["daily"], " 2012-02-28...2012-03-01 ", "2012-02-28", "2012-03-01", 3),
        (ALL["daily"], "2012-02", "2012-02-20", "2012-02-29", 10),
        (ALL["daily"], "2012", "2012-02-20", "2012-03-04", 14),
        (ALL["hourly"], "2013-01-01-23:00..2013-01-02-00:00", "2013-01-01-23:00", "2013-01-02-00:00", 2),
        (ALL["hourly"], "2013-01-01T23:00", "2013-01-01-23:00", "2013-01-01-23:00", 1),
        (ALL["hourly"], "2013-01-02", "2013-01-02-00:00", "2013-01-02-23:00", 24),
        (ALL["hourly"], "2013-01-03..2013-01-04", "2013-01-03-00:00", "2013-01-04-04:00", 29),
        (ALL["weekly"], "2013-01", "2013-01-07", "2013-01-28", 4),
        (ALL["weekly"], "2012-12-31", "2012-12-31", "2012-12-31", 1),
        (ALL["monthly"], "2013", "2013-01-01", "2013-12-01", 12),
        (ALL["monthly"], "2013-02..2013-03-01", "2013-02-01", "2013-03-01", 2),
    ],
)
def test_texts_that_name_windows(windows: Windows, text: str, first: str, last: str, count: int) -> None:
    found = windows.parse(text)
    assert (found[0].key, found[-1].key, len(found)) == (first, last, count)
    assert found == windows.between(first, last)


@pytest.mark.parametrize(
    ("windows", "text", "message"),
    [
        (
            ALL["daily"],
            "2012-02-30",
            "window '2012-02-30': is no date; allowed: keys such as '2013-01-31' (or a month or year: all its days)",
        ),
        (
            ALL["daily"],
            "2012-02-21-05:00",
            "window '2012-02-21-05:00': is finer than daily windows; "
            "allowed: keys such as '2013-01-31' (or a month or year: all its days)",
        ),
        (
            ALL["daily"],
            "2012-03-01..2012-02-25",
            "window '2012-03-01..2012-02-25': ends before it begins; next: did you mean '2012-02-25..2012-03-01'?",
        ),
        (
            ALL["daily"],
            "2012-02-19",
            "window '2012-02-19': lies before the first window of this event; "
            "allowed: windows from '2012-02-20' to '2012-03-04'; "
            "next: move the start of its windows back in the module to publish older history",
        ),
        (
            ALL["daily"],
            "2012-03-05",
            "window '2012-03-05': lies after the last window of this event; "
            "allowed: windows from '2012-02-20' to '2012-03-04'",
        ),
        (
            ALL["daily"],
            "2011",
            "window '2011': holds no window of this event; allowed: windows from '2012-02-20' to '2012-03-04'",
        ),
        (
            ALL["weekly"],
            "2013-01-01",
            "window '2013-01-01': is not the start of a window of weekly windows; "
            "allowed: keys such as '2013-01-07', a Monday (or a month or year: the weeks that start in it); "
            "next: the window that contains it is '2012-12-31'",
        ),
        (
            ALL["monthly"],
            "2013-01-15",
            "window '2013-01-15': is not the start of a window of monthly windows; "
            "allowed: keys such as '2013-02-01' (or '2013-02', or a year: all its months); "
            "next: the window that contains it is '2013-01-01'",
        ),
        (
            ALL["hourly"],
            "2013-01-01..2013-01-02..2013-01-03",
            "window '2013-01-01..2013-01-02..2013-01-03': names neither one window nor a range; "
            "allowed: KEY or FIRST..LAST, with keys such as '2013-01-01-05:00' (or a day, month or year: all its hours)",
        ),
    ],
)
def test_texts_that_name_none(windows: Windows, text: str, message: str) -> None:
    with pytest.raises(WindowError) as caught:
        windows.parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("key", ["2012-2-21", "2012-02-21 ", "2012-02", "x"])
def test_a_key_is_spelt_as_dagster_spells_it(key: str) -> None:
    with pytest.raises(WindowError):
        ALL["daily"].window(key)


def test_between_names_the_turned_range() -> None:
    with pytest.raises(WindowError, match=r"did you mean '2012-02-21\.\.2012-02-25'\?"):
        ALL["daily"].between("2012-02-25", "2012-02-21")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Windows("weekly", datetime(2013, 1, 1, tzinfo=UTC)),
        lambda: Windows("daily", datetime(2013, 1, 2, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC)),
        lambda: Windows("daily", datetime(2013, 1, 2, tzinfo=UTC), delay=timedelta(-1)),
        lambda: Windows("daily", datetime(2013, 1, 2)),
    ],
)
def test_windows_made_by_hand_hold_the_same_rules(make) -> None:
    with pytest.raises(ValueError):
        make()


def test_windows_tell_what_they_are() -> None:
    assert str(weekly("2013-01-07")) == "weekly, windows from '2013-01-07' on"
    assert (
        str(hourly("2013-01-01", "2013-01-02"))
        == "hourly, windows from '2013-01-01-00:00' to '2013-01-01-23:00'"
    )
    assert str(daily("2013-01-01").window("2013-01-01")) == "2013-01-01"


def test_windows_are_values() -> None:
    assert daily("2013-01-01") == daily("2013-01-01")
    assert len({daily("2013-01-01"), daily("2013-01-01", delay="1h")}) == 2
    start = datetime(2013, 1, 1, tzinfo=UTC)
    assert daily("2013-01-01").window("2013-01-01") == Window("2013-01-01", start, start + timedelta(1))


def test_keys_of_any_year_have_four_digits() -> None:
    early = Windows("daily", datetime(44, 3, 15, tzinfo=UTC))
    assert early.window("0044-03-15").key == "0044-03-15"


@pytest.mark.parametrize("declare", [hourly, daily, weekly, monthly])
@pytest.mark.parametrize("text", ["9999", "9999-12", "9999-12-31"])
def test_a_window_whose_end_no_date_can_be_is_refused_in_words(declare: Any, text: str) -> None:
    windows = declare("2013-01-01" if declare is not weekly else "2013-01-07")
    with pytest.raises(WindowError):
        windows.parse(text)


@pytest.mark.parametrize("year", ["0001", "0999", "9999"])
def test_a_start_that_no_key_or_no_end_is_possible_for_is_refused_in_words(year: str) -> None:
    for declare, start in ((hourly, "01-01"), (daily, "12-31"), (monthly, "12-01")):
        with pytest.raises(
            DeclarationError, match=f"lies in the year {int(year)}; allowed: a year from 1000"
        ):
            declare(f"{year}-{start}")
