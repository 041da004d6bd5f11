"""`sluice pause`."""

import click


@click.command()
@click.argument("run_or_event", metavar="RUN|SELECTION")
def command(run_or_event: str) -> None:
    """Hold a publication back at its next chunk boundary, until `sluice resume`.

    RUN is the id of a run, as `sluice publish` and the UI show it, or its first characters. The name of an
    event, or a selection, means every run of these events under way now, whoever launched it: a terminal, the UI, a backfill, a schedule. It works from
    every machine that shares Dagster's storage.

    \b
    Examples:
      sluice pause flight_departed
      sluice pause 1a2b3c4d
      sluice pause 'flights/*'

    A paused run has no transaction open: consumers read everything that is committed. It keeps its place in its
    pools, so later windows of the event never overtake it. Runs that begin later are not paused.
    """
    from pipelines.cli.actions.pause import run

    run(run_or_event)
