"""The work of `sluice down`."""

import click

from pipelines.cli.output.errors import when_stopped
from resources.dev.servers import down
from resources.settings import load_settings


def run() -> None:
    """The command."""
    home = load_settings().home
    with when_stopped(lambda: "Stopped before every server was down; run `sluice down` again."):
        stopped = down(home, progress=lambda told: click.echo(f"  {told}", err=True))
    if not stopped:
        click.echo("No server of this home was running.")
        return
    click.echo(
        f"Stopped {' and '.join(f'{one.kind} {one.role}' for one in stopped)}. Their data stay in {home}."
    )
