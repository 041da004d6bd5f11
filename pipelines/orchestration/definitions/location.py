"""The code location of the settings' project, as one process loads it."""

import warnings
from contextlib import suppress

import dagster as dg

warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from pipelines.authoring.catalogue import CatalogueError  # noqa: E402
from pipelines.authoring.loading.discovery import load_catalogue  # noqa: E402
from pipelines.orchestration.definitions.broken import broken_parts, told  # noqa: E402
from pipelines.orchestration.definitions.build import build_location  # noqa: E402
from pipelines.orchestration.stored_errors import guard_stored_errors  # noqa: E402
from resources.process.start import begin_process  # noqa: E402
from resources.settings import SettingsError, load_settings  # noqa: E402
from resources.settings.jobs import JobSetting  # noqa: E402


def load_location() -> dg.Definitions:
    """Every event of the project.
    A module that cannot be loaded becomes an asset in error; the others load."""
    begin_process()
    guard_stored_errors()
    prefix = ""
    jobs: tuple[JobSetting, ...] = ()
    with suppress(SettingsError):  # each run reports what is wrong with its settings
        settings = load_settings()
        prefix, jobs = settings.topic_prefix, settings.jobs
    try:
        return build_location(load_catalogue(topic_prefix=prefix), {}, jobs)
    except CatalogueError as error:
        broken = {name: told(problems) for name, problems in broken_parts(error).items()}
        return build_location(error.healthy, broken, jobs)
