"""The windows of a replay: those that are named, or those on the topic that contain something selected."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import click

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.cli.output.values import to_json
from pipelines.cli.runs.launcher import RunOutcome, WindowOutcome
from pipelines.ledger.entry import LedgerEntry, ledger_key
from pipelines.ledger.listing import read_ledger
from pipelines.publishing.key_search import KeySearch, KeysUnmatched, Unmatched, require_typed
from pipelines.publishing.request import Replay, require_shadow_name
from pipelines.publishing.selection import Selection
from resources.errors import SluiceError, readable
from resources.platform import Platform
from resources.settings import Settings
from resources.wording import counted


class NothingToReplay(SluiceError):
    """No window that is meant was published, or none can contain what is selected."""


def windows_to_replay(
    event: Event,
    text: str | None,
    named: Sequence[Window] | None,
    selection: Selection,
    platform: Platform,
) -> list[Window]:
    """The published windows among `named`, which `text` means, or all; those that cannot contain anything
    selected are left out.

    Raises NothingToReplay if none is left.
    """
    known = set(read_ledger(platform).windows_of(event.topic))
    if named is None:
        named = [event.windows.window(key) for key in sorted(known)]
    touched = [window for window in named if window.key in known and selection.touches(window)]
    missing = [window.key for window in named if window.key not in known]
    if missing and touched:
        some = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        click.echo(
            f"left out, since never published: {len(missing)} of {counted(len(named), 'window')} ({some})",
            err=True,
        )
    if not touched:
        about = f"{text} of {event.full_name}" if text else event.full_name
        told = selection.told()
        raise NothingToReplay(
            about,
            f"has no published window that holds {told}" if told else "has no published window",
            next_step=f"sluice status {event.full_name} lists what is published",
        )
    return touched


def unmatched_keys(
    event: Event, platform: Platform, replay: Replay, windows: Sequence[Window]
) -> Unmatched | None:
    """The keys that are in none of the windows' stored rows, or the range if no row is in it. None if
    everything was found, and if the rows will be sourced again. Raises SluiceError for a key that cannot be a
    key of this event."""
    if replay.source == "fresh":
        require_typed(event, replay.selection)
        return None
    if replay.selection.everything:
        return None
    sought = KeySearch(event, platform, replay.selection)
    sought.look_stored(published_entries(event, platform, windows))
    if sought.unmatched is not None:
        wanted = {ledger_key(event.topic, window.key) for window in windows}
        for key, error in read_ledger(platform).damaged:
            if key in wanted:
                raise error  # the keys may be in that window
    return sought.unmatched


def published_entries(
    event: Event, platform: Platform, windows: Sequence[Window], topic: str | None = None
) -> list[LedgerEntry]:
    """The newest entries of these windows on the event's topic, or on `topic`."""
    wanted = {window.key for window in windows}
    return [
        entry
        for entry in read_ledger(platform).entries
        if entry.topic == (topic or event.topic) and entry.window in wanted
    ]


def unmatched_now(
    event: Event,
    settings: Settings,
    replay: Replay,
    windows: Sequence[Window],
    outcomes: Sequence[RunOutcome],
) -> Unmatched | None:
    """The same for the rows that a fresh replay has sourced.
    None also if a window failed: its rows are not known."""
    if any(outcome.failed or outcome.failures for outcome in outcomes):
        return None
    runs = {outcome.run_id for outcome in outcomes}
    with Platform(settings) as platform:
        sought = KeySearch(event, platform, replay.selection)
        # On a shadow topic, the entry of an earlier replay remains if this replay found nothing.
        sought.look_stored(
            entry
            for entry in published_entries(event, platform, windows, replay.topic)
            if replay.topic is None or entry.run_id in runs
        )
        return sought.unmatched


def refuse_unmatched(event: Event, windows: Sequence[Window], unmatched: Unmatched, *, as_json: bool) -> None:
    """Print that nothing was replayed, which keys are in none of the windows, and what to do."""
    error = KeysUnmatched(event, unmatched, replayed=False)
    if as_json:
        refused: list[dict[str, Any]] = RunOutcome(
            event,
            "",
            0.0,
            tuple(WindowOutcome(event.full_name, window.key, "refused") for window in windows),
            (),
            False,
        ).as_json(unmatched)
        click.echo(to_json(refused, indent=2))
    else:
        click.echo(f"Nothing was replayed: {unmatched}.")
    for line in (
        f"{click.style('Error: ', fg='red')}{error.where}: {readable(error.told)}",
        f"  allowed: {error.allowed}",
        f"  next:    {error.next_step}",
    ):
        click.echo(line, err=True)


def require_free(topic: str | None, catalogue: Catalogue, settings: Settings) -> None:
    """Raise SluiceError if the shadow topic is an event's own topic, the ledger or the journal, or
    belongs to another environment."""
    if topic is not None:
        require_shadow_name(topic, settings)
    for event in catalogue.events.values():
        if event.topic == topic:
            raise SluiceError(
                f"--to {topic}",
                f"is the topic of {event.full_name}",
                allowed="a topic that nothing else is published to",
                next_step="leave --to out to replay to the event's own topic, or name another",
            )


def unbroken(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """The windows in groups without a gap: one Dagster run takes a range."""
    found: list[Window] = list(windows[:1])
    for before, window in pairwise(windows):
        if before.end != window.start:
            yield found
            found = []
        found.append(window)
    if found:
        yield found
