"""`sluice ui`."""

import click


@click.command()
@click.option(
    "--port", type=int, default=3000, show_default=True, help="A free one is taken where this is in use."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def command(port: int, host: str) -> None:
    """Open Dagster's web server and daemon on this project: assets, runs, backfills, schedules.

    It shows the runs that the command line made, and the command line sees what is launched there. The embedded
    servers of `sluice up` are started again if they were used and do not run. Ctrl-C stops it; the data stay.

    \b
    Examples:
      sluice ui
      sluice ui --port 3001

    It has no login of its own: whoever reaches the port can launch runs, so it listens on this machine only
    unless --host says otherwise.
    """
    import os
    import sys

    from pipelines.cli.choosing import healthy_catalogue
    from pipelines.cli.servers import start_servers
    from pipelines.orchestration.launch import dagster_instance, limit_warehouses
    from resources.servers import status
    from resources.servers.ports import free_ports
    from resources.settings import ROOT, load_settings

    settings = load_settings()
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
    sys.stdout.flush()
    # Children run elsewhere, so a relative home must not be read there again.
    os.environ["SLUICE_HOME"] = str(settings.home.resolve())
    # `dagster dev` recommends another command of Dagster's own at every start.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    arguments = ["-m", "dagster", "dev", "-w", str(ROOT / "workspace.yaml"), "-h", host, "-p", str(free)]
    os.execv(sys.executable, [sys.executable, *arguments, "--log-level", "warning"])
