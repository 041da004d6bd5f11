"""Runs that are started outside the UI: Dagster runs like any other,
executed in this process and shown in the UI."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.dagster_private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    CODE_LOCATION_TAG,
    REPOSITORY_LABEL_TAG,
    DagsterExecutionInterruptedError,
)
from pipelines.orchestration.config import RunConfig
from pipelines.orchestration.control import OF_A_TERMINAL, asked_of
from pipelines.orchestration.definitions.build import build_definitions
from pipelines.orchestration.event_log import event_log
from pipelines.orchestration.home import prepare_home
from pipelines.orchestration.keys import STAGES, asset_key, op_name, topic_pool, warehouse_pool
from pipelines.orchestration.liveness.heartbeat import beating
from pipelines.orchestration.liveness.lost_runs import LostRuns
from pipelines.orchestration.liveness.run_monitoring import require_left_alone
from pipelines.orchestration.liveness.terminal_process import process_tag
from pipelines.orchestration.pools import telling_of_pool, wait_for_pool
from pipelines.orchestration.run_listeners import listening
from pipelines.orchestration.stored_errors import guard_stored_errors
from pipelines.orchestration.windows.failures import RunFailure, failures_in
from pipelines.run_events import Tell
from resources.errors import Problem, SluiceError, readable
from resources.identity import this_user
from resources.process.waiting import waiting_for
from resources.settings import Settings

_WAREHOUSE_SLOTS = 4


@dataclass(frozen=True)
class Launched:
    """A finished run. `windows` maps each window that got its last stage to that stage's metadata (plain
    values), and each window that was blocked or failed to the reason (`action`, `because`). `failures`: why
    the others failed. `stopped`: the run was interrupted. `cancelled_by`: who cancelled the run, if
    anyone."""

    run_id: str
    success: bool
    windows: Mapping[str, Mapping[str, Any]]
    failures: tuple[RunFailure, ...] = ()
    stopped: bool = False
    cancelled_by: str | None = None

    @property
    def why(self) -> str:
        """The failures for people; "" if there are none."""
        return "\n".join(map(str, self.failures))


def dagster_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance that the UI of this project shows."""
    guard_stored_errors()
    prepare_home(settings)
    with waiting_for("Dagster's storage"):
        return dg.DagsterInstance.get()


def limit_warehouses(instance: dg.DagsterInstance, catalogue: Catalogue) -> None:
    """Give every warehouse's pool a limit if an operator has set none."""
    storage = instance.event_log_storage
    known = {limit.name for limit in storage.get_pool_limits()}
    for name in {event.warehouse for event in catalogue.events.values()}:
        if warehouse_pool(name) not in known:
            storage.set_concurrency_slots(warehouse_pool(name), _WAREHOUSE_SLOTS)


def launch(
    event: Event,
    windows: Sequence[Window],
    instance: dg.DagsterInstance,
    *,
    stages: Sequence[str] = STAGES,
    config: Mapping[str, Any] | None = None,
    catalogue: Catalogue,
    tell: Tell = lambda _: None,
    run_id: str | None = None,
) -> Launched:
    """Materialize the stages of contiguous `windows` of `event` in one run, in this process; `tell` gets the
    run's events.

    `run_id`: the id of the run; None: a new one. Raises SluiceError, and writes nothing, if Dagster would
    refuse `config`, or if Dagster would mark such a run as failed while it works.
    """
    RunConfig(**(config or {})).require_sound()
    require_left_alone(instance)
    definitions = build_definitions(Catalogue({event.full_name: event}, catalogue.assets_root))
    job = definitions.resolve_implicit_global_asset_job_def()
    lost_runs = LostRuns()
    lost_runs.end(instance)
    pool = topic_pool(event)
    wait_for_pool(instance, pool, tell=tell, look=lambda: lost_runs.end(instance))
    first, last = windows[0].key, windows[-1].key
    span = (
        {"dagster/partition": first}
        if first == last
        else {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
    )
    run_id = run_id or str(uuid4())
    with (
        _said_of_storage(event),
        beating(instance, run_id),
        listening(run_id, tell),
        telling_of_pool(instance, pool, run_id, tell=tell),
        event_log(instance),
    ):
        result = job.execute_in_process(
            run_id=run_id,
            instance=instance,
            asset_selection=[asset_key(event, stage) for stage in stages],
            tags={
                **span,
                "sluice/event": event.full_name,
                **OF_A_TERMINAL,
                **process_tag(),
                # A daemon cannot launch this run again: it belongs to a terminal.
                "dagster/max_retries": "0",
                "sluice/requested_by": this_user(),
                # The UI reads these to show the run with its code location.
                REPOSITORY_LABEL_TAG: "__repository__@sluice",
                CODE_LOCATION_TAG: "sluice",
            },
            run_config={
                "ops": {op_name(event): {"config": dict(config or {})}},
                # The terminal shows our own lines; the run's log is in the UI.
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
    done = windows_told(result.all_events, event, stages[-1])
    if result.success:
        return Launched(run_id, True, done)
    run = instance.get_run_by_id(run_id)
    order, by = asked_of(run) if run else ("", "")
    failures, stopped = _end_of(result)
    return Launched(run_id, False, done, failures, stopped, by if order == "cancel" else None)


@contextmanager
def _said_of_storage(event: Event) -> Iterator[None]:
    """If Dagster could not write or read its storage, say what that means for the windows."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = readable(str(error)).partition("\n")[0]
        raise SluiceError(
            "Dagster's storage",
            f"could not be read or written: {type(error).__name__}: {cause}; what is committed to the topic stays",
            next_step=f"`sluice status {event.full_name}`; publish the windows again once it answers: they go on where this "
            "run stopped",
        ) from None


def windows_told(log: Iterable[dg.DagsterEvent], event: Event, stage: str) -> dict[str, Mapping[str, Any]]:
    """Each window that got this stage, from a run's log: the stage's metadata as plain values."""
    return {
        told.partition: {name: value.value for name, value in told.metadata.items()}
        for told in map(_told_of_window, log)
        if told and told.partition and told.asset_key == asset_key(event, stage)
    }


def _told_of_window(event: dg.DagsterEvent) -> dg.AssetMaterialization | dg.AssetObservation | None:
    if event.event_type_value == "ASSET_MATERIALIZATION":
        return event.step_materialization_data.materialization
    # A replay to a shadow topic does not change the published asset.
    if event.event_type_value == "ASSET_OBSERVATION":
        return event.asset_observation_data.asset_observation
    return None


def _end_of(result: dg.ExecuteInProcessResult) -> tuple[tuple[RunFailure, ...], bool]:
    """Why the step of a run failed, and whether the run was interrupted."""
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        failure = event.step_failure_data
        if failure.user_failure_data:
            about = {name: value.value for name, value in failure.user_failure_data.metadata.items()}
            found = failures_in(about)
            if found:
                return found, False
        error, stopped = failure.error, False
        while error:
            stopped = stopped or error.cls_name == DagsterExecutionInterruptedError.__name__
            if not error.cause:
                break
            error = error.cause  # Dagster wraps the raised error in errors of its own
        told = error.message.strip() if error else "the step failed"
        return (RunFailure((), (Problem("run", told),)),), stopped
    return (RunFailure((), (Problem("run", "failed before its step began"),)),), False
