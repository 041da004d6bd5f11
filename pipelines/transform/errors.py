"""Mistakes in a module, in contrast to misfits of a row: they stop the window, and their
error says how to fix them."""

from dataclasses import dataclass

from resources.errors import Problem, SluiceError
from resources.wording import counted


@dataclass(frozen=True)
class ConformProblem:
    """One reason why the columns, whatever their rows, cannot become the contract's columns. `column`: the
    first column that it is about, if it is about columns."""

    problem: str
    allowed: str | None = None
    next_step: str | None = None
    column: str | None = None


class ConformError(SluiceError):
    """What the source or the transform returned does not have the contract's columns and types.

    `problems` are all of them; no row was checked to find them.
    """

    def __init__(self, where: str, problems: tuple[ConformProblem, ...]) -> None:
        self.problems = problems
        first = problems[0]
        super().__init__(where, first.problem, allowed=first.allowed, next_step=first.next_step)
        self.several = tuple(Problem(where, p.problem, p.allowed, p.next_step) for p in problems)
        self.args = ("\n\n".join(map(str, self.several)),)


class TransformFailed(SluiceError):
    """The transform raised for the window as a whole, or for too many rows to be single bad rows.

    `source_row` is the first row for which it raised; None if the window was one frame.
    """

    def __init__(
        self, where: str, exception: str, *, rows_failed: int, source_row: int | None, every: bool = False
    ) -> None:
        self.exception, self.rows_failed, self.source_row = exception, rows_failed, source_row
        if source_row is None:
            problem = f"the transform raised {exception}"
            next_step = "a whole_window transform gets every row of the window at once: make it bear this one"
        elif every:
            problem = f"the transform raises on every row: {exception}"
            next_step = (
                f"correct the transform; the first {counted(rows_failed, 'row was', 'rows were')} tried"
            )
        else:
            problem = f"the transform raised for {counted(rows_failed, 'row')}, first for source row {source_row}: {exception}"
            next_step = "this many is a fault of the transform, not of single rows: make it bear such rows"
        super().__init__(where, problem, next_step=next_step)
