"""Instances and runs for the tests of lost runs."""

import atexit
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster import DagsterRunStatus

from pipelines import load_catalogue
from pipelines.authoring.catalogue import Catalogue
from pipelines.orchestration.control import OF_A_TERMINAL
from pipelines.orchestration.definitions.build import build_definitions
from pipelines.orchestration.keys import STAGES, asset_key

WINDOW = "2013-01-01"
PLAIN = """\
telemetry: {enabled: false}
compute_logs: {module: dagster._core.storage.noop_compute_log_manager, class: NoOpComputeLogManager}
concurrency: {pools: {granularity: op, default_limit: 1}}
run_retries: {enabled: true, max_retries: 2, retry_on_asset_or_op_failure: false}
"""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@cache
def _fresh_home() -> tempfile.TemporaryDirectory[str]:
    """Dagster's tables, created only once, because that takes seconds."""
    folder = tempfile.TemporaryDirectory()
    (Path(folder.name) / "dagster.yaml").write_text(PLAIN)
    with dg.DagsterInstance.from_config(folder.name) as made:
        made.get_runs(limit=1)
        made.event_log_storage.get_maximum_record_id()
    atexit.register(folder.cleanup)
    return folder


def an_instance(folder: Path, more: str = "") -> dg.DagsterInstance:
    """`more`: further lines of its dagster.yaml."""
    shutil.copytree(_fresh_home().name, folder)
    (folder / "dagster.yaml").write_text(PLAIN + more)
    return dg.DagsterInstance.from_config(str(folder))


def plain_instance(folder: Path, more: str) -> dg.DagsterInstance:
    """An instance with the storage that `more` names."""
    folder.mkdir()
    (folder / "dagster.yaml").write_text(PLAIN + more)
    return dg.DagsterInstance.from_config(str(folder))


@cache
def _job_of_an_event() -> tuple[Any, tuple[dg.AssetKey, ...]]:
    catalogue = load_catalogue()
    event = catalogue.find("flight_departed")
    definitions = build_definitions(Catalogue({event.full_name: event}, catalogue.assets_root))
    keys = tuple(asset_key(event, stage) for stage in STAGES)
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.get_subset(asset_selection=set(keys)), keys


@dg.op
def _of_somebody_else() -> None: ...


@dg.job
def somebody_elses() -> None:
    _of_somebody_else()


def a_run(
    instance: dg.DagsterInstance,
    *,
    status: DagsterRunStatus = DagsterRunStatus.STARTED,
    terminal: bool = False,
    tags: Mapping[str, str] | None = None,
) -> dg.DagsterRun:
    """A run of an event, as the UI or a terminal creates it."""
    job, keys = _job_of_an_event()
    more = {**OF_A_TERMINAL, "dagster/max_retries": "0"} if terminal else {}
    return instance.create_run_for_job(
        job,
        run_id=str(uuid4()),
        asset_selection=set(keys),
        status=status,
        tags={"dagster/partition": WINDOW, **more, **(tags or {})},
    )


def another_projects_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.create_run_for_job(somebody_elses, run_id=str(uuid4()), status=DagsterRunStatus.STARTED)


def beat(instance: dg.DagsterInstance, run: dg.DagsterRun, count: int, **lock: Any) -> None:
    """A heartbeat as the run's process writes it; `lock`: its mark."""
    told = {"beat": count, **({"lock": lock} if lock else {})}
    instance.daemon_cursor_storage.set_cursor_values({f"sluice/alive/{run.run_id}": json.dumps(told)})


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status.value


def statuses(instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun]) -> list[str]:
    return [status_of(instance, run) for run in runs]
