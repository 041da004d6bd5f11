"""What a user reads when something is wrong: where, what, what is allowed, and what to do next."""

from collections.abc import Iterable
from difflib import get_close_matches


class SluiceError(Exception):
    """Base of every error a user can cause or act on; shown without a stack trace.

    `where` names the file, event, window, topic or setting; `problem` says what is wrong there;
    `allowed` what would be right; `next_step` what to do.
    """

    def __init__(
        self, where: str, problem: str, *, allowed: str | None = None, next_step: str | None = None
    ) -> None:
        self.where = where
        self.problem = problem
        self.allowed = allowed
        self.next_step = next_step
        parts = [f"{where}: {problem}"]
        if allowed:
            parts.append(f"allowed: {allowed}")
        if next_step:
            parts.append(f"next: {next_step}")
        super().__init__("; ".join(parts))


class PassingFault(SluiceError):
    """A fault that may pass by itself (a server restarting, a time-out): the only kind that is retried."""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest of `options`, or an empty string."""
    near = get_close_matches(name, list(options), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
