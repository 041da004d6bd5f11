"""What a user reads when something is wrong: where, what, what is allowed, and what to do next."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from resources.follow_ups import follow_up
from resources.security.printable import printable
from resources.security.secrets import hide_all


def readable(text: str) -> str:
    """`text`, of which parts may be somebody else's words, without secrets and without control characters."""
    return printable(hide_all(text))


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, as a SluiceError says it."""

    where: str
    problem: str
    allowed: str | None = None
    next_step: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.without_place}"

    @property
    def without_place(self) -> str:
        """What is wrong, what is allowed and what to do, where the place was said before."""
        parts = [self.problem]
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.next_step:
            parts.append(f"next: {self.next_step}")
        # Behind a list they would look like a part of its last line.
        return ("\n  " if "\n" in self.problem else "; ").join(parts)


class SluiceError(Exception):
    """Base of every error a user can cause or act on; shown without a stack trace.

    `where` names the file, event, window, topic or setting; `problem` says what is wrong there;
    `allowed` what would be right; `next_step` what to do. None of them holds a secret of the settings or a control
    character, whatever they were made of.
    """

    def __init__(
        self, where: str, problem: str, *, allowed: str | None = None, next_step: str | None = None
    ) -> None:
        self.where = readable(where)
        self.problem = readable(problem)
        self.allowed = allowed and readable(allowed)
        self.next_step = next_step and follow_up(readable(next_step))
        super().__init__(str(Problem(self.where, self.problem, self.allowed, self.next_step)))

    several: tuple[Problem, ...] = ()
    """Of an error that gathers several problems: all of them."""

    relaunch: bool = True
    """Whether a window that ended with this is launched again as it was, once the next step is done. False: the next step
    names another way, and the launch may be the wrong one now."""

    @property
    def parts(self) -> tuple[Problem, ...]:
        """What is wrong, problem by problem."""
        return self.several or (Problem(self.where, self.problem, self.allowed, self.next_step),)

    def __str__(self) -> str:
        return readable(super().__str__())  # an error of several problems sets its text itself


class TransientError(SluiceError):
    """A fault that may pass by itself (a server restarting, a time-out): the only kind that is retried."""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest of `options`, whatever the case of either, or an empty string."""
    by_lower = {option.lower(): option for option in reversed(list(options))}
    near = get_close_matches(name.lower(), list(reversed(by_lower)), n=1, cutoff=0.6)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""
