"""An operator's word to a run: pause, go on, end. It is a tag of the run, so any machine that shares Dagster's
storage can give it, it is seen in the UI, and a run finds it wherever it came from."""

import time
from collections.abc import Callable, Sequence
from typing import Literal

import dagster as dg
from dagster import DagsterRunStatus

from pipelines.pacing.hold import Hold

Order = Literal["pause", "resume", "cancel"]

_ORDER, _BY, _RUN = "sluice/control", "sluice/control_by", "sluice/control_run"
_LOOK_EVERY_SECONDS = 1.0
_UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]


class RunControl:
    """What was asked of one run, looked up at most once a second."""

    def __init__(
        self, instance: dg.DagsterInstance, run_id: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._instance, self._run_id, self._clock = instance, run_id, clock
        self._looked_at: float | None = None
        self._order, self._by = "", ""

    def hold(self) -> Hold | None:
        """The pause, while the run is paused."""
        self._look()
        if self._order != "pause":
            return None
        told = f"paused by operator {self._by}; `sluice resume {self._run_id[:8]}` lets it go on"
        return Hold("operator", told, _LOOK_EVERY_SECONDS)

    def cancelled_by(self) -> str | None:
        """Who has ended the run, if anyone."""
        self._look()
        return self._by if self._order == "cancel" else None

    def _look(self) -> None:
        now = self._clock()
        if self._looked_at is not None and now - self._looked_at < _LOOK_EVERY_SECONDS:
            return
        self._looked_at = now
        run = self._instance.get_run_by_id(self._run_id)
        self._order, self._by = asked_of(run) if run else ("", "")


def asked_of(run: dg.DagsterRun) -> tuple[str, str]:
    """The order in force for a run, and by whom; two empty strings where there is none.

    Dagster copies the tags of a run to its retries. A pause goes on there; a run that was launched again after it was
    cancelled is wanted.
    """
    order, by = run.tags.get(_ORDER, ""), run.tags.get(_BY, "somebody")
    if order == "cancel" and run.tags.get(_RUN) != run.run_id:
        return "", ""
    return (order, by) if order in ("pause", "cancel") else ("", "")


def give(instance: dg.DagsterInstance, run: dg.DagsterRun, order: Order, by: str) -> None:
    """Ask `order` of a run, by a person or a machine. A run that still waits in the queue is ended at once."""
    instance.add_run_tags(run.run_id, {_ORDER: order, _BY: by, _RUN: run.run_id})
    if order == "cancel" and run.status == DagsterRunStatus.QUEUED:
        instance.report_run_canceling(run, message=f"Cancelled by operator {by} while it was queued.")
        instance.report_run_canceled(run)


def under_way(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs of events that have not ended, the oldest first."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY))
    return [run for run in reversed(runs) if events_of(run)]


def events_of(run: dg.DagsterRun) -> list[str]:
    """Full names of the events that a run materializes."""
    keys = [key.path for key in run.asset_selection or ()]
    return sorted({"/".join(path[:2]) for path in keys if len(path) == 3})


def windows_of(run: dg.DagsterRun) -> str:
    """The windows of a run, as the command line writes them; "" where it has no single range."""
    start = run.tags.get("dagster/asset_partition_range_start")
    end = run.tags.get("dagster/asset_partition_range_end")
    return f"{start}..{end}" if start and end else run.tags.get("dagster/partition", "")


def found_by(runs: Sequence[dg.DagsterRun], name: str) -> list[dg.DagsterRun]:
    """The runs whose id begins with `name`, or that materialize the event of this name."""
    by_id = [run for run in runs if len(name) >= 4 and run.run_id.startswith(name.lower())]
    by_event = [
        run for run in runs if any(name in (event, event.partition("/")[2]) for event in events_of(run))
    ]
    return by_id or by_event
