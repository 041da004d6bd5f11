"""The run launcher, under the name that `dagster.yaml` has for it.

An operator writes this name into a file of the installation, so the name must stay, even if the code behind
it moves.
"""

from pipelines.orchestration.liveness.launcher import SluiceRunLauncher

__all__ = ["SluiceRunLauncher"]
