"""Dagster's home of this project, so that the CLI, the UI and the daemon see the same runs."""

import os
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
run_monitoring:
  enabled: true
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


def prepare_home(settings: Settings) -> Path:
    """Dagster's home: `DAGSTER_HOME` where it is set, else `<home>/dagster`, made ready; exported to children."""
    given = os.environ.get("DAGSTER_HOME")
    home = Path(given) if given else settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not given and not config.exists():
        config.write_text(_DAGSTER_YAML)
    os.environ["DAGSTER_HOME"] = str(home.resolve())
    # A ranged run plans every window of every asset: written one by one, that takes a quarter of a small run's time.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")
    return home
