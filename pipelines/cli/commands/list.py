"""`sluice list`."""

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
    from pipelines.cli.actions.list import run

    run(as_json)
