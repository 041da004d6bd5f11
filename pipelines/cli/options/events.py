"""The events a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipelines.authoring.catalogue import Catalogue
    from pipelines.authoring.event import Event


def catalogue_and_event(name: str) -> tuple[Catalogue, Event]:
    """The event of this name, also while others do not load; raises CatalogueError where it is the one."""
    from pipelines import CatalogueError, load_catalogue
    from resources.settings import load_settings

    try:
        catalogue = load_catalogue(topic_prefix=load_settings().topic_prefix)
    except CatalogueError as error:
        own = [problem for problem in error.problems if _about(problem.file, name)]
        if own:
            # The mistakes of others are theirs to read, in `sluice list`.
            raise CatalogueError(own, error.healthy) from None
        catalogue = error.healthy
    return catalogue, catalogue.find(name)


def _about(file: str, name: str) -> bool:
    module = Path(file).with_suffix("")
    return name in (module.name, f"{module.parent.name}/{module.name}")


def healthy_catalogue() -> tuple[Catalogue, bool]:
    """The events that load, and whether all do; what is wrong with the others is printed to stderr."""
    from pipelines import CatalogueError, load_catalogue
    from pipelines.cli.output.errors import tell
    from resources.settings import load_settings

    try:
        return load_catalogue(topic_prefix=load_settings().topic_prefix), True
    except CatalogueError as error:
        tell(error)
        click.echo(err=True)
        return error.healthy, False


def loaded_events() -> Catalogue:
    """The events that load, without a word about the others."""
    from pipelines import CatalogueError, load_catalogue
    from resources.settings import load_settings

    try:
        return load_catalogue(topic_prefix=load_settings().topic_prefix)
    except CatalogueError as error:
        return error.healthy


def chosen(name: str | None) -> tuple[Catalogue, list[Event], bool]:
    """The named event, or every event that loads; and whether the whole choice could be loaded."""
    if name is not None:
        catalogue, event = catalogue_and_event(name)
        return catalogue, [event], True
    catalogue, whole = healthy_catalogue()
    return catalogue, list(catalogue), whole
