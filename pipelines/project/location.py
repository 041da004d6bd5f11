"""What a project's `definitions.py` passes to Dagster."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

# What the user has set, in contrast to what an earlier call in this process has set.
_GIVEN = os.environ.get("SLUICE_TOML")


def definitions(file: str) -> "dg.Definitions":
    """The code location of the project in whose folder `file` is: `defs = definitions(__file__)`.

    The project is found by that folder and not by the working directory: the code server and each run worker
    that Dagster starts load this file, wherever they were started. `SLUICE_TOML` in the environment has
    priority, for settings in another place. Settings that cannot be read are shown as an asset in error.
    """
    os.environ["SLUICE_TOML"] = _GIVEN or str(Path(file).absolute().parent / "sluice.toml")
    from pipelines.orchestration.definitions.location import load_location

    return load_location()
