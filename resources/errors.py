"""What a user reads if something is wrong: where, what, what is allowed, and what to do next."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from resources.follow_ups import follow_up
from resources.security.printable import printable
from resources.security.secrets import hide_all


def readable(text: str) -> str:
    """`text`, parts of which may come from somebody else, without secrets and without control characters."""
    return printable(hide_all(text))


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in the form of a SluiceError."""

    where: str
    problem: str
    allowed: str | None = None
    next_step: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.without_place}"

    @property
    def without_place(self) -> str:
        """What is wrong, what is allowed and what to do, for a text that has already named the place."""
        parts = [self.problem]
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.next_step:
            parts.append(f"next: {self.next_step}")
        # After a list, they would look like a part of its last line.
        return ("\n  " if "\n" in self.problem else "; ").join(parts)


class SluiceError(Exception):
    """Base of every error that a user can cause or act on; it is shown without a stack trace.

    `where` names the file, event, window, topic or setting. `problem` says what is wrong there, `allowed`
    what would be right, `next_step` what to do. None of them contains a secret of the settings or a control
    character, whatever they were made from.
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
    """All problems, if the error collects several; otherwise empty."""

    relaunch: bool = True
    """Whether a window that ended with this error is launched again in the same way, after the next step is
    done. False: the next step names another way, and the same launch may now be wrong."""

    @property
    def parts(self) -> tuple[Problem, ...]:
        """What is wrong, one entry for each problem."""
        return self.several or (Problem(self.where, self.problem, self.allowed, self.next_step),)

    def __str__(self) -> str:
        return readable(super().__str__())  # an error with several problems sets its text itself


class TransientError(SluiceError):
    """An error that may pass by itself (a server restarts, a time-out). Only this kind is retried."""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """` Did you mean 'x'?` with the nearest of `options`, or an empty string. Upper
    and lower case count as equal."""
    by_lower = {option.lower(): option for option in reversed(list(options))}
    near = get_close_matches(name.lower(), list(reversed(by_lower)), n=1, cutoff=0.6)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""
