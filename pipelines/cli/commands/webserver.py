"""`sluice webserver`."""

import click

# Options of Dagster's that say which code locations to load.
_TARGETS = ("-w", "-f", "-m", "--workspace", "--python-file", "--module-name", "--package-name", "--grpc-", "--empty")  # fmt: skip


@click.command(
    context_settings={
        # `-h` is the address, as in `dagster-webserver`.
        "help_option_names": ["--help"],
        "ignore_unknown_options": True,
        "auto_envvar_prefix": "DAGSTER_WEBSERVER",
    }
)
@click.option("-h", "--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("-p", "--port", type=int, default=3000, show_default=True, help="Port to listen on.")
@click.option("--read-only", is_flag=True, help="Refuse launches and every other change.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(host: str, port: int, read_only: bool, options: tuple[str, ...]) -> None:
    """Run Dagster's web server for a server installation: `dagster-webserver` behind Sluice's guard.

    Every other option of `dagster-webserver` is passed on, --path-prefix for one; without -w it loads this
    project's workspace.yaml. The daemon runs beside it: `dagster-daemon run -w workspace.yaml`.

    \b
    Examples:
      sluice webserver -w /srv/sluice/workspace.yaml -h 127.0.0.1 -p 3000
      sluice webserver --read-only -p 3001 --path-prefix /sluice

    The guard never lets a web page of another site launch runs through a user's browser. Under another name than
    localhost or the address it answers only where SLUICE_UI_HOSTS allows that name. It has no login: whoever
    reaches the port can launch runs unless --read-only is given.
    """
    from pipelines.orchestration.home import prepare_home
    from pipelines.webserver.authority import parse_hosts
    from pipelines.webserver.exposure import exposure_warning
    from pipelines.webserver.serving import serve
    from resources.settings import ROOT, load_settings

    settings = load_settings()
    parse_hosts(settings.ui_hosts)
    prepare_home(settings)
    if warning := exposure_warning(host, read_only):
        click.echo(warning, err=True)
    workspace = [] if any(o.startswith(_TARGETS) for o in options) else ["-w", str(ROOT / "workspace.yaml")]
    serve(["-h", host, "-p", str(port), *(["--read-only"] if read_only else []), *workspace, *options])
