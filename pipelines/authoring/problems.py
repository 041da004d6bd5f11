"""The mistakes of declarations, gathered so that an author sees every mistake of every module at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from resources.errors import Problem, SluiceError


@dataclass(frozen=True)
class DeclarationProblem:
    """One mistake: the file and (if known) the line, what is wrong, what is allowed, what to do next.

    `file` is written as the author knows it: relative to the folder that holds `assets/`.
    """

    file: str
    line: int | None
    problem: str
    allowed: str | None = None
    next_step: str | None = None

    @property
    def where(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __str__(self) -> str:
        # SluiceError decides the order of the parts,
        # so that a declaration's errors read like every other error.
        return str(SluiceError(self.where, self.problem, allowed=self.allowed, next_step=self.next_step))


class DeclarationError(SluiceError):
    """A wrong declaration, found while its module was imported by itself (in a unit test, for example).

    `problems` holds every mistake that the declaration alone shows. `load_catalogue` finds the mistakes that
    need the contract or the other modules.
    """

    def __init__(self, problems: Sequence[DeclarationProblem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.where, first.problem, allowed=first.allowed, next_step=first.next_step)
        self.several = tuple(Problem(p.where, p.problem, p.allowed, p.next_step) for p in self.problems)
        self.args = ("\n\n".join(str(problem) for problem in self.problems),)


@dataclass
class Collector:
    """What was declared and reported while the catalogue imported one module. `declarations` are
    EventDeclarations; this module must not import their class, because their module reports here."""

    declarations: list[Any] = field(default_factory=list)
    problems: list[DeclarationProblem] = field(default_factory=list)


# Set while the catalogue imports a module: the authoring names then report here and continue, so that a wrong
# start date does not hide the wrong key below it. If it is not set, they raise, as a unit test expects.
_collector: ContextVar[Collector | None] = ContextVar("declaration_collector", default=None)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Gather the mistakes that the authoring names find inside this block, instead of raising them."""
    collector = Collector()
    token = _collector.set(collector)
    try:
        yield collector
    finally:
        _collector.reset(token)


def current_collector() -> Collector | None:
    return _collector.get()


def near_miss(name: str, options: Iterable[str], form: str = "{!r}") -> str | None:
    """`did you mean 'x'?` for the nearest of `options`, written with `form`; None if none is near."""
    by_lower = {option.lower(): option for option in options}
    near = get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"did you mean {form.format(by_lower[near[0]])}?" if near else None


def listing(names: Iterable[object], most: int = 24) -> str:
    """`a, b, c`, cut at `most` names, because nobody reads a longer list to its end."""
    texts = [str(name) for name in names]
    if len(texts) <= most:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])} and {len(texts) - most} more"
