"""What publishing in several processes at once needs from Dagster: how many places a pool has, and an end for
a run whose process is gone."""

from typing import Any

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.dagster_private import PoolGranularity
from pipelines.orchestration.control import asked_of
from pipelines.orchestration.launch import Launched, windows_told
from pipelines.orchestration.windows.failures import RunFailure
from resources.errors import Problem

_TOLD = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}


def places(instance: dg.DagsterInstance, pool: str) -> int | None:
    """How many runs, each in a process of its own, may hold the pool at once; None: no limit."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return None
    config = instance.get_concurrency_config().pool_config
    if config.pool_granularity == PoolGranularity.RUN:
        return None  # then Dagster counts runs of its queue, and these are not in it
    known = {limit.name: limit.limit for limit in storage.get_pool_limits()}
    return known.get(pool, instance.global_op_concurrency_default_limit)


def end_of_run(
    instance: dg.DagsterInstance, event: Event, run_id: str, stage: str, *, why: Problem
) -> Launched | None:
    """The run `run_id` from Dagster's records, after its process is gone without a report; None: the run
    never began.

    A run that had no time to end is reported as failed with `why`, and its places in pools are freed.
    """
    run = instance.get_run_by_id(run_id)
    if run is None:
        return None
    if not run.is_finished:
        instance.report_run_failed(run, str(why))
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    entries = instance.all_logs(run_id, of_type=_TOLD)
    windows: dict[str, Any] = windows_told(
        [entry.dagster_event for entry in entries if entry.dagster_event], event, stage
    )
    order, by = asked_of(run)
    return Launched(
        run_id,
        False,
        windows,
        (RunFailure((), (why,)),),
        cancelled_by=by if order == "cancel" else None,
    )
