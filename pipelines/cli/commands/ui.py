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
    import os
    import sys

    from pipelines.cli.choosing import healthy_catalogue
    from pipelines.cli.servers import start_servers
    from pipelines.orchestration.launch import dagster_instance, limit_warehouses
    from pipelines.webserver.authority import parse_hosts
    from pipelines.webserver.exposure import exposure_warning
    from pipelines.webserver.serving import develop_command
    from resources.servers import status
    from resources.servers.ports import free_ports
    from resources.settings import ROOT, load_settings

    settings = load_settings()
    parse_hosts(settings.ui_hosts)  # a mistake in it is reported here, not by a child
    catalogue, whole = healthy_catalogue()  # a mistake in a module is said here too, plainly
    if settings.embedded:
        apache = any(server.kind == "apache" for server in status(settings.home))
        start_servers(settings, "apache" if apache else "embedded", sample=True)
    limit_warehouses(dagster_instance(settings), catalogue)
    (free,) = free_ports(1, (port,))
    if free != port:
        click.echo(f"Port {port} is in use; taking {free}.")
    shown = host if host not in ("0.0.0.0", "::") else "localhost"
    click.echo(
        f"Dagster opens on http://{shown}:{free} in a few seconds; {len(catalogue)} events{'' if whole else ' load, the others are shown in error'}. Ctrl-C stops it."
    )
    if warning := exposure_warning(host, read_only):
        click.echo(warning, err=True)
    sys.stdout.flush()
    # Children run elsewhere, so a relative home must not be read there again.
    os.environ["SLUICE_HOME"] = str(settings.home.resolve())
    # `dagster dev` recommends another command of Dagster's own at every start.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    if read_only:
        # `dagster dev` has no such option; its web server reads every option from a variable of this form.
        os.environ["DAGSTER_WEBSERVER_READ_ONLY"] = "true"
    workspace = ["-w", str(ROOT / "workspace.yaml")]
    child = develop_command([*workspace, "-h", host, "-p", str(free), "--log-level", "warning"])
    os.execv(child[0], child)
