"""An event's windows: half-open, UTC, keyed as Dagster keys its partitions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipelines.authoring.cadence import (
    KEY_FORMATS,
    Cadence,
    first_of_next_month,
    floor,
    following,
    key_of,
    steps_between,
    utc,
)
from resources.errors import SluiceError

_EXAMPLES: dict[Cadence, str] = {
    "hourly": "'2013-01-01-05:00' (or a day, month or year: all its hours)",
    "daily": "'2013-01-31' (or a month or year: all its days)",
    "weekly": "'2013-01-07', a Monday (or a month or year: the weeks that start in it)",
    "monthly": "'2013-02-01' (or '2013-02', or a year: all its months)",
}


class WindowError(SluiceError):
    """A window that does not exist, or a text that does not name a window. `text` is what was requested."""

    def __init__(
        self, text: str, problem: str, *, allowed: str | None = None, next_step: str | None = None
    ) -> None:
        self.text = text
        super().__init__(f"window {text!r}", problem, allowed=allowed, next_step=next_step)


@dataclass(frozen=True, slots=True)
class Window:
    """One slice of an event's history, `[start, end)` in UTC; `key` is its Dagster partition key."""

    key: str
    start: datetime
    end: datetime

    def contains(self, instant: datetime) -> bool:
        return self.start <= utc(instant) < self.end

    def __str__(self) -> str:
        return self.key


class _Period(NamedTuple):
    """The period that a text such as `2013-01` names, and how fine the text is."""

    start: datetime
    end: datetime
    grain: str


@dataclass(frozen=True)
class Windows:
    """All windows of an event: every `cadence` from `start` until `end` (exclusive; None: forever), in UTC.

    A window is complete `delay` after its end: until then, late rows may still reach the warehouse. `start`
    and `end` are window bounds; `hourly()`, `daily()`, `weekly()` and `monthly()` make these from text.
    """

    cadence: Cadence
    start: datetime
    end: datetime | None = None
    delay: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        for bound in (self.start, self.end):
            if bound is not None and floor(self.cadence, bound) != bound:
                raise ValueError(
                    f"{bound.isoformat()} is not the start of a window of {self.cadence} windows"
                )
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end {self.end.isoformat()} is not after start {self.start.isoformat()}")
        if self.delay < timedelta(0):
            raise ValueError(f"delay {self.delay} is negative")

    def window(self, key: str) -> Window:
        """The window with this key. Raises `WindowError`, which names the nearest window."""
        try:
            start = datetime.strptime(key, KEY_FORMATS[self.cadence]).replace(tzinfo=UTC)
        except ValueError:
            raise WindowError(
                key, f"is no key of {self.cadence} windows", allowed=f"keys such as {_EXAMPLES[self.cadence]}"
            ) from None
        if self.key(start) != key or floor(self.cadence, start) != start:
            nearest = self.key(floor(self.cadence, start))
            raise WindowError(
                key,
                f"is not the start of a window of {self.cadence} windows",
                allowed=f"keys such as {_EXAMPLES[self.cadence]}",
                next_step=f"the window that contains it is {nearest!r}",
            )
        return self._existing(key, start)

    def key(self, start: datetime) -> str:
        """The key of the window that starts at `start`."""
        return key_of(self.cadence, utc(start))

    def containing(self, instant: datetime) -> Window:
        """The window that contains `instant` (aware). Raises `WindowError` outside `[start, end)`."""
        start = floor(self.cadence, instant)
        return self._existing(self.key(start), start)

    def between(self, first_key: str, last_key: str) -> list[Window]:
        """The windows from `first_key` to `last_key`, both included, in order."""
        first, last = self.window(first_key), self.window(last_key)
        if last.start < first.start:
            raise WindowError(
                f"{first_key}..{last_key}",
                "ends before it begins",
                next_step=f"did you mean '{last_key}..{first_key}'?",
            )
        return list(self._from(first.start, last.end))

    def parse(self, text: str) -> list[Window]:
        """The windows that a user named: `KEY`, or `FIRST..LAST` with both included.

        A coarser date means all its windows: with hourly windows `2013-01-01` is 24 windows, with daily
        windows `2013-01` is a month. Such a period is cut to the windows that exist. Raises `WindowError`.
        """
        return list(self._from(*self.span(text)))

    def span(self, text: str) -> tuple[datetime, datetime]:
        """`[start, end)` of the windows that `parse` returns, without making them. Raises `WindowError`."""
        names = re.split(r"\.{2,3}", text.strip())
        if len(names) > 2 or not all(names):
            raise WindowError(
                text,
                "names neither one window nor a range",
                allowed=f"KEY or FIRST..LAST, with keys such as {_EXAMPLES[self.cadence]}",
            )
        first, last = self._period(names[0]), self._period(names[-1])
        if last.end <= first.start:
            raise WindowError(
                text, "ends before it begins", next_step=f"did you mean '{names[1]}..{names[0]}'?"
            )
        start, end = max(first.start, self.start), last.end if self.end is None else min(last.end, self.end)
        if (aligned := floor(self.cadence, start)) < start:
            start = following(self.cadence, aligned)
        if start >= end:
            raise WindowError(text, "holds no window of this event", allowed=self._extent())
        if (aligned := floor(self.cadence, end)) < end:
            end = following(self.cadence, aligned)
        return start, end

    def last_complete(self, now: datetime) -> Window | None:
        """The latest window that is complete at `now` (aware); None before the first one."""
        boundary = self._complete_until(now)
        if boundary <= self.start:
            return None
        return self._at(floor(self.cadence, boundary - timedelta(microseconds=1)))

    def count(self, now: datetime) -> int:
        """How many windows are complete at `now` (aware)."""
        return max(0, steps_between(self.cadence, self.start, self._complete_until(now)))

    def is_complete(self, window: Window, now: datetime) -> bool:
        """Whether the time for late rows is over: `window.end + delay <= now` (aware)."""
        return self.complete_at(window) <= utc(now)

    def complete_at(self, window: Window) -> datetime:
        """When the window is ready to be published: its end plus the delay."""
        return window.end + self.delay

    def __str__(self) -> str:
        return f"{self.cadence}, {self._extent()}"

    def _complete_until(self, now: datetime) -> datetime:
        boundary = floor(self.cadence, utc(now) - self.delay)
        return boundary if self.end is None else min(boundary, self.end)

    def _at(self, start: datetime) -> Window:
        return Window(self.key(start), start, following(self.cadence, start))

    def _from(self, start: datetime, end: datetime) -> Iterator[Window]:
        while start < end:
            window = self._at(start)
            yield window
            start = window.end

    def _existing(self, key: str, start: datetime) -> Window:
        if start < self.start:
            raise WindowError(
                key,
                "lies before the first window of this event",
                allowed=self._extent(),
                next_step="move the start of its windows back in the module to publish older history",
            )
        if self.end is not None and start >= self.end:
            raise WindowError(key, "lies after the last window of this event", allowed=self._extent())
        try:
            return self._at(start)
        except (ValueError, OverflowError):
            raise _beyond_dates(key) from None

    def _extent(self) -> str:
        first = f"windows from {self.key(self.start)!r}"
        if self.end is None:
            return f"{first} on"
        last = floor(self.cadence, self.end - timedelta(microseconds=1))
        return f"{first} to {self.key(last)!r}"

    def _period(self, text: str) -> _Period:
        period = _read_period(text)
        finest = "hour" if self.cadence == "hourly" else "day"
        if period is None or (period.grain == "hour" and finest == "day"):
            problem = "is no date" if period is None else f"is finer than {self.cadence} windows"
            raise WindowError(text, problem, allowed=f"keys such as {_EXAMPLES[self.cadence]}")
        if period.grain == finest:
            window = self.window(self.key(period.start))
            return _Period(window.start, window.end, finest)
        return period


_PERIOD_FORMATS = (
    ("hour", "%Y-%m-%d-%H:%M"),
    ("hour", "%Y-%m-%dT%H:%M"),
    ("day", "%Y-%m-%d"),
    ("month", "%Y-%m"),
    ("year", "%Y"),
)


def _read_period(text: str) -> _Period | None:
    for grain, period_format in _PERIOD_FORMATS:
        try:
            start = datetime.strptime(text.strip(), period_format).replace(tzinfo=UTC)
        except ValueError:
            continue
        try:
            return _Period(start, _period_end(start, grain), grain)
        except (ValueError, OverflowError):
            raise _beyond_dates(text) from None
    return None


def _beyond_dates(text: str) -> WindowError:
    return WindowError(text, "ends after the year 9999, where dates end")


def _period_end(start: datetime, grain: str) -> datetime:
    if grain == "hour":
        return start + timedelta(hours=1)
    if grain == "day":
        return start + timedelta(days=1)
    if grain == "month":
        return first_of_next_month(start)
    return start.replace(year=start.year + 1)
