"""The code location: every event under assets/, as Dagster sees it."""

import sys
import warnings
from pathlib import Path

# This file is loaded by path; the three packages have common names, so ours must be found first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import dagster as dg

warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from pipelines import load_catalogue  # noqa: E402
from pipelines.orchestration.build import build_definitions  # noqa: E402

defs = build_definitions(load_catalogue())
