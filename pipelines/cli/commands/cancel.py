"""`sluice cancel`."""

import click


@click.command()
@click.argument("run_or_event", metavar="RUN|SELECTION")
def command(run_or_event: str) -> None:
    """End a publication at its next chunk boundary.

    RUN is the id of a run or its first characters; the name of an event, or a selection, means every run of these events
    under way now. What is committed stays, and the ledger says how far it is: publishing the windows again sends the rest.

    \b
    Examples:
      sluice cancel flight_departed
      sluice cancel 1a2b3c4d
      sluice cancel 'flights/*'

    It never takes back an event that is on the topic, and never leaves a transaction open.
    """
    from pipelines.cli.actions.cancel import run

    run(run_or_event)
