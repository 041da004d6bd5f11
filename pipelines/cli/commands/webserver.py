"""`sluice webserver`."""

import click


@click.command(
    # `-h` is the address, as in `dagster-webserver`.
    context_settings={"help_option_names": ["--help"], "ignore_unknown_options": True},
    options_metavar="[OPTIONS of dagster-webserver]",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="")
def command(options: tuple[str, ...]) -> None:
    """Run Dagster's web server for a server installation: `dagster-webserver` behind Sluice's guard.

    It takes every option of `dagster-webserver`. The most used are -h or --host (127.0.0.1), -p or --port (3000),
    -w or --workspace (this project's workspace.yaml), --path-prefix, and --read-only, which refuses launches and every
    other change. The daemon runs beside it: `dagster-daemon run -w workspace.yaml`.

    \b
    Examples:
      sluice webserver -w /srv/sluice/workspace.yaml -h 127.0.0.1 -p 3000
      sluice webserver --read-only -p 3001 --path-prefix /sluice

    The guard never lets a web page of another site launch runs through a user's browser. Under another name than
    localhost or the address it answers only where SLUICE_UI_HOSTS allows that name. It has no login: whoever
    reaches the port can launch runs unless --read-only is given.
    """
    from pipelines.cli.actions.webserver import run

    run(options)
