"""What a user reads when a command fails or is stopped:
no stack trace for what users can correct themselves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from resources.errors import Problem, SluiceError, readable
from resources.follow_ups import follow_up


class Stopped(Exception):
    """The user pressed Ctrl-C, or an operator cancelled the run; the text says what was done and what was not."""


@contextmanager
def when_stopped(told: Callable[[], str]) -> Iterator[None]:
    """Within the block, Ctrl-C ends the command with the text of `told()`, which is called at that moment."""
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


def warn(text: str) -> None:
    """Print to stderr what did not work although the command's own work is done."""
    click.echo(click.style("Warning: ", fg="yellow") + follow_up(readable(text)), err=True)


def paragraphs(error: SluiceError) -> list[list[str]]:
    """The problems of an error, each as lines: `where: problem`, then `allowed` and `next` if known."""
    return [lines_of(part) for part in error.parts]


def lines_of(problem: Problem) -> list[str]:
    """A problem as lines."""
    lines = [f"{problem.where}: {problem.problem}"]
    if problem.allowed:
        lines.append(f"  allowed: {problem.allowed}")
    if problem.next_step:
        lines.append(f"  next:    {problem.next_step}")
    return [follow_up(readable(line)) for line in lines]
