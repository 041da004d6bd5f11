"""`sluice list`."""

import json

import click


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def command(as_json: bool) -> None:
    """List every event found under assets/.

    Reads the modules and contracts only: no warehouse, no Kafka. What is wrong with an event is listed first,
    the events without a mistake below, and the exit code is 1.

    \b
    Examples:
      sluice list
      sluice list --json | jq -r '.[].topic'

    It never runs a query or a transform.
    """
    from pipelines.cli.choosing import healthy_catalogue
    from pipelines.cli.screen import table

    catalogue, whole = healthy_catalogue()
    events = sorted(catalogue.events.values(), key=lambda event: event.full_name)
    columns = ("domain", "event", "topic", "key", "windows", "owner")
    rows = [(e.domain, e.name, e.topic, e.key, e.windows.cadence, e.owner) for e in events]
    if as_json:
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2))
    elif rows:
        table(columns, rows)
        click.echo(f"\n{len(rows)} event{'s' * (len(rows) != 1)}. Next: sluice check {events[0].name}")
    elif whole:
        click.echo(
            f"There is no event under {catalogue.assets_root}. Next: sluice new my_event --table my_table"
        )
    if not whole:
        raise SystemExit(1)
