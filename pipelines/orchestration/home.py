"""Dagster's home of this project, so that the CLI, the UI and the daemon see the same runs."""

import os
from hashlib import sha256
from pathlib import Path

from resources.settings import Settings

_DAGSTER_YAML = """\
# Written once by Sluice; yours to change (docs/operating.md).
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 4
  pools:
    # A slot is held by a step, not by a whole run; one publisher per topic unless a pool says otherwise.
    granularity: op
    default_limit: 1
# Dagster's own launcher, made to know the heartbeats of runs: a run whose process died is found whoever launched it.
run_launcher:
  module: pipelines.orchestration.launcher
  class: SluiceRunLauncher
run_monitoring:
  enabled: true
  poll_interval_seconds: 20
  # A run that was killed gives its place in a pool back.
  free_slots_after_run_end_seconds: 30
nux:
  enabled: false
# A worker that was killed comes back; a step that failed has its own, finer rule (retries for passing faults).
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
"""

# Hashes of the files that earlier versions wrote. Such a file is replaced if nobody has changed it.
_WRITTEN_BEFORE = {
    "d4309e852e4ec133617137dc8622d0f3d18e5286cc4f25b5b6fd257393d276cd",
    "79e4446a7f39a06ded035cbce2899c66dd2b31f6b9a2a05e52500bd441aeffa3",
}


def prepare_home(settings: Settings) -> Path:
    """Dagster's home: `DAGSTER_HOME` if it is set, otherwise `<home>/dagster`. The folder is prepared, and
    the variable is set for child processes."""
    given = os.environ.get("DAGSTER_HOME")
    home = Path(given) if given else settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not given and (not config.exists() or _is_of_a_version_before(config)):
        # Written completely or not at all: another process may read the file at this moment.
        new = config.with_name(f".dagster.yaml.{os.getpid()}")
        new.write_text(_DAGSTER_YAML)
        new.replace(config)
    os.environ["DAGSTER_HOME"] = str(home.resolve())
    # A ranged run plans every window of every asset.
    # To write these events one by one takes a quarter of a small run's time.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")
    return home


def _is_of_a_version_before(config: Path) -> bool:
    return sha256(config.read_bytes()).hexdigest() in _WRITTEN_BEFORE
