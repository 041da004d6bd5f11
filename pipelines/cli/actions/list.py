"""The work of `sluice list`."""

import json
from collections.abc import Sequence

import click

from pipelines.authoring.event import Event
from pipelines.cli.options.events import chosen
from pipelines.cli.output.samples import samples_note
from pipelines.cli.output.tables import table
from resources.follow_ups import follow_up
from resources.wording import counted


def run(selection: str | None, as_json: bool) -> None:
    """The command; its help explains the options."""
    found = chosen(selection)
    events = sorted(found.events, key=lambda event: event.full_name)
    if as_json:
        click.echo(json.dumps([_json(event) for event in events], indent=2))
    elif events:
        _table(events)
        click.echo(f"\n{counted(len(events), 'event')}. Next: {follow_up(f'sluice check {events[0].name}')}")
    elif found.whole:
        click.echo(
            f"There is no event under {found.catalogue.assets_root}. "
            + follow_up("Next: sluice new my_event --table my_table")
        )
    left_out = found.catalogue.samples_left_out if selection is None else ()
    if not as_json and (note := samples_note(left_out)):
        click.echo(note)
    if not found.whole:
        raise SystemExit(1)


def _table(events: Sequence[Event]) -> None:
    columns: dict[str, list[str]] = {
        "domain": [e.domain for e in events],
        "event": [e.name for e in events],
        "topic": [e.topic for e in events],
        "key": [e.key for e in events],
        "windows": [e.windows.cadence for e in events],
        "owner": [e.owner for e in events],
        "tags": [", ".join(map(str, e.tags)) for e in events],
        "consumers": [", ".join(e.consumers) for e in events],
        "promise": [str(e.promise) for e in events],
        "topic settings": [str(e.topic_settings) for e in events],
    }
    # A column is left out if it is empty for every event.
    shown = {name: [value or "-" for value in values] for name, values in columns.items() if any(values)}
    table(list(shown), list(zip(*shown.values(), strict=True)))


def _json(event: Event) -> dict[str, object]:
    promise, settings = event.promise, event.topic_settings
    return {
        "domain": event.domain,
        "event": event.name,
        "topic": event.topic,
        "key": event.key,
        "windows": event.windows.cadence,
        "owner": event.owner,
        "tags": dict(event.tags),
        "consumers": list(event.consumers),
        "promise": {
            "fresh_within_seconds": promise.fresh_within and int(promise.fresh_within.total_seconds()),
            "rows": promise.rows and list(promise.rows),
            "complete_since": promise.complete_since and promise.complete_since.isoformat(),
        },
        "topic_settings": {"partitions": settings.partitions, "config": settings.config},
    }
