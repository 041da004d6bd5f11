"""`sluice list`."""

import click


@click.command(name="list")
@click.argument("selection", required=False, metavar="[SELECTION]")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def command(selection: str | None, as_json: bool) -> None:
    """List every event found under assets/, or those of a selection.

    Reads the modules and contracts only: no warehouse, no Kafka. What is wrong with an event is listed first,
    the events without a mistake below, and the exit code is 1.

    \b
    Examples:
      sluice list
      sluice list --json | jq -r '.[].topic'
      sluice list 'owner:team:weather and not tag:experimental'
      sluice list state:late

    docs/selections.md has the whole language. With state: the ledger is read too.

    It never runs a query or a transform.
    """
    from pipelines.cli.actions.list import run

    run(selection, as_json)
