"""The arithmetic of windows:
where a window starts, which window is next, and how Dagster writes its key. All UTC."""

from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

Cadence = Literal["hourly", "daily", "weekly", "monthly"]
CADENCES: tuple[Cadence, ...] = get_args(Cadence)

# Dagster's own partition key formats, so that a key means the same in the UI, in the ledger and on the command line.
KEY_FORMATS: dict[Cadence, str] = {
    "hourly": "%Y-%m-%d-%H:%M",
    "daily": "%Y-%m-%d",
    "weekly": "%Y-%m-%d",
    "monthly": "%Y-%m-%d",
}

_STEPS = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(days=7)}


def key_of(cadence: Cadence, start: datetime) -> str:
    """The key of the window that starts at `start` (UTC)."""
    # strftime writes the year 44 as "44", but strptime reads four digits.
    return start.strftime(KEY_FORMATS[cadence].replace("%Y", f"{start.year:04d}"))


def utc(instant: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError for a naive one:
    a guessed zone would shift windows without notice."""
    if instant.tzinfo is None:
        raise ValueError(
            f"{instant.isoformat()} carries no time zone; pass an aware datetime, e.g. datetime.now(UTC)"
        )
    return instant.astimezone(UTC)


def floor(cadence: Cadence, instant: datetime) -> datetime:
    """The start of the window that contains `instant`. Weeks start on Monday."""
    hour = utc(instant).replace(minute=0, second=0, microsecond=0)
    if cadence == "hourly":
        return hour
    midnight = hour.replace(hour=0)
    if cadence == "daily":
        return midnight
    if cadence == "weekly":
        return midnight - timedelta(days=midnight.weekday())
    return midnight.replace(day=1)


def following(cadence: Cadence, start: datetime) -> datetime:
    """The start of the window after the one that starts at `start`."""
    if cadence == "monthly":
        return first_of_next_month(start)
    return start + _STEPS[cadence]


def first_of_next_month(start: datetime) -> datetime:
    return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1, day=1)


def steps_between(cadence: Cadence, first: datetime, last: datetime) -> int:
    """How many windows are in `[first, last)`; both are window starts."""
    if cadence == "monthly":
        return (last.year - first.year) * 12 + last.month - first.month
    return (last - first) // _STEPS[cadence]
