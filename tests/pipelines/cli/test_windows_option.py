"""Which windows a user's text means."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

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


def test_a_period_of_a_thousand_years_makes_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Windows, "_at", lambda _windows, start: pytest.fail(f"made the window of {start}"))
    assert period("1970..3000") == (datetime(1970, 1, 1, tzinfo=UTC), datetime(3001, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("windows", [hourly, daily, weekly, monthly])
@pytest.mark.parametrize(
    "text", ["2013", "2013-02", "2012..2013-01", "2013-03..2014-01", "2012-06..2013-11", "2013-04..2013-05"]
)
def test_a_span_is_that_of_the_windows(windows: Any, text: str) -> None:
    first = "2012-12-31" if windows is weekly else "2013-01-01"
    for made in (windows(first), windows(first, "2013-07-01")):
        try:
            found = made.parse(text)
        except SluiceError as error:
            with pytest.raises(type(error)):
                made.span(text)
        else:
            assert made.span(text) == (found[0].start, found[-1].end)
            assert [one.start for one in found[1:]] == [one.end for one in found[:-1]]


def test_a_period_before_all_windows_is_refused() -> None:
    with pytest.raises(SluiceError, match="holds no window"):
        period("1960")
    with pytest.raises(SluiceError, match="ends before it begins"):
        period("2014..2013")
