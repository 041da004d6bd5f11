"""What a user reads when a command fails or is stopped: no stack trace for what they can mend themselves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from resources.errors import SluiceError


class Stopped(Exception):
    """The user pressed Ctrl-C, or an operator cancelled the run; the text says what was done and what was not."""


@contextmanager
def when_stopped(told: Callable[[], str]) -> Iterator[None]:
    """Within the block Ctrl-C ends the command with `told()`, asked at that moment."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(told()) from None


def tell(error: SluiceError) -> None:
    """Print an error to stderr: every problem it holds, each with what is allowed and what to do next."""
    for number, problem in enumerate(paragraphs(error)):
        if number:
            click.echo(err=True)
        head, *rest = problem
        click.echo(click.style("Error: ", fg="red") + head, err=True)
        for line in rest:
            click.echo(line, err=True)


def paragraphs(error: SluiceError) -> list[list[str]]:
    """The problems of an error, each as lines: `where: problem`, then `allowed` and `next` where known."""
    found = []
    # Errors that gather several problems (a catalogue's, a contract's) keep them as parts of the same shape.
    parts = [part for part in getattr(error, "problems", ()) if hasattr(part, "problem")]
    for part in parts or [error]:
        where = getattr(part, "where", error.where)
        lines = [f"{where}: {part.problem}"]
        if part.allowed:
            lines.append(f"  allowed: {part.allowed}")
        if part.next_step:
            lines.append(f"  next:    {part.next_step}")
        found.append(lines)
    return found


def unfolded(text: str) -> list[str]:
    """The text of a SluiceError, told by a run, as the lines that `tell` would print."""
    told = text.replace("; allowed: ", "\n  allowed: ").replace("; next: ", "\n  next:    ")
    return told.splitlines()
