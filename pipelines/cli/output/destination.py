"""Where a command writes: every command that writes outside development prints it in one line."""

import click

from resources.settings import Settings


def say_destination(settings: Settings) -> None:
    """Print the line to stderr,
    unless the servers are those of `sluice up` and no environment is selected."""
    if settings.environment is not None or not settings.embedded:
        click.echo(settings.destination(), err=True)
