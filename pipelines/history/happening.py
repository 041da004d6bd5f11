"""A line of an event's history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from resources.json_value import Json
from resources.wording import counted


@dataclass(frozen=True)
class Happening:
    """One thing that happened to an event, or many of one kind: `windows` of them, `first_window` to `last_window`.

    `at`: the instant, or the first one; `until`: the last one, if there are several. `what`: backfill,
    correction, replay, redrive, or the kind of a journal record. `summary`: the details, for people; `facts`:
    for programs.
    """

    at: datetime
    what: str
    source: Literal["ledger", "journal"]
    summary: str
    by: str | None = None
    reason: str | None = None
    until: datetime | None = None
    windows: int = 0
    first_window: str | None = None
    last_window: str | None = None
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def last(self) -> datetime:
        """When it ended."""
        return self.until or self.at

    @property
    def which(self) -> str:
        """Which windows, for people."""
        if not self.windows:
            return ""
        if self.windows == 1:
            return f"window {self.first_window}"
        return f"{counted(self.windows, 'window')} {self.first_window} to {self.last_window}"

    def as_json(self) -> dict[str, Json]:
        """For programs."""
        return {
            **self.facts,
            "at": _text(self.at),
            "until": None if self.until is None else _text(self.until),
            "what": self.what,
            "source": self.source,
            "by": self.by,
            "reason": self.reason,
            "windows": self.windows,
            "first_window": self.first_window,
            "last_window": self.last_window,
        }


def instant(text: str) -> datetime:
    """An instant of the ledger or the journal, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
