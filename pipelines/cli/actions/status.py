"""The work of `sluice status`."""

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipelines.ledger.entry import LedgerEntry
    from pipelines.ledger.unfinished_windows import Unfinished
from pipelines.authoring.problems import listing
from pipelines.cli.options.events import chosen
from pipelines.cli.output.errors import tell
from pipelines.cli.output.unfinished_windows import tell_unfinished
from pipelines.ledger.event_states import window_state
from pipelines.ledger.listing import not_yet, read_ledger
from pipelines.ledger.unfinished_windows import unfinished
from pipelines.publishing.stored_rows import rows_without_events
from resources.follow_ups import follow_up
from resources.platform import Platform
from resources.wording import counted


def run(event: str | None, as_json: bool) -> None:
    """The command; its help explains the options."""
    meant = None if event is None else chosen(event)
    found = meant.events[0] if meant and meant.named else None
    names = set(meant.names) if meant else None
    with Platform() as platform:
        ledger = read_ledger(platform)
        empty = not_yet(platform)
        behind = unfinished(
            platform.snapshots, platform.snapshots.unfinished_events() if meant is None else meant.names
        )
        entries = [entry for entry in ledger.entries if names is None or entry.event in names]
        # From the ledger alone it is not known whether a window had nothing to publish.
        sourced = {
            entry.key: rows_without_events(platform, entry.event, entry.window, entry.snapshot)
            for entry in entries
            if entry.complete and not entry.rows_total and (found is not None or as_json)
        }
    damaged = [
        (key, error)
        for key, error in ledger.damaged
        if meant is None or key.startswith(tuple(f"{one.topic}|" for one in meant.events))
    ]
    if as_json:
        told = [json.loads(entry.to_json()) | {"no_rows": sourced.get(entry.key) == 0} for entry in entries]
        told += [{"status": one.state, **one.as_json()} for one in behind]
        told += [{"key": key, "status": "damaged", "error": str(error)} for key, error in damaged]
        click.echo(json.dumps(told, indent=2))
    else:
        if entries or (found and behind) or not (damaged or behind):
            _show(entries, found.full_name if found else None, empty, sourced, behind)
            if meant and not meant.named and entries:
                _tell_unpublished(sorted(set(meant.names) - {entry.event for entry in entries}))
        tell_unfinished(behind, published=[(entry.event, entry.window) for entry in entries])
    for _, error in damaged:
        click.echo(err=True)
        tell(error)
    if damaged or (meant and not meant.whole):
        raise SystemExit(1)


def _tell_unpublished(names: "Sequence[str]") -> None:
    """Print the selected events that have no line in the table."""
    if names:
        click.echo(f"\nNot published yet: {listing(names)}.")


def _valid_on(entries: "Sequence[LedgerEntry]") -> "Iterator[str]":
    """Which cluster, store and code location the entries name,
    in short, and how many windows a person accepted something for."""
    for what, field in (
        ("Kafka cluster", "cluster_id"),
        ("snapshot store", "store_id"),
        ("code location", "code_location"),
    ):
        named = sorted({getattr(entry, field) or "not named" for entry in entries})
        yield f"{what}: {', '.join(named[:3])}{', …' if len(named) > 3 else ''}"
    accepted = sum(bool(entry.accepted) for entry in entries)
    if accepted:
        yield f"{counted(accepted, 'window')} with something accepted by a person; --json shows what"


def _status(entry: "LedgerEntry", sourced: "Mapping[str, int | None]") -> str:
    return "no rows" if entry.complete and sourced.get(entry.key) == 0 else window_state(entry)


def _show(
    entries: "Sequence[LedgerEntry]",
    name: str | None,
    empty: str,
    sourced: "Mapping[str, int | None]",
    behind: "Sequence[Unfinished]",
) -> None:
    """Print the table of windows of the event `name`, or of events if it is None; `empty`: the end of the
    sentence if there is nothing to show. `sourced`: how many rows the query returned for windows without
    events, by ledger key. `behind`: the windows whose newest run was blocked or failed."""
    from pipelines.cli.output.tables import table
    from pipelines.ledger.history import generations

    if not entries and not behind:
        click.echo(f"{name or 'Nothing'} {'has not been' if name else 'has been'} published{empty}.")
        return
    if name:
        table(
            ("window", "status", "rows", "of", "generation", "kind", "published at", "run", "reason"),
            [
                (
                    e.window, _status(e, sourced), e.rows_done, e.rows_total, e.generation,
                    e.kind, e.written_at.replace("+00:00", "Z"), e.run_id[:8], e.reason,
                )
                for e in entries
            ]
            + [
                (one.window, one.state, 0, one.rows_in, None, None, one.at.replace("+00:00", "Z"), one.run_id[:8], "")
                for one in behind
                if one.window not in {e.window for e in entries}
            ],
        )  # fmt: skip
        for line in _valid_on(entries) if entries else ():
            click.echo(line)
    else:
        groups: dict[str, list[int]] = {}
        for place, entry in enumerate(entries):
            groups.setdefault(entry.event, []).append(place)
        rows = []
        for full_name, places in groups.items():
            own = [entries[place] for place in places]
            whole = [entry for entry in own if entry.complete]
            rows.append(
                (
                    full_name, len(whole), len(own) - len(whole), min(e.window for e in own), max(e.window for e in own),
                    sum(one.rows_done for e in own for one in generations(e)), sum(e.generation > 1 for e in own),
                    max(e.written_at for e in own).replace("+00:00", "Z"),
                )
            )  # fmt: skip
        table(
            (
                "event",
                "windows",
                "interrupted",
                "first",
                "last",
                "records",
                "republished",
                "last published at",
            ),
            rows,
        )
    broken = [entry for entry in entries if not entry.complete]
    if broken:
        first = broken[0]
        click.echo(
            f"\n{counted(len(broken), 'window')} interrupted: a run stopped between two transactions, or is "
            "publishing now.\nNext: "
            + follow_up(f"sluice publish {first.event} {first.window}   (sends the rest, nothing twice)")
        )
