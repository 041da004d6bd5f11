"""`promise(...)`: what consumers may expect of an event's windows, and what is measured for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from pipelines.authoring.agreements.calls import Mistake, all_mistakes_of_a_call, is_whole, report
from pipelines.authoring.durations import DURATIONS, read_duration, short_duration
from pipelines.authoring.windows import Windows
from resources.wording import brief

_MOST_ROWS = 2**63 - 1
_LONGEST_FRESHNESS = timedelta(days=3_660)
_ROWS = "the fewest and the most rows of one window, such as rows=(1_000, 60_000); None for no most: rows=(1_000, None)"
_SINCE = "a date or hour in UTC, such as '2024-01-01' or '2024-01-01-05:00'"
_SINCE_FORMATS = ("%Y-%m-%d", "%Y-%m-%d-%H:%M", "%Y-%m-%dT%H:%M", "%Y-%m")


class RowRange(NamedTuple):
    """How many events one window has, both ends included; `most` is None if there is no upper limit."""

    least: int
    most: int | None


@dataclass(frozen=True)
class Promise:
    """What is promised of an event's windows. None: nothing is promised.

    fresh_within: a window's events are on the topic at most this long after the window's end.
    rows: how many events a window has.
    complete_since: each complete window that starts at or after this instant is published.
    """

    fresh_within: timedelta | None = None
    rows: RowRange | None = None
    complete_since: datetime | None = None

    def __bool__(self) -> bool:
        return self != NO_PROMISE

    def __str__(self) -> str:
        parts = []
        if self.fresh_within is not None:
            parts.append(f"published within {short_duration(self.fresh_within)} of a window's end")
        if self.rows is not None:
            least, most = self.rows
            if most is None:
                parts.append(f"at least {least:,} rows a window")
            else:
                parts.append(
                    f"{least:,} to {most:,} rows a window" if least < most else f"{least:,} rows a window"
                )
        if self.complete_since is not None:
            day = f"{self.complete_since:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
            parts.append(f"complete since {day}")
        return ", ".join(parts)


NO_PROMISE = Promise()


@all_mistakes_of_a_call
def promise(
    *,
    fresh_within: str | timedelta | None = None,
    rows: tuple[int, int | None] | None = None,
    complete_since: str | None = None,
) -> Promise:
    """What consumers may expect of the event. At least one argument is required.

    fresh_within: the events of a window are on the topic at most this long after the window's end: `"8h"`.
    rows: the fewest and the most events that a window has, both included: `(1_000, 60_000)`, `(1, None)`.
    complete_since: each window from this date on is published, without a gap: `"2024-01-01"` (UTC).
    """
    mistakes: list[Mistake] = []
    if fresh_within is None and rows is None and complete_since is None:
        mistakes.append(
            Mistake(
                "promise() promises nothing",
                "fresh_within, rows, complete_since: at least one of them",
                "leave promise out, or write promise=promise(fresh_within='8h')",
            )
        )
    made = Promise(
        _fresh_within(fresh_within, mistakes), _rows(rows, mistakes), _since(complete_since, mistakes)
    )
    if mistakes:
        report(mistakes)
        return NO_PROMISE
    return made


def unkeepable(made: Promise, windows: Windows) -> Mistake | None:
    """Why no run can keep the promise with these windows; None if a run can keep it."""
    fresh, delay, since = made.fresh_within, windows.delay, made.complete_since
    if fresh is not None and fresh <= delay:
        return Mistake(
            f"promise(): fresh_within='{short_duration(fresh)}' cannot be kept: a window is complete {short_duration(delay)} "
            "after its end (the delay of its windows), and is published after that",
            f"more than the delay, {short_duration(delay)}",
            "raise fresh_within, or lower the delay",
        )
    if since is not None and since < windows.start:
        return Mistake(
            f"promise(): complete_since='{since:%Y-%m-%d}' is before the first window, {windows.key(windows.start)}",
            f"{windows.key(windows.start)} or later",
            "raise complete_since, or move the start of the windows back",
        )
    if since is not None and windows.end is not None and since >= windows.end:
        return Mistake(
            f"promise(): complete_since='{since:%Y-%m-%d}' is after the last window, so it promises nothing",
            f"before {windows.end:%Y-%m-%d}, the end of the windows",
        )
    return None


def _fresh_within(value: object, mistakes: list[Mistake]) -> timedelta | None:
    if value is None:
        return None
    length = read_duration(value)
    hint = None
    if length is None:
        problem = "is not a length of time"
        if is_whole(value, 1, 10_000):
            hint = f"did you mean fresh_within='{value}h'?"
    elif length <= timedelta(0):
        problem = "is no time at all"
    elif length > _LONGEST_FRESHNESS:
        problem, hint = "is more than ten years", "check its unit"
    else:
        return -(-length // timedelta(seconds=1)) * timedelta(seconds=1)
    mistakes.append(Mistake(f"promise(): fresh_within={brief(value, 60)} {problem}", DURATIONS, hint))
    return None


def _rows(value: object, mistakes: list[Mistake]) -> RowRange | None:
    if value is None:
        return None
    hint = None
    if not isinstance(value, tuple) or len(value) != 2:
        problem = "is not a pair of numbers"
        if isinstance(value, list) and len(value) == 2:
            hint = f"write rows=({brief(value[0], 30)}, {brief(value[1], 30)})"
        elif is_whole(value, 1, _MOST_ROWS):
            hint = f"write rows=({value}, None) for at least {value} rows"
    else:
        least, most = value
        if not is_whole(least, 0, _MOST_ROWS) or not (most is None or is_whole(most, 0, _MOST_ROWS)):
            problem = "needs whole numbers from 0 to 2^63 - 1"
        elif most is not None and most < least:
            problem, hint = "has its most below its least", f"did you mean rows=({most}, {least})?"
        elif most == 0:
            problem = "allows no row, so each published window would break it"
        elif least == 0 and most is None:
            problem, hint = "allows every number of rows", "leave rows out"
        else:
            return RowRange(int(least), None if most is None else int(most))
    mistakes.append(Mistake(f"promise(): rows={brief(value, 60)} {problem}", _ROWS, hint))
    return None


def _since(value: object, mistakes: list[Mistake]) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        for since_format in _SINCE_FORMATS:
            try:
                return datetime.strptime(value.strip(), since_format).replace(tzinfo=UTC)
            except ValueError:
                continue
    hint = f"write complete_since='{value.isoformat()[:10]}'" if isinstance(value, date) else None
    problem = f"promise(): complete_since={brief(value, 60)} is not a date"
    mistakes.append(Mistake(problem, _SINCE, hint))
    return None
