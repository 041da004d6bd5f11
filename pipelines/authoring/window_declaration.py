"""`hourly`, `daily`, `weekly`, `monthly`: an event's windows as an author writes them."""

import sys
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from pipelines.authoring.cadence import Cadence, floor, following
from pipelines.authoring.durations import DURATIONS, read_duration
from pipelines.authoring.problems import DeclarationError, DeclarationProblem, current_collector
from pipelines.authoring.windows import Windows

_START_FORMATS: dict[Cadence, tuple[str, ...]] = {
    "hourly": ("%Y-%m-%d", "%Y-%m-%d-%H:%M", "%Y-%m-%dT%H:%M"),
    "daily": ("%Y-%m-%d",),
    "weekly": ("%Y-%m-%d",),
    "monthly": ("%Y-%m-%d", "%Y-%m"),
}
_ALLOWED_STARTS: dict[Cadence, str] = {
    "hourly": "a date or hour in UTC, such as '2013-01-01' or '2013-01-01-05:00'",
    "daily": "a date in UTC, such as '2013-01-01'",
    "weekly": "a Monday in UTC, such as '2013-01-07'",
    "monthly": "the first of a month in UTC, such as '2013-01-01' or '2013-01'",
}
_BOUNDARIES: dict[Cadence, str] = {
    "hourly": "hours start at minute 00",
    "daily": "days start at 00:00 UTC",
    "weekly": "weeks start on Monday",
    "monthly": "months start on the 1st",
}
_FIRST_YEAR, _LAST_YEAR = 1000, 9998
_MINUTE = timedelta(minutes=1)
_LONGEST_DELAY = timedelta(days=366)


class _Mistake(NamedTuple):
    problem: str
    allowed: str | None = None
    next_step: str | None = None


def hourly(start: str, end: str | None = None, *, delay: str | timedelta = "0h") -> Windows:
    """One window an hour, from `start` (a date, or an hour as `2013-01-01-05:00`; UTC) until before `end`.

    `delay`: how long after a window's end its late rows may still reach the warehouse: `"90m"`, `"6h"`, `"1d
    12h"`. Seconds are rounded up to the minute.
    """
    return _declare("hourly", start, end, delay)


def daily(start: str, end: str | None = None, *, delay: str | timedelta = "0h") -> Windows:
    """One window a UTC day, from the date `start` until before `end`. `delay`: see `hourly`."""
    return _declare("daily", start, end, delay)


def weekly(start: str, end: str | None = None, *, delay: str | timedelta = "0h") -> Windows:
    """One window a week, Monday to Monday in UTC, from the Monday `start` until before `end`. `delay`: see `hourly`."""
    return _declare("weekly", start, end, delay)


def monthly(start: str, end: str | None = None, *, delay: str | timedelta = "0h") -> Windows:
    """One window a calendar month in UTC, from the month `start` until before `end`. `delay`: see `hourly`."""
    return _declare("monthly", start, end, delay)


def _declare(cadence: Cadence, start: object, end: object, delay: object) -> Windows:
    mistakes: list[_Mistake] = []
    first = _bound(cadence, "start", start, mistakes)
    last = None if end is None else _bound(cadence, "end", end, mistakes)
    late = _read_delay(delay, mistakes)
    if first is not None and last is not None and last <= first:
        mistakes.append(
            _Mistake(
                f"{cadence}(): end={end!r} is not after start={start!r}, so there would be no window",
                "an end after the start; the end itself is not included",
                "leave the end out for an event that goes on",
            )
        )
        last = None
    if not mistakes:
        assert first is not None and late is not None
        return Windows(cadence, first, last, late)
    caller = sys._getframe(2)  # the author's line: the module calls daily(), and daily() calls this
    problems = [
        DeclarationProblem(caller.f_code.co_filename, caller.f_lineno, *mistake) for mistake in mistakes
    ]
    collector = current_collector()
    if collector is None:
        raise DeclarationError(problems)
    collector.problems.extend(problems)
    # Any windows will do: the catalogue is refused anyway,
    # and this way the rest of the declaration can be checked too.
    return Windows(cadence, floor(cadence, datetime(2000, 1, 3, tzinfo=UTC)))


def _bound(cadence: Cadence, name: str, value: object, mistakes: list[_Mistake]) -> datetime | None:
    allowed = _ALLOWED_STARTS[cadence]
    if not isinstance(value, str):
        written = f"write it as text: {value.isoformat()[:10]!r}" if isinstance(value, date) else None
        mistakes.append(_Mistake(f"{cadence}(): {name}={value!r} is not text", allowed, written))
        return None
    for start_format in _START_FORMATS[cadence]:
        try:
            bound = datetime.strptime(value, start_format).replace(tzinfo=UTC)
        except ValueError:
            continue
        if not _FIRST_YEAR <= bound.year <= (_LAST_YEAR if name == "start" else _LAST_YEAR + 1):
            # Window keys have four digits for the year,
            # and the last window must end in a year that Python's dates have.
            mistakes.append(
                _Mistake(
                    f"{cadence}(): {name}={value!r} lies in the year {bound.year}",
                    f"a year from {_FIRST_YEAR} to {_LAST_YEAR}",
                    "leave the end out for an event that goes on" if name == "end" else None,
                )
            )
            return None
        aligned = floor(cadence, bound)
        if aligned == bound:
            return bound
        near = " or ".join(f"'{near:%Y-%m-%d}'" for near in (aligned, following(cadence, aligned)))
        if cadence == "hourly":
            near = f"'{aligned:%Y-%m-%d-%H:%M}'"
        mistakes.append(
            _Mistake(
                f"{cadence}(): {name}={value!r} is a {bound:%A}, and {_BOUNDARIES[cadence]}"
                if cadence == "weekly"
                else f"{cadence}(): {name}={value!r} is inside a window; {_BOUNDARIES[cadence]}",
                allowed,
                f"write {near}",
            )
        )
        return None
    mistakes.append(_Mistake(f"{cadence}(): {name}={value!r} is not a date this can read", allowed))
    return None


def _read_delay(written: object, mistakes: list[_Mistake]) -> timedelta | None:
    allowed, delay = DURATIONS, read_duration(written)
    if delay is None:
        mistakes.append(_Mistake(f"delay={written!r} is not a length of time", allowed))
        return None
    if delay < timedelta(0):
        mistakes.append(
            _Mistake(
                f"delay={written!r} is negative, but a window cannot be complete before it ends", allowed
            )
        )
        return None
    if delay > _LONGEST_DELAY:
        mistakes.append(_Mistake(f"delay={written!r} is more than a year", allowed, "check its unit"))
        return None
    # Schedules tick once a minute: a window is complete at the first tick after the time for its late rows.
    return -(-delay // _MINUTE) * _MINUTE
