"""The work of `sluice list`."""

import json

import click

from pipelines.cli.options.events import healthy_catalogue
from pipelines.cli.output.tables import table
from resources.wording import counted


def run(as_json: bool) -> None:
    """The command; its options are told by its help."""
    catalogue, whole = healthy_catalogue()
    events = sorted(catalogue.events.values(), key=lambda event: event.full_name)
    columns = ("domain", "event", "topic", "key", "windows", "owner")
    rows = [(e.domain, e.name, e.topic, e.key, e.windows.cadence, e.owner) for e in events]
    if as_json:
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2))
    elif rows:
        table(columns, rows)
        click.echo(f"\n{counted(len(rows), 'event')}. Next: sluice check {events[0].name}")
    elif whole:
        click.echo(
            f"There is no event under {catalogue.assets_root}. Next: sluice new my_event --table my_table"
        )
    if not whole:
        raise SystemExit(1)
