"""What a run reports while it works, as typed values. Sentences for people are made of them here and nowhere
else, so that no program must parse a sentence."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from resources.errors import Problem, SluiceError, readable
from resources.follow_ups import follow_up
from resources.wording import counted

Outcome = Literal[
    "published", "no_rows", "no_events", "unchanged", "stale", "gone", "not_selected", "not_repaired"
]
"""`published`: at least one record was sent. Otherwise nothing was sent, for one of these reasons. `no_rows`:
the window has no rows. `no_events`: none of its rows became an event. `unchanged`: its events are on the
topic already. `stale`: its records were left out because the topic has newer values of their keys. `gone`:
events vanished, and there is no tombstone for them. `not_selected`: a replay selects none of its events.
`not_repaired`: no dead letter fits now."""

Cause = Literal["operator", "consumer_lag", "rate", "storage", "pool", "other"]
"""What a run waits for."""


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """Something that a run reports; if `window` is given, about that window."""

    level: ClassVar[int] = logging.INFO
    """The level as in `logging`. From WARNING on the event is shown, whatever else is left out."""

    window: str | None = None


Tell = Callable[[RunEvent], None]


@dataclass(frozen=True, kw_only=True)
class Said(RunEvent):
    """A fact that nothing depends on."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Warned(Said):
    """A fact that somebody should know."""

    level = logging.WARNING


@dataclass(frozen=True, kw_only=True)
class WindowStarted(RunEvent):
    """The run starts with the window, after `done` of `of` windows."""

    done: int
    of: int


@dataclass(frozen=True, kw_only=True)
class WindowDone(RunEvent):
    """A window's publication has ended well; the counts are those of PublishResult."""

    action: str
    because: str
    outcome: Outcome
    published: int = 0
    tombstones: int = 0
    skipped: int = 0
    stale: int = 0
    rows_sourced: int | None = None


@dataclass(frozen=True, kw_only=True)
class WindowReconciled(RunEvent):
    """The window was read back from its topic; `told` is the result."""

    told: str


@dataclass(frozen=True, kw_only=True)
class WindowFailed(RunEvent):
    """The window was not published. `same_as`: a window that failed for the same reason before. `passing`:
    the fault may pass; the run continues from this window later."""

    problems: tuple[Problem, ...]
    same_as: str | None = None
    passing: bool = False

    @property
    def level(self) -> int:  # type: ignore[override]
        return logging.WARNING if self.passing else logging.ERROR


@dataclass(frozen=True, kw_only=True)
class Waiting(RunEvent):
    """The run has waited for `what` for `seconds`."""

    level = logging.WARNING

    cause: Cause
    what: str
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Paused(RunEvent):
    """The run has been paused by an operator for `seconds`."""

    level = logging.WARNING

    by: str
    run_id: str
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class WentOn(RunEvent):
    """The wait is over, after `seconds`; `what` says what is available now, if there is a word for it."""

    level = logging.WARNING

    cause: Cause
    seconds: float
    what: str = ""


@dataclass(frozen=True, kw_only=True)
class Retrying(RunEvent):
    """The run starts again in `seconds` seconds, from where it stopped."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Ended(RunEvent):
    """The run was cancelled, or is recorded as ended, before its last window."""

    level = logging.WARNING

    problems: tuple[Problem, ...]


_KINDS: Mapping[str, type[RunEvent]] = {
    kind.__name__: kind
    for kind in (
        Said, Warned, WindowStarted, WindowDone, WindowReconciled, WindowFailed, Waiting, Paused, WentOn, Retrying, Ended,
    )
}  # fmt: skip


def as_dict(event: RunEvent) -> dict[str, Any]:
    """The event for JSON; `from_dict` is the inverse."""
    return {"kind": type(event).__name__, **asdict(event)}


def from_dict(told: Mapping[str, Any]) -> RunEvent:
    """The inverse of `as_dict`. Raises KeyError or TypeError for anything else."""
    fields = {name: value for name, value in told.items() if name != "kind"}
    if "problems" in fields:
        fields["problems"] = tuple(Problem(**one) for one in fields["problems"])
    return _KINDS[told["kind"]](**fields)


def sentence(event: RunEvent) -> str:
    """The event for people, in one line; "" for an event that needs no words."""
    told = _told(event)
    return readable(f"{event.window}: {told}" if event.window and told else told)


def _told(event: RunEvent) -> str:
    match event:
        case Said(text=text):
            return text
        case WindowDone():
            return done_told(event)
        case WindowReconciled(told=told):
            return f"reconciled: {told}"
        case WindowFailed(same_as=str(other)):
            return f"failed for the same reason as {other}"
        case WindowFailed(problems=problems) | Ended(problems=problems):
            return "\n\n".join(map(str, problems))
        case Paused(by=by, run_id=run_id):
            return follow_up(
                f"paused by operator {by}; `sluice resume {run_id[:8]}` lets it go on{_since(event.seconds)}"
            )
        case Waiting(cause="consumer_lag" | "rate" | "storage", what=what):
            return f"{what}{_since(event.seconds)}"
        case Waiting(what=what):
            return f"waiting for {what}{_since(event.seconds)}"
        case WentOn(seconds=seconds, what=what):
            return f"{what or 'goes on'} after {duration(seconds)}"
        case Retrying(seconds=seconds):
            return f"trying again in {seconds:.0f} s, from there"
    return ""


def done_told(event: WindowDone) -> str:
    """The result of a window that was published, without the window's name."""
    match event.outcome:
        case "no_rows":
            what = "the window has no rows"
        case "no_events" if event.rows_sourced == 1:
            what = "its 1 row became no event"
        case "no_events":
            what = f"none of its {event.rows_sourced or 0:,} rows became an event"
        case _:
            of_them = f" ({counted(event.tombstones, 'tombstone')})" if event.tombstones else ""
            what = f"{event.published:,} published{of_them}, {event.skipped:,} skipped"
    left_out = f", {event.stale:,} left out as stale" if event.stale else ""
    return f"{event.action}: {what}{left_out} ({event.because})"


def problems_of(error: Exception) -> tuple[Problem, ...]:
    """The problems of an error of any kind. An error that is not a SluiceError counts as a defect."""
    if isinstance(error, SluiceError):
        return error.parts
    told = readable(f"{error} (a defect; its stack trace is in the log)")
    return (Problem(type(error).__name__, told),)


def problems_as_json(problems: Sequence[Problem]) -> list[dict[str, str | None]]:
    """The problems for JSON."""
    return [asdict(one) for one in problems]


def but_for_window(window: str, problems: Sequence[Problem]) -> tuple[tuple[str, ...], ...]:
    """The problems without the window's own name.
    The result is equal for two windows that fail for one reason."""
    return tuple(
        tuple(
            part.replace(window, "") if window else part
            for part in (one.where, one.problem, one.allowed or "", one.next_step or "")
        )
        for one in problems
    )


def duration(seconds: float) -> str:
    """`3 min 20 s`, for people."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _since(seconds: float) -> str:
    return f" (for {duration(seconds)})" if seconds > 0 else ""
