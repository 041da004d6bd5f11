"""A run launcher that knows the heartbeats of Sluice's runs.

Dagster's run monitoring asks the launcher about every run that has begun. A launcher of containers knows nothing of a run
that a terminal made, and Dagster then marks it as failed while it publishes; Dagster's default launcher cannot be asked
at all, and a run whose host died stays "started" for ever. The heartbeat answers both.
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
"""Under which module an operator's `dagster.yaml` names the launcher."""

# Two heartbeats missing: with the word of the launcher that is enough.
_MISSED_SECONDS = 30.0
# So long the sensor has time to end a run whose process is known to be gone.
_SENSOR_SECONDS = 100.0


class SluiceRunLauncher(RunLauncher[Any], ConfigurableClass):
    """In `dagster.yaml`, around the launcher that starts the runs (`launcher`; Dagster's default one where it is left out).

    What comes of it is that launcher itself, of a class of its own: it answers for runs with a heartbeat, ends a run of a
    terminal in order, and does everything else as before.
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
    """The launcher, made to know heartbeats. It stays an instance of its class, for Dagster and its packages ask for that."""
    of = type(launcher)
    launcher.__class__ = type(of.__name__, (_Watching, of), {"__module__": of.__module__})
    cast(_Watching, launcher).sluice_lost_runs = LostRuns()
    cast(_Watching, launcher).sluice_lost_since = {}
    cast(_Watching, launcher).sluice_resumed = {}
    return launcher


def knows_heartbeats(launcher: type) -> bool:
    """Whether runs with a heartbeat are left alone by a launcher of this class."""
    return issubclass(launcher, (SluiceRunLauncher, _Watching))


class _Watching(RunLauncher[Any]):
    sluice_lost_runs: LostRuns
    sluice_lost_since: dict[str, float]
    # Runs that got a new worker: the last heartbeat of the one before, and when.
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
                # At once and with its places in pools. Dagster, told that it failed, sees then that it has ended.
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
        """Dagster gives up a retry for good if there is no code server when the run is marked as failed. That there is one is
        certain where the sensor does it."""
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
        """Whether a new worker has the run and time to send its first heartbeat: that of the worker before says nothing of
        it, and Dagster would start one worker after another."""
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
        # Its process sees the state within a second, and ends the run in order.
        instance_of(self).report_run_canceling(run)
        return True
