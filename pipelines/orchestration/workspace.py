"""The workspace file of this project, and the project as Dagster's processes find it."""

import os
from pathlib import Path

from resources.errors import SluiceError
from resources.settings import ROOT, find_project


def workspace_file() -> Path:
    """`workspace.yaml` of the project. Makes this process's environment name the project to what it starts.

    The `definitions.py` of a team's project knows its project by its own place, so that a workspace may hold the code
    locations of several projects; only what the user has set is passed on to it. Raises SluiceError where there is no file.
    """
    project = find_project()
    if "SLUICE_TOML" in os.environ or project.root == ROOT:
        os.environ.update(project.environment())
    file = project.root / "workspace.yaml"
    if not file.is_file():
        raise SluiceError(
            str(file),
            "there is no such file, and Dagster loads what it names",
            next_step=f"`sluice init {project.root}` writes the files that a project lacks, or change to your project's folder",
        )
    return file
