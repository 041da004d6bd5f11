"""The code location of the settings' project, as one process loads it."""

import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import dagster as dg

warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from pipelines.authoring.catalogue import Catalogue, CatalogueError  # noqa: E402
from pipelines.authoring.loading.discovery import load_catalogue  # noqa: E402
from pipelines.orchestration.definitions.broken import broken_parts, told  # noqa: E402
from pipelines.orchestration.definitions.build import build_location  # noqa: E402
from pipelines.orchestration.stored_errors import guard_stored_errors  # noqa: E402
from resources.errors import readable  # noqa: E402
from resources.process.start import begin_process  # noqa: E402
from resources.security.secrets import hide  # noqa: E402
from resources.settings import SettingsError, load_settings  # noqa: E402
from resources.settings.project import ASSETS  # noqa: E402

SETTINGS = "settings"
"""The name of the asset in error for the settings."""


def load_location() -> dg.Definitions:
    """Every event of the project.
    A module that cannot be loaded becomes an asset in error; the others load. If the settings cannot be read,
    every event is an asset in error: its topic, and the jobs, are not known."""
    begin_process()
    guard_stored_errors()
    try:
        settings = load_settings()
    except SettingsError as error:
        return _without_settings(readable(hide(str(error))))
    catalogue, broken = _catalogue(settings.topic_prefix)
    return build_location(catalogue, broken, settings.jobs)


def _catalogue(topic_prefix: str) -> tuple[Catalogue, dict[str, str]]:
    """The events that load, and the text for each event or file that does not."""
    try:
        return load_catalogue(topic_prefix=topic_prefix), {}
    except CatalogueError as error:
        return error.healthy, {name: told(problems) for name, problems in broken_parts(error).items()}


def _without_settings(text: str) -> dg.Definitions:
    """An asset in error for the settings, and one for each event, under the keys that the event has when it
    loads."""
    wrong = {SETTINGS: f"The settings cannot be read, so no event, job or schedule is loaded.\n{text}"}
    catalogue = Catalogue({}, Path(ASSETS))
    with suppress(SettingsError):  # the folder of the events is a setting, too
        catalogue, broken = _catalogue("")
        wrong |= dict.fromkeys(catalogue.events, wrong[SETTINGS]) | broken
    return build_location(replace(catalogue, events={}), wrong)
