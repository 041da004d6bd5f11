"""The workspace file of this project, and how Dagster's processes find the project."""

import os
from pathlib import Path

from resources.errors import SluiceError
from resources.settings import ROOT, find_project


def workspace_file() -> Path:
    """`workspace.yaml` of the project. Sets this process's environment so that child processes find the
    project.

    The `definitions.py` of a team's project finds its project by its own location, so that a workspace may
    hold the code locations of several projects; only what the user has set is passed on to it. Raises
    SluiceError if the file is missing.
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
