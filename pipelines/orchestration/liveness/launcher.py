"""A run launcher that knows the heartbeats of Sluice's runs.

Dagster's run monitoring asks the launcher about every run that has begun. A launcher of containers knows
nothing about a run of a terminal, so Dagster marks that run as failed while it publishes. Dagster's default
launcher cannot be asked at all, so a run whose host died stays "started" for ever. The heartbeat solves both.
"""

import json
import time
from collections.abc import Mapping
from typing import Any, Self, cast

import dagster as dg

from pipelines.dagster_private import (
    CheckRunHealthResult,
    ConfigurableClass,
    ConfigurableClassData,
    DefaultRunLauncher,
    ResumeRunContext,
    RunLauncher,
    WorkerStatus,
    instance_of,
)
from pipelines.orchestration.control import is_of_a_terminal
from pipelines.orchestration.liveness.code_server import revive_server
from pipelines.orchestration.liveness.heartbeat import beats_of
from pipelines.orchestration.liveness.lost_runs import PATIENCE_SECONDS, LostRuns, end_run

MODULE_IN_DAGSTER_YAML = "pipelines.orchestration.launcher"
"""The module under which an operator's `dagster.yaml` names the launcher."""

# Two missing heartbeats. Together with the launcher's answer that is enough.
_MISSED_SECONDS = 30.0
# For this long the sensor has time to end a run whose process is known to be gone.
_SENSOR_SECONDS = 100.0


class SluiceRunLauncher(RunLauncher[Any], ConfigurableClass):
    """In `dagster.yaml` this launcher is put around the launcher that starts the runs (`launcher`; if it is
    left out, Dagster's default one).

    The result is that launcher itself, with a class of its own: it answers for runs with a heartbeat, ends a
    run of a terminal cleanly, and does everything else as before.
    """

    @classmethod
    def config_type(cls) -> Any:
        return {
            "launcher": dg.Field(
                {
                    "module": str,
                    "class": str,
                    "config": dg.Field(dict, is_required=False),
                },
                is_required=False,
                description="The launcher that starts the runs, as it would stand under run_launcher.",
            )
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        del inst_data  # the launcher inside has its own
        found = config_value.get("launcher")
        if found is None:
            return cast(Self, watching(DefaultRunLauncher()))
        # JSON is YAML.
        data = ConfigurableClassData(
            found["module"], found["class"], json.dumps(dict(found.get("config") or {}))
        )
        return cast(Self, watching(cast(RunLauncher[Any], data.rehydrate())))


def watching(launcher: RunLauncher[Any]) -> RunLauncher[Any]:
    """The launcher, changed so that it knows heartbeats. It is still an instance of its class, because
    Dagster and its packages check that."""
    of = type(launcher)
    launcher.__class__ = type(of.__name__, (_Watching, of), {"__module__": of.__module__})
    cast(_Watching, launcher).sluice_lost_runs = LostRuns()
    cast(_Watching, launcher).sluice_lost_since = {}
    cast(_Watching, launcher).sluice_resumed = {}
    return launcher


def knows_heartbeats(launcher: type) -> bool:
    """Whether a launcher of this class considers heartbeats, and so leaves a run alone that sends them."""
    return issubclass(launcher, (SluiceRunLauncher, _Watching))


class _Watching(RunLauncher[Any]):
    sluice_lost_runs: LostRuns
    sluice_lost_since: dict[str, float]
    # Runs that got a new worker: the last heartbeat of the worker before, and the time.
    sluice_resumed: dict[str, tuple[str, float]]

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if self._begins_again(run.run_id):
            return super().check_run_worker_health(run)
        why = self.sluice_lost_runs.why_lost(instance_of(self), run)
        if why is not None:
            if not is_of_a_terminal(run) and self._is_left_to_the_sensor(run):
                return CheckRunHealthResult(
                    WorkerStatus.RUNNING, f"lost, and left to the sensor for a while: {why}"
                )
            if is_of_a_terminal(run) or not instance_of(self).run_monitoring_max_resume_run_attempts:
                # Ended at once, with its places in pools.
                # Dagster gets FAILED, and then sees that the run has ended.
                end_run(instance_of(self), run, why)
            return CheckRunHealthResult(WorkerStatus.FAILED, why)
        if is_of_a_terminal(run):
            return CheckRunHealthResult(
                WorkerStatus.RUNNING, "a run of a terminal, which has not missed its heartbeats"
            )
        if not super().supports_check_run_worker_health:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if not beats_of(instance_of(self), [run.run_id]):
            return super().check_run_worker_health(run)
        missed = self.sluice_lost_runs.unchanged_seconds(run.run_id)
        if missed >= _MISSED_SECONDS:
            told = super().check_run_worker_health(run)
            if told.status == WorkerStatus.FAILED:
                return told
        return CheckRunHealthResult(WorkerStatus.RUNNING, "its process sends heartbeats")

    def _is_left_to_the_sensor(self, run: dg.DagsterRun) -> bool:
        """Whether to wait for the sensor. If no code server runs when a run is marked as failed, Dagster
        gives up its retry for good. If the sensor marks the run, a code server is certain to run."""
        now = time.monotonic()
        since = self.sluice_lost_since.setdefault(run.run_id, now)
        if max(now - since, self.sluice_lost_runs.unchanged_seconds(run.run_id)) >= _SENSOR_SECONDS:
            del self.sluice_lost_since[run.run_id]
            return False
        revive_server(run)
        return True

    def resume_run(self, context: ResumeRunContext) -> None:
        run_id = context.dagster_run.run_id
        self.sluice_resumed[run_id] = (self._beat_of(run_id), time.monotonic())
        super().resume_run(context)

    def _begins_again(self, run_id: str) -> bool:
        """Whether a new worker has the run and still has time to send its first heartbeat. The last heartbeat
        of the worker before says nothing about the new one, and Dagster would start one worker after
        another."""
        if run_id not in self.sluice_resumed:
            return False
        value, at = self.sluice_resumed[run_id]
        if self._beat_of(run_id) == value and time.monotonic() - at < PATIENCE_SECONDS:
            return True
        del self.sluice_resumed[run_id]
        return False

    def _beat_of(self, run_id: str) -> str:
        beat = beats_of(instance_of(self), [run_id]).get(run_id)
        return beat.value if beat else ""

    def terminate(self, run_id: str) -> bool:
        run = instance_of(self).get_run_by_id(run_id)
        if run is None or not is_of_a_terminal(run):
            return super().terminate(run_id)  # type: ignore[safe-super]
        if run.is_finished:
            return False
        # The run's process sees the new state within a second, and ends the run cleanly.
        instance_of(self).report_run_canceling(run)
        return True
