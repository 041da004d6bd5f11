"""Runs whose process is gone without a word, and the pool slots that they would hold for ever.

Dagster's monitoring looks after runs that its own launcher started. A run in a terminal's process has nobody:
killed, it would stay "started", and its slot of the topic's pool would block every later run of the event.
"""

import os
import socket

import dagster as dg
from dagster import DagsterRunStatus

from resources.servers.process import OwnedProcess

_PROCESS = "sluice/process"
_UNFINISHED = [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED]


def process_tags() -> dict[str, str]:
    """Tags that tell a later run whether the process of this one still lives."""
    own = OwnedProcess.current()
    return {
        _PROCESS: f"{socket.gethostname()} {own.pid} {own.start_mark}",
        # A daemon cannot launch this run again: it belongs to a terminal.
        "dagster/max_retries": "0",
    }


def end_lost_runs(instance: dg.DagsterInstance) -> None:
    """Report runs of dead processes of this host as failed, and free the slots of every run that has ended."""
    for run in instance.get_runs(
        filters=dg.RunsFilter(statuses=_UNFINISHED, tags={"sluice/launched_by": "cli"})
    ):
        if _is_lost(run):
            instance.report_run_failed(
                run, "Its process ended without a word: it was killed, or the machine went down."
            )
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits:
        for run_id in storage.get_concurrency_run_ids():
            found = instance.get_run_by_id(run_id)
            if found is None or found.is_finished:
                storage.free_concurrency_slots_for_run(run_id)


def _is_lost(run: dg.DagsterRun) -> bool:
    host, _, rest = run.tags.get(_PROCESS, "").partition(" ")
    pid, _, mark = rest.partition(" ")
    # What another machine runs cannot be seen from here.
    return (
        host == socket.gethostname()
        and int(pid) != os.getpid()
        and not OwnedProcess(int(pid), mark).is_alive()
    )
