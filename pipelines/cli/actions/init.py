"""The work of `sluice init`."""

import shlex
from pathlib import Path

import click

from pipelines.project.start import start_project


def run(folder: Path) -> None:
    """The command; its help explains the argument."""
    started = start_project(folder)
    for name in started.written:
        click.echo(f"  wrote  {folder / name}")
    for name in started.kept:
        click.echo(f"  kept   {folder / name} (it was there already)")
    if not started.written:
        click.echo("\nNothing was written: the project is complete.")
        return
    if Path("requirements.txt") in started.written and started.requirement_is_local:
        click.echo(
            f"\nrequirements.txt installs {started.requirement}, which other machines do not have. Before others use the "
            "project, name a wheel, an index or a repository that they can reach."
        )
    click.echo("\nNext:")
    click.echo(f"  cd {shlex.quote(str(folder))}")
    click.echo("  make setup                 a virtual environment with Sluice")
    click.echo("  sluice up                  an embedded broker and registry, and a sample warehouse")
    click.echo("  sluice new EVENT --domain DOMAIN --table TABLE")
