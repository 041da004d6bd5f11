"""What prevents lost runs from being found, for `sluice` commands: runs that wait for their end,
and a sensor that is off."""

from collections.abc import Iterator

import dagster as dg
from dagster import DagsterRunStatus

from pipelines.dagster_private import InstigatorStatus, InstigatorType
from pipelines.orchestration.control import described, events_of
from pipelines.orchestration.liveness.heartbeat import beats_of, sends_heartbeats
from pipelines.orchestration.liveness.lost_runs import SENSOR, LostRuns

_BEGUN = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def stuck_runs(instance: dg.DagsterInstance) -> Iterator[tuple[str, str]]:
    """Runs under way whose process is known to be gone, or that cannot be judged;
    each with what to do about it."""
    eyes = LostRuns()
    runs = [run for run in instance.get_runs(filters=dg.RunsFilter(statuses=_BEGUN)) if events_of(run)]
    beats = beats_of(instance, [run.run_id for run in runs])
    for run in runs:
        if eyes.why_lost(instance, run):
            yield (
                f"{described(run)} is {run.status.value} and its process is gone; it may hold the place of its topic",
                f"Dagster's daemon ends it and starts it again: `sluice ui`; or end it: `sluice cancel {run.run_id[:8]}`",
            )
        elif run.run_id not in beats and not sends_heartbeats(instance, run):
            yield (
                f"{described(run)} is {run.status.value}; a version of Sluice without heartbeats started it, so whether its "
                "process lives is not known",
                "if it is gone: in Dagster's UI, open the run, Terminate, and tick that it is marked as cancelled at once",
            )


def sensor_is_off(instance: dg.DagsterInstance) -> bool:
    """Whether somebody has turned off the sensor that looks for lost runs."""
    return any(
        state.name == SENSOR and state.status == InstigatorStatus.STOPPED
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    )
