"""The code location of this tree: every event under assets/, as Dagster sees it. A team's project has a file of its own."""

import sys
from pathlib import Path

# This file is loaded by path; the three packages have common names, so ours must be found first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.orchestration.definitions.location import load_location

defs = load_location()
