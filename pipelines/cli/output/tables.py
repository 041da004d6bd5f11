"""Tables and progress: aligned text that reads the same in a terminal, a pipe and a log."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

from pipelines.preflight.amounts import size as size
from resources.security.outlets import drawing
from resources.security.printable import in_one_line
from resources.security.secrets import hide

if TYPE_CHECKING:
    from rich.console import Console

# Without a terminal nothing is wrapped: a reader of a pipe wants one row a line.
_UNFOLDED = 10_000
_BAR = 16


def console(*, err: bool = False) -> "Console":
    """A console on the current stdout or stderr; colours only on a terminal."""
    from rich.console import Console

    made = Console(stderr=err, highlight=False, emoji=False, markup=False)
    return made if made.is_terminal else Console(stderr=err, highlight=False, width=_UNFOLDED)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, total: Sequence[object] = ()) -> None:
    """Print rows below headings. Numbers are right-aligned with thousands separators; None is a dash."""
    from rich.table import Table
    from rich.text import Text

    shown = [*rows, total] if total else rows
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for number, name in enumerate(columns):
        numeric = any(_is_number(row[number]) for row in shown)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(_cell(value)) for value in row))
    if total:
        made.add_section()
        made.add_row(*(Text(_cell(value) if value != "" else "", style="bold") for value in total))
    on = console()
    with on.capture() as captured:
        on.print(made)
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if _is_number(value) else shown(str(value))


def shown(text: str) -> str:
    """A value, or somebody's words, made safe to show within a line:
    no terminal control characters, no secrets.

    Call it before the text is coloured, cut or laid out in a table, so that the columns are as wide as what
    is shown.
    """
    return in_one_line(hide(text))


def heading(text: str) -> None:
    """A heading with an empty line before it."""
    click.echo()
    click.secho(text, bold=True)


def cut(text: str, width: int) -> str:
    """`text` in at most `width` characters."""
    text = shown(text)
    return text if len(text) <= width else f"{text[: width - 1]}…"


class Progress(Protocol):
    """How many of a number of things are done. `redrawn`: a person watches it move."""

    redrawn: bool

    def at(self, done: int, about: str) -> None:
        """`done` of them are done; `about` says what happens now."""
        ...


class _Bar:
    redrawn = True

    def __init__(self, name: str, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"), BarColumn(_BAR), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[about]}", style="dim"), console=_drawing_console(), transient=True,
        )  # fmt: skip
        # The rest of the line after the name, the bar, the counts and the clock.
        self._room = max(8, self._bars.console.width - len(name) - _BAR - 22)
        self._task = self._bars.add_task(name, total=total, about="")
        self.start, self.stop = self._bars.start, self._bars.stop

    def at(self, done: int, about: str) -> None:
        # Drawn now: the bar's own thread may not run for a long time while a window is busy.
        self._bars.update(self._task, completed=done, about=cut(about, self._room), refresh=True)


def _drawing_console() -> "Console":
    from rich.console import Console

    return Console(file=drawing(sys.stderr), highlight=False, emoji=False, markup=False)


class _Silent:
    redrawn = False

    def at(self, done: int, about: str) -> None:
        """Does nothing: without a terminal there is nothing to redraw."""


@contextmanager
def progress(name: str, total: int) -> Iterator[Progress]:
    """A bar on stderr while the block runs; on a pipe nothing, because a redrawn line would fill a log."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    bar = _Bar(name, total)
    bar.start()
    try:
        yield bar
    finally:
        bar.stop()
