"""`sluice status`."""

import click


@click.command()
@click.argument("event", required=False, metavar="[SELECTION]")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of windows, for programs.")
def command(event: str | None, as_json: bool) -> None:
    """Show what has been published, by the ledger, and which windows were blocked or failed.

    Without an event, or with a selection: one line per event. With the name of one event: one line per window. The ledger is written in the same
    transaction as the events, so what it says is on the topic. A window that is interrupted has only its first
    rows there; publishing it again sends the rest.

    \b
    Examples:
      sluice status
      sluice status flight_departed
      sluice status 'owner:team:weather and state:late'
      sluice status --json | jq '.[] | select(.status == "publishing")'

    A window whose newest run was blocked or failed is named with the reason and the next command, whether an earlier
    run published it or not. It reads the ledger and what runs noted beside the snapshots (also whether a window without
    records had rows), and changes nothing. Exit code 1 where a record of the ledger cannot be read.
    """
    from pipelines.cli.actions.status import run

    run(event, as_json)
