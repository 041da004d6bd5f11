"""Ledger entries that are rewritten because a person decides so:
listed, confirmed, and rewritten one by one."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import click

from pipelines.cli.output.destination import say_destination
from pipelines.cli.output.errors import tell, when_stopped
from pipelines.cli.output.tables import progress, table
from pipelines.cli.output.values import to_json
from pipelines.journal.decisions import record_acceptance
from pipelines.ledger.acceptance import Change, Rewrite, accepting, adopting, rewrite, wanted
from pipelines.ledger.entry import LedgerEntry, now
from pipelines.ledger.identity import PARTS, Decision, Part
from pipelines.ledger.listing import Ledger, read_ledger
from pipelines.orchestration.launch import dagster_instance
from pipelines.orchestration.place import PLACES, accept_place, place_changes
from resources.errors import SluiceError
from resources.follow_ups import follow_up
from resources.identity import this_user
from resources.platform import Platform

_SHOWN = 20


@dataclass(frozen=True)
class Asked:
    """What is accepted (None: entries are adopted), for which windows of an event, or for all."""

    part: Part | None
    event: str | None
    windows: str | None
    everything: bool
    requested_by: str | None
    reason: str


def run(asked: Asked, *, yes: bool, as_json: bool) -> None:
    """The command. Raises SystemExit(1) if windows could not be rewritten or nobody has confirmed."""
    if bool(asked.event) == asked.everything:
        raise click.UsageError("name an event, or --all")
    with Platform() as platform:
        say_destination(platform.settings)
        platform.snapshots.store_id(make=True)
        ledger = read_ledger(platform)
        chosen = _chosen(asked, ledger)
        word = Decision(asked.requested_by or this_user(), now(), asked.reason)
        change = accepting(platform, asked.part, word) if asked.part else adopting(platform)
        found = list(wanted(chosen, change))
        if not as_json:
            _list(asked, found, len(chosen))
        # Runs of this Dagster instance are refused in another place:
        # a decision about everything includes that place too.
        part = asked.part if asked.everything else None
        with ExitStack() as opened:
            instance = opened.enter_context(dagster_instance(platform.settings)) if part else None
            places = place_changes(instance, platform, part) if instance and part else {}
            if not as_json:
                _list_places(places)
            if (found or places) and not _confirmed(len(found), yes=yes):
                raise SystemExit(1)
            if asked.part:
                record_acceptance(platform.settings, asked.part, found, word)
            done, failed = _rewritten(found, platform, change)
            if instance and part and places:
                accept_place(instance, platform, part)
    if as_json:
        click.echo(to_json([_told(asked, one) for one in done], indent=2))
    elif found:
        click.echo(f"\n{len(done):,} of {len(found):,} entries rewritten.")
    if failed:
        raise SystemExit(1)


def _chosen(asked: Asked, ledger: Ledger) -> list[LedgerEntry]:
    """The entries that are meant:
    by the event's current or earlier name, or by its topic. Raises SluiceError."""
    for _, error in ledger.damaged:
        tell(error)
    if asked.everything:
        return list(ledger.entries)
    from pipelines.cli.options.events import catalogue_and_event, chosen, single_name

    text = asked.event or ""
    name = single_name(text)
    if name is None:
        meant = chosen(text)
        if not meant.whole:
            raise SystemExit(1)
        keys = {
            one.topic: None if asked.windows is None else {w.key for w in meant.windows(one, asked.windows)}
            for one in meant.events
        }
        topics = [
            (entry, entry.topic if entry.topic in keys else entry.shadow_of) for entry in ledger.entries
        ]
        return [entry for entry, topic in topics if topic in keys and _is_one_of(entry.window, keys[topic])]
    own = [
        entry
        for entry in ledger.entries
        if name in (entry.event, entry.event.rpartition("/")[2], entry.topic, entry.shadow_of)
    ]
    if not own:
        raise SluiceError(
            f"event {name!r}",
            "the ledger has no entry of it",
            allowed=", ".join(sorted({entry.event for entry in ledger.entries})) or "none",
        )
    if asked.windows is None:
        return own
    named = {window.key for window in catalogue_and_event(name)[1].windows.parse(asked.windows)}
    return [entry for entry in own if entry.window in named]


def _is_one_of(window: str, keys: set[str] | None) -> bool:
    return keys is None or window in keys


def _list(asked: Asked, found: Sequence[Rewrite], looked_at: int) -> None:
    if not found:
        click.echo(f"Nothing to change: of {looked_at:,} entries all name what is there now.")
        return
    if asked.part is None:
        head = ("event", "window", "generation", *(field for field, _, _ in PARTS.values()))
        rows = [
            (one.after.event, one.after.window, one.after.generation, *_ids(one.after))
            for one in found[:_SHOWN]
        ]
    else:
        what = PARTS[asked.part][1]
        head = ("event", "window", "generation", f"{what} in the ledger", "accepted in its place")
        rows = [
            (one.before.event, one.before.window, one.before.generation, *one.ids(asked.part))
            for one in found[:_SHOWN]
        ]
    table(head, rows)
    if len(found) > _SHOWN:
        click.echo(f"and {len(found) - _SHOWN:,} more")
    dropped = sum(bool(one.before.offsets) and not one.after.offsets for one in found)
    if dropped:
        click.echo(
            follow_up(
                f"\nThe offsets of {dropped:,} entries are dropped: they are those of the former topic, and `sluice verify` "
                "will say of what was published before that it is not known."
            )
        )


def _list_places(places: Mapping[str, tuple[object, object]]) -> None:
    for name, (was, found) in places.items():
        if name in PLACES:
            click.echo(
                f"Runs of this Dagster publish with {PLACES[name]} {was}; accepted in its place: {found}."
            )


def _ids(entry: LedgerEntry) -> list[str | None]:
    return [getattr(entry, field) for field, _, _ in PARTS.values()]


def _confirmed(count: int, *, yes: bool) -> bool:
    if yes:
        return True
    if sys.stdin.isatty():
        if count:
            click.echo("A run that publishes one of these windows now is ended.")
        return click.confirm(f"Rewrite {count:,} ledger entries?", default=False)
    click.echo("Nothing was changed. Add --yes to rewrite them.", err=True)
    return False


def _rewritten(
    found: Sequence[Rewrite], platform: Platform, change: Change
) -> tuple[list[Rewrite], list[SluiceError]]:
    done: list[Rewrite] = []
    failed: list[SluiceError] = []
    with (
        when_stopped(lambda: f"Stopped after {len(done):,} entries; the same command rewrites the rest."),
        progress("ledger", len(found)) as bar,
    ):
        for number, one in enumerate(found, start=1):
            try:
                made = rewrite(platform, one.before.key, change)
            except SluiceError as error:
                tell(error)
                failed.append(error)
                continue
            if made is not None:
                done.append(made)
            bar.at(number, one.before.window)
    return done, failed


def _told(asked: Asked, one: Rewrite) -> dict[str, object]:
    part = {} if asked.part is None else dict(zip(("was", "now"), one.ids(asked.part), strict=True))
    entry = asdict(one.after)
    names = ("event", "topic", "window", "generation", *(field for field, _, _ in PARTS.values()))
    return {**{name: entry[name] for name in names}, **part}
