"""`sluice ui`."""

import click


@click.command()
@click.option(
    "--port", type=int, default=3000, show_default=True, help="A free one is taken where this is in use."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--read-only", is_flag=True, help="Refuse launches and every other change from the web pages.")
def command(port: int, host: str, read_only: bool) -> None:
    """Open Dagster's web server and daemon on this project: assets, runs, backfills, schedules.

    It shows the runs that the command line made, and the command line sees what is launched there. The embedded
    servers of `sluice up` are started again if they were used and do not run. Ctrl-C stops it; the data stay.

    \b
    Examples:
      sluice ui
      sluice ui --port 3001
      sluice ui --read-only

    It has no login of its own: whoever reaches the port can launch runs, so it listens on this machine only
    unless --host says otherwise. Web pages of other sites can never launch runs through your browser. Under another
    name than localhost or the address it answers only where SLUICE_UI_HOSTS allows that name. With --read-only
    the daemon's schedules and the command line still launch runs.
    """
    from pipelines.cli.actions.ui import run

    run(port, host, read_only)
