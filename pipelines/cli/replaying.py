"""The windows of a replay: those that are named, or those on the topic that the selection touches."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import click

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.cli.ledger_reading import read_ledger
from pipelines.publishing.selection import Selection
from resources.errors import SluiceError
from resources.platform import Platform


def windows_to_replay(
    event: Event, text: str | None, selection: Selection, platform: Platform
) -> list[Window]:
    """The published windows that `text` names, or all; those that can hold nothing selected are left out.

    Raises SluiceError where none is left.
    """
    known = set(read_ledger(platform).windows_of(event.topic))
    named = event.windows.parse(text) if text else [event.windows.window(key) for key in sorted(known)]
    touched = [window for window in named if window.key in known and selection.touches(window)]
    missing = [window.key for window in named if window.key not in known]
    if missing and touched:
        some = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        click.echo(
            f"left out, since never published: {len(missing)} of {len(named)} windows ({some})", err=True
        )
    if not touched:
        about = f"{text} of {event.full_name}" if text else event.full_name
        told = selection.told()
        raise SluiceError(
            about,
            f"has no published window that holds {told}" if told else "has no published window",
            next_step=f"sluice status {event.full_name} lists what is published",
        )
    return touched


def require_free(topic: str | None, catalogue: Catalogue) -> None:
    """Raise SluiceError where the shadow topic is an event's own."""
    for event in catalogue.events.values():
        if event.topic == topic:
            raise SluiceError(
                f"--to {topic}",
                f"is the topic of {event.full_name}",
                allowed="a topic that nothing else is published to",
                next_step="leave --to out to replay to the event's own topic, or name another",
            )


def unbroken(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Runs of windows without a gap: Dagster runs a range."""
    found: list[Window] = list(windows[:1])
    for before, window in pairwise(windows):
        if before.end != window.start:
            yield found
            found = []
        found.append(window)
    if found:
        yield found
