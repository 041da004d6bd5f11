"""The lines of `check`, `doctor`, `new` and `register`: one for each thing that was examined."""

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator

import click

from pipelines.preflight.finding import Finding, Level, failures_of
from resources.errors import SluiceError
from resources.wording import counted

_MARKS: dict[Level, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warning": ("warn", "yellow"),
    "unknown": ("?", "cyan"),
    "failed": ("FAIL", "red"),
}
_NAME_WIDTH = 18


def tried(subject: str, look: Callable[[], str]) -> Iterator[Finding]:
    """The finding that `look` returns as text, or what is wrong."""
    try:
        yield Finding(subject, "ok", look())
    except SluiceError as error:
        yield from failures_of(subject, error)


def show(findings: Iterable[Finding], *, indent: str = "  ") -> list[Finding]:
    """Print each finding as it comes:
    a line for what was found, and below it what is allowed and what to do next."""
    shown: list[Finding] = []
    said: set[str] = set()
    for finding in findings:
        if not shown or shown[-1].subject != finding.subject:
            name, said = finding.subject, set()
        else:
            name = ""
        mark, colour = _MARKS[finding.level]
        head = f"{indent}{click.style(f'{mark:<4}', fg=colour)}  {name:<{_NAME_WIDTH}}"
        click.echo(head + _folded(finding.told, len(indent) + 6 + _NAME_WIDTH))
        for label, text in (("allowed: ", finding.allowed), ("next:    ", finding.next_step)):
            # Twenty wrong columns share one list of what is allowed; it is printed only once.
            if text and text not in said:
                said.add(text)
                click.echo(f"{indent}      {'':<{_NAME_WIDTH}}{label}{text}")
        shown.append(finding)
    return shown


def _folded(text: str, left: int) -> str:
    """The text with its lines aligned below each other; on a terminal long lines are wrapped. A next step is
    not wrapped, because people copy it."""
    width = shutil.get_terminal_size().columns - left
    lines = text.splitlines()
    if sys.stdout.isatty() and width >= 40:
        lines = [
            part
            for line in lines
            for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
        ]
    return f"\n{'':<{left}}".join(lines)


def in_numbers(findings: Iterable[Finding]) -> str:
    """`14 checks: 12 ok, 1 warning, 1 unknown`."""
    levels = [finding.level for finding in findings]
    counts = [(levels.count(level), level) for level in _MARKS if level in levels]
    told = ", ".join(
        f"{number} {level}{'s' * (level == 'warning' and number > 1)}" for number, level in counts
    )
    return f"{counted(len(levels), 'check')}: {told}"
