"""`sluice init`."""

from pathlib import Path

import click


def _folder(ctx: click.Context, parameter: click.Parameter, name: str) -> Path:
    # As a path, an empty name would be the folder in which the command runs.
    if not name.strip():
        raise click.BadParameter("it is empty; for this folder: sluice init .", ctx, parameter)
    return Path(name)


@click.command()
@click.argument("folder", metavar="DIR", callback=_folder)
def command(folder: Path) -> None:
    """Start a project: a repository for the events of a team, which installs Sluice as a package.

    It writes a few files: a folder for the events, settings, what Dagster loads, a test that runs on every event, a
    Makefile, an example of a CI. In a folder that is there already it writes the files that are missing.

    \b
    Examples:
      sluice init ../shop-events
      sluice init .

    A project is found from each of its subfolders by its sluice.toml, or from anywhere if SLUICE_TOML names that file.

    It never overwrites a file.
    """
    from pipelines.cli.actions.init import run

    run(folder)
