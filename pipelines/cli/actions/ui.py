"""The work of `sluice ui`."""

import os
import sys

import click

from pipelines.cli.actions.up import start_servers
from pipelines.cli.options.events import healthy_catalogue
from pipelines.cli.output.destination import say_destination
from pipelines.orchestration.daemon_cursors import begin_at_newest
from pipelines.orchestration.launch import dagster_instance, limit_warehouses
from pipelines.orchestration.liveness.run_monitoring import monitoring_advice
from pipelines.orchestration.workspace import workspace_file
from pipelines.webserver.authority import parse_hosts
from pipelines.webserver.exposure import exposure_warning
from pipelines.webserver.serving import develop_command
from resources.dev.servers import status
from resources.dev.servers.ports import free_ports
from resources.settings import Settings, load_settings, variable
from resources.wording import counted


def run(port: int, host: str, read_only: bool) -> None:
    """The command; its help explains the options."""
    settings = load_settings()
    parse_hosts(settings.ui_hosts)  # a mistake in it is reported here, not by a child process
    catalogue, whole = healthy_catalogue()  # a mistake in a module is reported here too, in plain words
    if settings.embedded:
        apache = any(server.kind == "apache" for server in status(settings.home))
        start_servers(settings, "apache" if apache else "embedded", sample=True)
    say_destination(load_settings())  # again: the servers that were started have addresses now
    instance = dagster_instance(settings)
    limit_warehouses(instance, catalogue)
    begin_at_newest(instance)
    if advice := monitoring_advice(instance):
        click.echo(f"Runs whose process died are found late: {advice}\n", err=True)
    (free,) = free_ports(1, (port,))
    if free != port:
        click.echo(f"Port {port} is in use; taking {free}.")
    shown = host if host not in ("0.0.0.0", "::") else "localhost"
    click.echo(
        f"Dagster opens on http://{shown}:{free} in a few seconds; {counted(len(catalogue), 'event')}{'' if whole else ' load, the others are shown in error'}. Ctrl-C stops it."
    )
    if warning := exposure_warning(host, read_only):
        click.echo(warning, err=True)
    sys.stdout.flush()
    _pass_home_on(settings)
    # `dagster dev` recommends a different command of Dagster's at every start.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    # If a code server dies, it is started again within seconds: a backfill waits for it, instead of failing.
    os.environ.setdefault("DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR", "1")
    if read_only:
        # `dagster dev` has no such option; its web server reads every option from a variable of this form.
        os.environ["DAGSTER_WEBSERVER_READ_ONLY"] = "true"
    workspace = ["-w", str(workspace_file())]
    child = develop_command([*workspace, "-h", host, "-p", str(free), "--log-level", "warning"])
    os.execv(child[0], child)


def _pass_home_on(settings: Settings) -> None:
    """Make the home absolute that a variable names: the child processes run in another folder. A home from
    elsewhere is that of this project alone, and a workspace may have several: each finds its own."""
    origin = settings.origin("home")
    files = {variable("home_file"), variable("home_file", "")} & os.environ.keys()
    if origin.kind == "variable" or (origin.kind == "file" and files):
        os.environ.pop(variable("home_file"), None)  # a value and a file for it exclude each other
        os.environ[variable("home")] = str(settings.home.resolve())
