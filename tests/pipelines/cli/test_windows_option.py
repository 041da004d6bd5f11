"""Which windows a user's text means."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pipelines import Windows, daily, hourly, monthly, weekly
from pipelines.authoring.event import Event
from pipelines.cli.options.windows import ended_windows, overlapping, period
from resources.errors import SluiceError


def _event(windows: Windows) -> Event:
    return SimpleNamespace(windows=windows, full_name="d/e")  # type: ignore[return-value]


def _overlapping(windows: Windows, text: str = "2013-01-01..2013-01-07") -> list[str]:
    return [window.key for window in overlapping(_event(windows), *period(text))]


def test_a_week_of_days() -> None:
    assert _overlapping(daily("2012-01-01")) == [f"2013-01-0{day}" for day in range(1, 8)]


def test_a_week_of_hours() -> None:
    assert len(_overlapping(hourly("2013-01-01"))) == 168


def test_the_weeks_that_share_a_day_with_it() -> None:
    assert _overlapping(weekly("2012-12-31")) == ["2012-12-31", "2013-01-07"]


def test_the_month_it_lies_in() -> None:
    assert _overlapping(monthly("2012-01-01")) == ["2013-01-01"]


@pytest.mark.parametrize(
    "windows", [monthly("2013-02-01"), daily("2012-01-01", "2013-01-01"), daily("2013-01-08")]
)
def test_no_window_outside_the_events_own_extent(windows: Windows) -> None:
    assert _overlapping(windows) == []


def test_it_is_cut_to_the_windows_that_exist() -> None:
    assert _overlapping(daily("2013-01-06", "2013-01-07")) == ["2013-01-06"]


def test_a_window_that_has_not_ended_is_refused_with_the_last_complete_one() -> None:
    event = _event(daily("2026-01-01"))
    now = datetime(2026, 1, 10, 12, tzinfo=UTC)
    assert [window.key for window in ended_windows(event, "2026-01-08..2026-01-09", now)] == [
        "2026-01-08",
        "2026-01-09",
    ]
    with pytest.raises(SluiceError, match=r"2026-01-10.*ends at 2026-01-11 00:00 UTC") as refused:
        ended_windows(event, "2026-01-09..2026-01-11", now)
    assert refused.value.next_step == "the last complete one is '2026-01-09'"
