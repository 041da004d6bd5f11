"""`sluice history`."""

import click

_LAST = 50


@click.command()
@click.argument("event", metavar="SELECTION")
@click.option("--since", metavar="WHEN", help="Only what happened at or after this day or instant, UTC.")
@click.option(
    "--last",
    type=click.IntRange(1),
    default=_LAST,
    show_default=True,
    metavar="N",
    help="At most the last N lines.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(event: str, since: str | None, last: int, as_json: bool) -> None:
    """Show what happened to an event, in order of time: from its first check to its first consumption.

    It reads the ledger (windows that were published, corrected, replayed or redriven) and the journal (checked, registered,
    promoted, accepted, waived, revealed, retired, first consumption). Windows that were published together are one line.
    SELECTION is of one event: its name, its topic (the module may be gone), or a selection that matches one. Git is not
    read: when an event was asked for, and its first commit, are not shown.

    \b
    Examples:
      sluice history flight_departed
      sluice history flights.flight-departed.v1 --since 2024-03-01
      sluice history flight_departed --json | jq '.happenings[] | select(.what == "replay")'

    The ledger keeps who asked for a generation, and why, only as long as it is the newest of its window. It changes
    nothing. Exit code 1 where a record of the ledger cannot be read.
    """
    from pipelines.cli.actions.history import run

    run(event, since, last, as_json=as_json)
