"""`limits`: how fast an event may be published, as an author writes it;
and how limits from several places combine."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.authoring.problems import DeclarationError, DeclarationProblem, current_collector
from pipelines.authoring.texts import control_character, without_class

_LONGEST_GROUP_BYTES = 32_767
MOST = 2**63 - 1
_WHOLE = "a whole number above 0, at most 2^63 - 1"
_LAG = 'groups and records, such as lag={"billing": 50_000}, or with the place to go on: {"billing": (50_000, 10_000)}'


class LagLimit(NamedTuple):
    """A consumer group more than `pause_above` records behind pauses the publisher until it is at most `resume_at`."""

    pause_above: int
    resume_at: int


def lag_limit(pause_above: int) -> LagLimit:
    """A limit that resumes at half of `pause_above`: far enough apart that publishing does not pause and
    resume all the time."""
    return LagLimit(pause_above, pause_above // 2)


@dataclass(frozen=True)
class Limits:
    """The most that one run publishes of one event. None, or no group: no limit.

    `bytes_per_second` counts keys and values before compression. `lag`: a limit for each named consumer
    group.
    """

    rows_per_second: int | None = None
    bytes_per_second: int | None = None
    lag: Mapping[str, LagLimit] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.rows_per_second or self.bytes_per_second or self.lag)

    def __str__(self) -> str:
        told = []
        if self.rows_per_second:
            told.append(f"{self.rows_per_second:,} rows/s")
        if self.bytes_per_second:
            told.append(f"{self.bytes_per_second:,} bytes/s")
        told += [
            f"pauses while consumer group {group} is more than {limit.pause_above:,} records behind"
            for group, limit in self.lag.items()
        ]
        return ", ".join(told) or "no limit"

    def stricter(self, rows_per_second: int, bytes_per_second: int) -> "Limits":
        """These limits and the installation's combined: the smaller one of each.
        0: the installation has no limit."""
        return Limits(
            min(filter(None, (self.rows_per_second, rows_per_second)), default=None),
            min(filter(None, (self.bytes_per_second, bytes_per_second)), default=None),
            self.lag,
        )

    def anew(
        self, rows_per_second: int | None, bytes_per_second: int | None, lag: Mapping[str, int]
    ) -> "Limits":
        """These limits with what one run overrides.
        None, or a group that is not named: unchanged. 0: no limit."""
        groups = {**self.lag, **{group: lag_limit(above) for group, above in lag.items()}}
        return Limits(
            (self.rows_per_second if rows_per_second is None else rows_per_second) or None,
            (self.bytes_per_second if bytes_per_second is None else bytes_per_second) or None,
            {group: limit for group, limit in groups.items() if limit.pause_above},
        )


NO_LIMITS = Limits()


def limits(
    *,
    rows_per_second: int | None = None,
    bytes_per_second: int | None = None,
    lag: Mapping[str, int | tuple[int, int]] | None = None,
) -> Limits:
    """How fast a run may publish the event, and which consumer groups must keep up with it.

    `lag` names consumer groups of the topic: `{"billing": 50_000}` pauses publishing, with no transaction
    open, while that group is more than 50,000 records behind, and resumes when the group is at half of that;
    `(50_000, 10_000)` resumes at 10,000. `bytes_per_second` counts keys and values before compression.
    """
    mistakes = [
        (f"limits(): {name}={_shown(value)} is not a whole number above 0", _WHOLE)
        for name, value in (("rows_per_second", rows_per_second), ("bytes_per_second", bytes_per_second))
        if value is not None and not _whole(value)
    ]
    groups: dict[str, LagLimit] = {}
    if lag is not None and not isinstance(lag, Mapping):
        mistakes.append((f"limits(): lag={lag!r} names no consumer groups", _LAG))
    else:
        for group, told in (lag or {}).items():
            found = _lag_limit(told)
            if not (isinstance(group, str) and is_group(group)):
                mistakes.append((f"limits(): lag has {group!r} for the name of a consumer group", _LAG))
            elif found is None:
                mistakes.append((f"limits(): lag of {group!r} is {_shown(told)}", _LAG))
            else:
                groups[without_class(group)] = found
    made = Limits(without_class(rows_per_second), without_class(bytes_per_second), groups)
    if not mistakes and not made:
        mistakes.append(("limits() limits nothing", "rows_per_second, bytes_per_second, lag"))
    if not mistakes:
        return made
    caller = sys._getframe(1)
    problems = [
        DeclarationProblem(caller.f_code.co_filename, caller.f_lineno, *mistake) for mistake in mistakes
    ]
    collector = current_collector()
    if collector is None:
        raise DeclarationError(problems)
    collector.problems.extend(problems)
    return NO_LIMITS


def is_group(name: str) -> bool:
    """Whether a consumer group can have this name: a client would cut it, or query a different group."""
    if not name.strip() or control_character(name) or set("\t\n\r") & set(name):
        return False
    return len(name.encode()) <= _LONGEST_GROUP_BYTES


def _lag_limit(told: object) -> LagLimit | None:
    if isinstance(told, tuple) and len(told) == 2:
        above, at = told
        return (
            LagLimit(without_class(above), without_class(at))
            if _whole(above) and _whole(at, least=0) and at < above
            else None
        )
    return lag_limit(without_class(told)) if isinstance(told, int) and _whole(told) else None


def _whole(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python does not write a number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:60]}..."
