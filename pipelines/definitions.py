"""The code location of this tree: every event under assets/, for Dagster.
A team's project has a file of its own."""

import sys
from pathlib import Path

# Dagster loads this file by its path.
# The names of the three packages are common, so ours must be found first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.orchestration.definitions.location import load_location

defs = load_location()
