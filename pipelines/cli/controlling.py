"""Pausing, resuming and cancelling runs that are under way, wherever they run."""

import time

import click
import dagster as dg
from dagster import DagsterRunStatus

from pipelines.orchestration.control import (
    Order,
    asked_of,
    events_of,
    found_by,
    give,
    under_way,
    windows_of,
)
from pipelines.orchestration.launch import dagster_instance, this_user
from pipelines.orchestration.lost_runs import end_lost_runs
from resources.errors import SluiceError
from resources.settings import load_settings

# A run looks for its operator's word once a second, and a transaction takes two.
_WAIT_SECONDS = 10.0
_LAST_RECORDS = 50
_ANSWERS: dict[Order, str] = {"pause": "paused by operator", "resume": ": goes on after", "cancel": ""}


def order_runs(name: str, order: Order) -> None:
    """Give `order` to the runs that `name` (of an event, or the begin of a run's id) means, and say what they did.

    Raises SluiceError where no run under way is meant.
    """
    instance = dagster_instance(load_settings())
    end_lost_runs(instance)
    runs = under_way(instance)
    meant = found_by(runs, name)
    if not meant:
        raise _nobody(name, runs)
    by = this_user()
    if order == "resume":
        paused = [run for run in meant if asked_of(run)[0] == "pause"]
        for run in meant:
            if run not in paused:
                click.echo(f"{_told(run)}: is not paused.")
        meant = paused
    asked_at = time.time()
    for run in meant:
        give(instance, run, order, by)
    deadline = time.monotonic() + _WAIT_SECONDS
    for run in meant:
        click.echo(f"{_told(run)}: {_outcome(instance, run, order, asked_at, deadline)}")


def _outcome(
    instance: dg.DagsterInstance, run: dg.DagsterRun, order: Order, asked_at: float, deadline: float
) -> str:
    """What became of the order, waiting until `deadline` to hear it from the run itself."""
    while True:
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            status = now.status.value.lower() if now else "gone"
            return "cancelled." if status == "canceled" and order == "cancel" else f"has ended: {status}."
        if order != "cancel" and (said := _said(instance, run.run_id, _ANSWERS[order], asked_at)):
            return said
        if time.monotonic() >= deadline or now.status == DagsterRunStatus.QUEUED:
            break
        time.sleep(0.2)
    when = "once it begins" if now.status == DagsterRunStatus.QUEUED else "at its next chunk boundary"
    return {
        "pause": f"is asked to pause, and will {when}. `sluice resume {run.run_id[:8]}` takes it back.",
        "resume": "goes on within a second, unless a limit holds it back.",
        "cancel": f"is asked to end, and will {when}.",
    }[order]


def _said(instance: dg.DagsterInstance, run_id: str, answer: str, since: float) -> str | None:
    found = instance.get_records_for_run(run_id, limit=_LAST_RECORDS, ascending=False).records
    return next(
        (
            record.event_log_entry.user_message
            for record in found
            if answer in record.event_log_entry.user_message and record.event_log_entry.timestamp >= since
        ),
        None,
    )


def _told(run: dg.DagsterRun) -> str:
    return f"run {run.run_id[:8]} of {' '.join(filter(None, (', '.join(events_of(run)), windows_of(run))))}"


def _nobody(name: str, runs: list[dg.DagsterRun]) -> SluiceError:
    listed = "; ".join(_told(run).removeprefix("run ") for run in runs[:10])
    return SluiceError(
        name,
        "is neither an event that is being published nor the id of a run under way",
        allowed=listed or "nothing: no run is under way",
        next_step="`sluice status` shows what is on the topics" if not runs else None,
    )
