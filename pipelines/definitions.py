"""The code location: every event under assets/, as Dagster sees it."""

import sys
import warnings
from contextlib import suppress
from pathlib import Path

# This file is loaded by path; the three packages have common names, so ours must be found first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import dagster as dg

warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from pipelines import CatalogueError, load_catalogue  # noqa: E402
from pipelines.orchestration.definitions.broken import broken_parts, told  # noqa: E402
from pipelines.orchestration.definitions.build import build_location  # noqa: E402
from pipelines.orchestration.stored_errors import guard_stored_errors  # noqa: E402
from resources.process.start import begin_process  # noqa: E402
from resources.settings import SettingsError, load_settings  # noqa: E402

begin_process()
guard_stored_errors()

prefix = ""
with suppress(SettingsError):  # each run says what is wrong with its settings
    prefix = load_settings().topic_prefix
try:
    catalogue, broken = load_catalogue(topic_prefix=prefix), {}
except CatalogueError as error:
    catalogue = error.healthy
    broken = {name: told(problems) for name, problems in broken_parts(error).items()}
defs = build_location(catalogue, broken)
