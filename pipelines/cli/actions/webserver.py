"""The work of `sluice webserver`."""

import click

from pipelines.cli.output.destination import say_destination
from pipelines.orchestration.home import prepare_home
from pipelines.orchestration.workspace import workspace_file
from pipelines.webserver.authority import parse_hosts
from pipelines.webserver.exposure import exposure_warning
from pipelines.webserver.serving import parsed, serve
from resources.settings import load_settings


def run(options: tuple[str, ...]) -> None:
    """The command; its help explains the options."""
    settings = load_settings()
    parse_hosts(settings.ui_hosts)
    asked = parsed(options)
    prepare_home(settings)
    say_destination(settings)
    if warning := exposure_warning(asked.host, asked.read_only):
        click.echo(warning, err=True)
    serve(options if asked.names_code else ["-w", str(workspace_file()), *options])
