"""Runs started outside the UI: Dagster runs like any other, executed in this process and seen in the UI."""

import getpass
import logging
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import dagster as dg

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.orchestration.build import build_definitions
from pipelines.orchestration.control import asked_of
from pipelines.orchestration.event_log import event_log
from pipelines.orchestration.home import prepare_home
from pipelines.orchestration.keys import STAGES, asset_key, op_name, topic_pool, warehouse_pool
from pipelines.orchestration.lost_runs import end_lost_runs, process_tags
from pipelines.orchestration.pools import telling_of_pool, wait_for_pool
from resources.settings import Settings

# What a terminal shows of a run it started.
terminal = logging.getLogger("sluice.run")

_WAREHOUSE_SLOTS = 4
_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class Launched:
    """A finished run. `windows` maps each window that got its last stage to that stage's metadata (plain
    values), and one that was blocked or failed on the way to what is said of that (`action`, `because`); `error` is what the run says of the others; `cancelled_by` is who ended the run, if anyone did."""

    run_id: str
    success: bool
    windows: Mapping[str, Mapping[str, Any]]
    error: str | None
    cancelled_by: str | None = None


def dagster_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance that the UI of this project shows."""
    prepare_home(settings)
    return dg.DagsterInstance.get()


def limit_warehouses(instance: dg.DagsterInstance, catalogue: Catalogue) -> None:
    """Give every warehouse's pool a limit, where an operator has set none."""
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
    run_id: str | None = None,
) -> Launched:
    """Materialize the stages of contiguous `windows` of `event` in one run, here and now.

    `run_id`: the id that the run gets; None: a new one.
    """
    definitions = build_definitions(Catalogue({event.full_name: event}, catalogue.assets_root))
    job = definitions.resolve_implicit_global_asset_job_def()
    end_lost_runs(instance)
    pool = topic_pool(event)
    wait_for_pool(instance, pool, say=terminal.warning, look=lambda: end_lost_runs(instance))
    first, last = windows[0].key, windows[-1].key
    span = {"dagster/partition": first} if first == last else {_RANGE_START: first, _RANGE_END: last}
    run_id = run_id or str(uuid4())
    with telling_of_pool(instance, pool, run_id, say=terminal.warning), event_log(instance):
        result = job.execute_in_process(
            run_id=run_id,
            instance=instance,
            asset_selection=[asset_key(event, stage) for stage in stages],
            tags={
                **span,
                **process_tags(),
                "sluice/event": event.full_name,
                "sluice/launched_by": "cli",
                "sluice/requested_by": this_user(),
                # What the UI reads to show the run with its code location.
                ".dagster/repository": "__repository__@sluice",
                "dagster/code_location": "sluice",
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
        return Launched(run_id, True, done, None)
    run = instance.get_run_by_id(run_id)
    order, by = asked_of(run) if run else ("", "")
    return Launched(run_id, False, done, _error_of(result), by if order == "cancel" else None)


def windows_told(log: Iterable[dg.DagsterEvent], event: Event, stage: str) -> dict[str, Mapping[str, Any]]:
    """Each window that got this stage, by what a run logged: the stage's metadata, plain values."""
    return {
        told.partition: {name: value.value for name, value in told.metadata.items()}
        for told in map(_told_of_window, log)
        if told and told.partition and told.asset_key == asset_key(event, stage)
    }


def _told_of_window(event: dg.DagsterEvent) -> dg.AssetMaterialization | dg.AssetObservation | None:
    if event.event_type_value == "ASSET_MATERIALIZATION":
        return event.step_materialization_data.materialization
    # A replay to a shadow topic leaves the published asset as it was.
    if event.event_type_value == "ASSET_OBSERVATION":
        return event.asset_observation_data.asset_observation
    return None


def this_user() -> str:
    """Who sits at this terminal, for the ledger."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's user may have no name
        return socket.gethostname()


def _error_of(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            told = failure.user_failure_data.description if failure.user_failure_data else None
            if told:
                return told
            error = failure.error
            while error and error.cause:  # Dagster wraps what was raised in errors of its own
                error = error.cause
            return error.message.strip() if error else "the step failed"
    return "the run failed before its step began"
