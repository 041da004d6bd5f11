"""What is wrong with a contract: all problems of the file in one error, each with its field."""

from dataclasses import dataclass
from pathlib import Path

from resources.errors import Problem, SluiceError


@dataclass(frozen=True)
class ContractProblem:
    """One problem in one contract. `field` is a path (`legs[].fuel`); "" for the file as a whole."""

    path: Path
    field: str
    problem: str
    allowed: str | None = None
    next_step: str | None = None

    @property
    def where(self) -> str:
        return f"{self.path}: field {self.field!r}" if self.field else str(self.path)

    def __str__(self) -> str:
        return str(SluiceError(self.where, self.problem, allowed=self.allowed, next_step=self.next_step))


class ContractError(SluiceError):
    """A contract cannot be used. `problems` are all of them, not only the first."""

    def __init__(self, problems: tuple[ContractProblem, ...]) -> None:
        self.problems = problems
        first = problems[0]
        super().__init__(first.where, first.problem, allowed=first.allowed, next_step=first.next_step)
        # The text has a paragraph for each problem, so that an author can correct all of them in one edit.
        self.several = tuple(Problem(p.where, p.problem, p.allowed, p.next_step) for p in problems)
        self.args = ("\n\n".join(str(problem) for problem in problems),)
