"""`sluice resume`."""

import click


@click.command()
@click.argument("run_or_event", metavar="RUN|SELECTION")
def command(run_or_event: str) -> None:
    """Let a publication that was paused go on where it stands.

    RUN is the id of a run or its first characters; the name of an event, or a selection, means every paused run of these
    events.

    \b
    Examples:
      sluice resume flight_departed
      sluice resume 1a2b3c4d
      sluice resume 'flights/*'

    It never lifts a limit: a run whose consumers are too far behind goes on waiting for them.
    """
    from pipelines.cli.actions.resume import run

    run(run_or_event)
