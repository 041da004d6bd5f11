"""The windows that a user's text means."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window, Windows
from resources.errors import SluiceError


def ended_windows(event: Event, text: str, now: datetime) -> list[Window]:
    """The windows that `text` names.
    Raises SluiceError for one that has not ended, because it would be published in part."""
    return require_ended(event, event.windows.parse(text), now)


def require_ended(event: Event, windows: Sequence[Window], now: datetime) -> list[Window]:
    """The windows; raises SluiceError for one that has not ended."""
    open_ones = [window for window in windows if window.end > now]
    if open_ones:
        last = event.windows.last_complete(now)
        raise SluiceError(
            f"window {open_ones[0].key!r} of {event.full_name}",
            f"ends at {open_ones[0].end:%Y-%m-%d %H:%M} UTC, and a window is published once it has ended",
            next_step=f"the last complete one is {last.key!r}" if last else "wait for the first one to end",
        )
    return list(windows)


def overlapping(event: Event, start: datetime, end: datetime) -> list[Window]:
    """The event's windows that share an instant with `[start, end)`; none if it has no such window."""
    windows = event.windows
    first = max(start, windows.start)
    last = min(end, windows.end or end) - timedelta(microseconds=1)
    if last < first:
        return []
    return windows.between(windows.containing(first).key, windows.containing(last).key)


def period(text: str) -> tuple[datetime, datetime]:
    """`[start, end)` of a day, month, year, hour or a range of them. Raises WindowError."""
    return Windows("hourly", datetime(1970, 1, 1, tzinfo=UTC)).span(text)
