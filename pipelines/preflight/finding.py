"""One thing that was looked at, and what was found."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Literal

from resources.errors import Problem, SluiceError, readable
from resources.follow_ups import follow_up

Level = Literal["ok", "warning", "failed", "unknown"]
"""`failed`: publishing would not work, or would lose events. `warning`: it works, and somebody should know.
`unknown`: this login, or any client, cannot see it."""


@dataclass(frozen=True)
class Finding:
    """`subject` was looked at; `told` is the result with its figure, `next_step` what to do about it. `window`: the one
    whose rows it is about, where it is about rows that were read. `relaunch`: as an error's."""

    subject: str
    level: Level
    told: str
    next_step: str | None = None
    allowed: str | None = None
    window: str | None = None
    relaunch: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        # Some are made of a server's own words.
        for name in ("told", "next_step", "allowed"):
            text = getattr(self, name)
            object.__setattr__(self, name, text and follow_up(readable(text)))

    @property
    def ok(self) -> bool:
        """False for what must be mended first."""
        return self.level != "failed"

    def as_dict(self) -> dict[str, str | None]:
        """For JSON."""
        return {name: value for name, value in asdict(self).items() if name != "relaunch"}


def failures_of(subject: str, error: SluiceError) -> list[Finding]:
    """What is wrong, as findings: one for each problem where the error gathers several."""
    return [
        Finding(subject, "failed", f"{part.where}: {part.problem}", part.next_step, part.allowed)
        for part in error.parts
    ]


class PreflightFailed(SluiceError):
    """Something does not hold that must before the first byte; nothing was written."""


def refusal(where: str, findings: Iterable[Finding]) -> PreflightFailed:
    """All that failed among `findings`, as one error."""
    failed = [one for one in findings if not one.ok]
    problems = tuple(
        Problem(where, f"{one.subject}: {one.told}", one.allowed, one.next_step) for one in failed
    )
    if len(problems) == 1:
        (only,) = problems
        error = PreflightFailed(where, only.problem, allowed=only.allowed, next_step=only.next_step)
    else:
        lines = "".join(f"\n- {one.without_place}" for one in problems)
        error = PreflightFailed(where, f"{len(problems)} things must hold before the first byte:{lines}")
        error.several = problems
    error.relaunch = all(one.relaunch for one in failed)
    return error
