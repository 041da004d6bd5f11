"""One thing that was checked, and the result."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Literal

from resources.errors import Problem, SluiceError, readable
from resources.follow_ups import follow_up

Level = Literal["ok", "warning", "failed", "unknown"]
"""`failed`: publishing would not work, or would lose events. `warning`: it works, but somebody should know.
`unknown`: this login, or any client, cannot see it."""


@dataclass(frozen=True)
class Finding:
    """`subject` was checked; `told` is the result with its figure, `next_step` what to do about it. `window`:
    the window whose rows were read for it, if any were. `relaunch`: as in an error."""

    subject: str
    level: Level
    told: str
    next_step: str | None = None
    allowed: str | None = None
    window: str | None = None
    relaunch: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        # Some texts contain a server's own words.
        for name in ("told", "next_step", "allowed"):
            text = getattr(self, name)
            object.__setattr__(self, name, text and follow_up(readable(text)))

    @property
    def ok(self) -> bool:
        """False if it must be fixed first."""
        return self.level != "failed"

    def as_dict(self) -> dict[str, str | None]:
        """The finding for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "relaunch"}


def failures_of(subject: str, error: SluiceError) -> list[Finding]:
    """The error as findings: one for each problem if the error collects several."""
    return [
        Finding(subject, "failed", f"{part.where}: {part.problem}", part.next_step, part.allowed)
        for part in error.parts
    ]


class PreflightFailed(SluiceError):
    """Something that must hold before the first byte does not hold. Nothing was written."""


def refusal(where: str, findings: Iterable[Finding]) -> PreflightFailed:
    """All failures among `findings`, as one error."""
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
