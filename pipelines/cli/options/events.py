"""The events that a command is about: one by its name, some by a selection, or all."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipelines.authoring.catalogue import Catalogue
    from pipelines.authoring.event import Event
    from pipelines.authoring.windows import Window
    from pipelines.ledger.entry import LedgerDamaged
    from pipelines.selection.expressions import State


@dataclass(frozen=True)
class Chosen:
    """`events` are those that load. `whole` says whether all that were meant load, and whether every ledger
    record that decides what is meant can be read; the mistakes were printed to stderr. `text` is what the user wrote; None: every event. `named`: `text` is the name of
    one event."""

    catalogue: Catalogue
    events: tuple[Event, ...]
    whole: bool
    text: str | None
    named: bool
    refused: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return [event.full_name for event in self.events]

    @property
    def quoted(self) -> str:
        """What the user wrote, for a command to copy."""
        return shlex.quote(self.text or "")

    def only(self, what: str) -> Event:
        """The one event that is meant.
        Raises SluiceError with `what` (`a preview is of one`) if there are more."""
        from pipelines.authoring.problems import listing
        from resources.errors import SluiceError
        from resources.wording import brief

        names = [*self.names, *(f"{name} (does not load)" for name in self.refused)]
        if len(names) == 1:
            return self.events[0]
        raise SluiceError(
            f"selection {brief(self.text)}",
            f"picks {len(names):,} events, and {what}",
            allowed=listing(names),
            next_step="name one of them",
        )

    def windows(self, event: Event, text: str) -> list[Window]:
        """The windows of `event` that `text` means. With the name of one event, `text` names windows of this
        event. With a selection, `text` is a time, and each event has the windows that overlap it, or none."""
        if self.named:
            return event.windows.parse(text)
        from pipelines.cli.options.windows import overlapping, period

        return overlapping(event, *period(text))

    def with_windows(self, text: str | None) -> list[tuple[Event, list[Window] | None]]:
        """The events, each with the windows that `text` means; None without a text. In a selection, events
        with no such window are named on stderr and left out. Raises SluiceError if none is left."""
        if text is None:
            return [(event, None) for event in self.events]
        found: list[tuple[Event, list[Window] | None]] = []
        for event in self.events:
            if windows := self.windows(event, text):
                found.append((event, windows))
            else:
                click.echo(f"{event.full_name}: no window overlaps {text} ({event.windows})", err=True)
        if not found:
            from resources.errors import SluiceError

            raise SluiceError(
                f"windows {text}",
                "no window of the selected events overlaps this time",
                next_step="name another time",
            )
        return found


def chosen(text: str | None, *, none_loads: bool = False) -> Chosen:
    """The named event, the selected ones, or every event that loads.

    Raises SelectionError, NothingSelected, UnknownEventError, and CatalogueError if what is meant does not
    load. `none_loads`: a selection of which no event loads is no error.
    """
    if text is None:
        catalogue, whole = healthy_catalogue()
        return Chosen(catalogue, tuple(catalogue), whole, None, named=False)
    from pipelines import CatalogueError
    from pipelines.cli.output.errors import tell
    from pipelines.selection.evaluation import select
    from pipelines.selection.expressions import plain_name
    from pipelines.selection.parser import parse

    expression = parse(text)
    if (name := plain_name(expression)) is not None:
        catalogue, event = catalogue_and_event(name)
        return Chosen(catalogue, (event,), True, text, named=True)
    catalogue = loaded_events()
    damaged: list[LedgerDamaged] = []
    selected = select(expression, catalogue, lambda events: _states(events, damaged))
    for note in selected.notes:
        click.echo(f"Note: {note}.", err=True)
    if selected.refused:
        error = CatalogueError([p for name in selected.refused for p in catalogue.refused[name]], catalogue)
        if not selected.events and not none_loads:
            raise error
        tell(error)
        click.echo(err=True)
    return Chosen(
        catalogue,
        selected.events,
        not selected.refused and not damaged,
        text,
        named=False,
        refused=selected.refused,
    )


def single_name(text: str) -> str | None:
    """The name, without quotes and parentheses, if `text` is one name and nothing else; None for a selection.
    Raises SelectionError."""
    from pipelines.selection.expressions import plain_name
    from pipelines.selection.parser import parse

    return plain_name(parse(text))


def catalogue_and_event(name: str) -> tuple[Catalogue, Event]:
    """The event of this name, even if other events do not load.
    Raises CatalogueError if this event does not."""
    from pipelines import CatalogueError, load_catalogue
    from resources.settings import load_settings

    try:
        catalogue = load_catalogue(topic_prefix=load_settings().topic_prefix)
    except CatalogueError as error:
        own = [problem for problem in error.problems if _about(problem.file, name)]
        if own:
            # The mistakes of other events are shown by `sluice list`.
            raise CatalogueError(own, error.healthy) from None
        catalogue = error.healthy
    return catalogue, catalogue.find(name)


def _about(file: str, name: str) -> bool:
    module = Path(file).with_suffix("")
    return name in (module.name, f"{module.parent.name}/{module.name}")


def healthy_catalogue() -> tuple[Catalogue, bool]:
    """The events that load, and whether all load; the mistakes of the others are printed to stderr."""
    from pipelines import CatalogueError, load_catalogue
    from pipelines.cli.output.errors import tell
    from resources.settings import load_settings

    try:
        return load_catalogue(topic_prefix=load_settings().topic_prefix), True
    except CatalogueError as error:
        tell(error)
        click.echo(err=True)
        return error.healthy, False


def loaded_events() -> Catalogue:
    """The events that load; the others are not mentioned."""
    from pipelines import CatalogueError, load_catalogue
    from resources.settings import load_settings

    try:
        return load_catalogue(topic_prefix=load_settings().topic_prefix)
    except CatalogueError as error:
        return error.healthy


def _states(events: Iterable[Event], damaged: list[LedgerDamaged]) -> Mapping[str, frozenset[State]]:
    """The states of the events. A damaged ledger record is printed to stderr and added to `damaged`."""
    from datetime import UTC, datetime

    from pipelines.cli.output.errors import tell
    from pipelines.ledger.event_states import event_states
    from resources.platform import Platform

    def found(error: LedgerDamaged) -> None:
        tell(error)
        damaged.append(error)

    with Platform() as platform:
        return event_states(events, platform, datetime.now(UTC), damaged=found)
