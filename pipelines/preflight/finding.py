"""One thing that was looked at, and what was found."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from resources.errors import SluiceError

Level = Literal["ok", "warning", "failed", "unknown"]
"""`failed`: publishing would not work, or would lose events. `warning`: it works, and somebody should know.
`unknown`: this login, or any client, cannot see it."""


@dataclass(frozen=True)
class Finding:
    """`subject` was looked at; `told` is the result with its figure, `next_step` what to do about it. `window`: the one
    whose rows it is about, where it is about rows that were read."""

    subject: str
    level: Level
    told: str
    next_step: str | None = None
    allowed: str | None = None
    window: str | None = None

    @property
    def ok(self) -> bool:
        """False for what must be mended first."""
        return self.level != "failed"

    def as_dict(self) -> dict[str, str | None]:
        """For JSON."""
        return asdict(self)


def failures_of(subject: str, error: SluiceError) -> list[Finding]:
    """What is wrong, as findings: one for each problem where the error gathers several."""
    parts = [part for part in getattr(error, "problems", ()) if hasattr(part, "problem")]
    return [
        Finding(
            subject,
            "failed",
            f"{getattr(part, 'where', error.where)}: {part.problem}",
            part.next_step,
            part.allowed,
        )
        for part in parts or [error]
    ]


class PreflightFailed(SluiceError):
    """Something does not hold that must before the first byte; nothing was written."""


class _Problem:
    """One of several, in the shape in which errors keep their parts."""

    allowed: str | None

    def __init__(self, where: str, finding: Finding) -> None:
        self.where = where
        self.problem = f"{finding.subject}: {finding.told}"
        self.allowed = finding.allowed
        self.next_step = finding.next_step


def refusal(where: str, findings: Iterable[Finding]) -> PreflightFailed:
    """All that failed among `findings`, as one error."""
    problems = [_Problem(where, finding) for finding in findings if not finding.ok]
    if len(problems) == 1:
        (only,) = problems
        return PreflightFailed(where, only.problem, allowed=only.allowed, next_step=only.next_step)
    lines = [
        "; ".join(
            part
            for part in (
                f"\n- {one.problem}",
                one.allowed and f"allowed: {one.allowed}",
                one.next_step and f"next: {one.next_step}",
            )
            if part
        )
        for one in problems
    ]
    error = PreflightFailed(where, f"{len(problems)} things must hold before the first byte:{''.join(lines)}")
    error.problems = problems  # type: ignore[attr-defined]
    return error
