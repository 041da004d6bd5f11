"""What a scenario found, in the form that the report prints."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kill:
    """One SIGKILL. `where`: "in" a stage or "after" one; `milliseconds` after the mark that it aimed at;
    `transaction`: before, inside or after a commit; `rows` of `of`: committed at that time, as the next
    launch found."""

    point: int
    story: str
    aimed_at: str
    where: str
    stage: str
    transaction: str
    milliseconds: float
    rows: int | None = None
    of: int | None = None


@dataclass
class Outcome:
    """A scenario's verdict. `checked`: how many windows were judged; `failures`: what is wrong, each with the
    point to replay;
    `told`: the messages of launches that ended early."""

    name: str
    promise: str
    checked: int = 0
    launches: int = 0
    kills: list[Kill] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    seconds: float = 0.0
    left_out: str | None = None

    @property
    def verdict(self) -> str:
        """`holds`, `FAILS` or `left out`."""
        if self.left_out:
            return "left out"
        return "FAILS" if self.failures else "holds"

    def as_json(self) -> dict[str, Any]:
        """For the report beside the page."""
        return {**asdict(self), "verdict": self.verdict}
