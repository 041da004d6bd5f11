"""An operator's order to a run: pause, resume, cancel. The order is a tag of the run. So any machine that
shares Dagster's storage can give it, the UI shows it, and the run finds it wherever it came from."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Literal

import dagster as dg
from dagster import DagsterRunStatus

from pipelines.dagster_private import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from pipelines.orchestration.keys import EVENTS_TAG, event_of
from pipelines.pacing.hold import Hold, RunEnded
from pipelines.run_events import Paused, WentOn
from resources.errors import readable

OF_A_TERMINAL = {"sluice/launched_by": "cli"}
"""Tags of a run that works in the process of a command, where no launcher of Dagster knows it."""

Order = Literal["pause", "resume", "cancel"]
Answer = Literal["paused", "resumed"]

_ORDER, _BY, _RUN = "sluice/control", "sluice/control_by", "sluice/control_run"
_ANSWER = "sluice/control_answer"
_UI = "Dagster's UI"
_LOOK_EVERY_SECONDS = 1.0
# If the storage does not answer for longer, the run may be considered lost,
# and another one launched in its place (PATIENCE_SECONDS).
_BLIND_SECONDS = 90.0
_log = logging.getLogger(__name__)
_UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]


class RunControl:
    """The orders to one run, looked up at most once a second."""

    def __init__(
        self, instance: dg.DagsterInstance, run_id: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._instance, self._run_id, self._clock = instance, run_id, clock
        self._looked_at: float | None = None
        self._order, self._by = "", ""
        self._answered_at, self._is_blind = clock(), False
        self._answered: Answer | None = None

    def hold(self) -> Hold | None:
        """The pause while the run is paused,
        or the wait for a storage that does not answer. Raises RunEnded."""
        self._look()
        if self._is_blind and self._clock() - self._answered_at >= _BLIND_SECONDS:
            return Hold(
                "storage",
                "Dagster's storage does not answer, so another run may have been launched in this one's place; waits for it",
                _LOOK_EVERY_SECONDS,
            )
        if self._order != "pause":
            return None
        told = f"paused by operator {self._by}"
        return Hold("operator", told, _LOOK_EVERY_SECONDS, by=self._by, run_id=self._run_id)

    def answer(self, event: Paused | WentOn) -> None:
        """Answer the operator in a tag of the run,
        where the command that gave the order looks for the answer."""
        if isinstance(event, Paused):
            answer: Answer = "paused"
        elif event.cause == "operator":
            answer = "resumed"
        else:
            return
        if answer != self._answered:
            try:
                self._instance.add_run_tags(self._run_id, {_ANSWER: f"{answer} {event.seconds:.0f}"})
            except Exception as error:  # of any storage: the run has obeyed, even if it cannot report it
                _log.warning("an operator's order was not answered: %s", type(error).__name__)
            else:
                self._answered = answer

    def cancelled_by(self) -> str | None:
        """Who has cancelled the run, if anyone. Raises RunEnded."""
        self._look()
        return self._by if self._order == "cancel" else None

    def _look(self) -> None:
        now = self._clock()
        if self._looked_at is not None and now - self._looked_at < _LOOK_EVERY_SECONDS:
            return
        try:
            run = self._under_way()
        except RunEnded:
            raise
        except Exception as error:  # of any storage, with any driver
            if not self._is_blind:
                cause = readable(str(error)).partition("\n")[0]
                _log.warning("Dagster's storage does not answer: %s: %s", type(error).__name__, cause)
            self._is_blind = True
            self._looked_at = self._clock()
            return
        if self._is_blind:
            _log.warning("Dagster's storage answers again")
        self._is_blind, self._answered_at, self._looked_at = False, self._clock(), now
        self._order, self._by = asked_of(run) if run else ("", "")
        if run and run.status == DagsterRunStatus.CANCELING and self._order != "cancel":
            # If the UI terminates a run of a terminal, only the run itself sees it.
            self._order, self._by = "cancel", _UI
            give(self._instance, run, "cancel", _UI)

    def require_under_way(self) -> None:
        """Raise RunEnded if Dagster has recorded the run as ended,
        so that the run does not end in another way."""
        self._under_way()

    def _under_way(self) -> dg.DagsterRun | None:
        run = self._instance.get_run_by_id(self._run_id)
        if run and run.is_finished:
            if run.status == DagsterRunStatus.CANCELED and asked_of(run)[0] != "cancel":
                give(self._instance, run, "cancel", _UI)
            raise RunEnded(run.run_id, run.status.value.lower())
        return run


def asked_of(run: dg.DagsterRun) -> tuple[str, str]:
    """The order in force for a run, and who gave it; two empty strings if there is none.

    Dagster copies the tags of a run to its retries. A pause also holds for the retries. A cancelled run that
    is launched again is wanted, so its cancellation does not hold.
    """
    order, by = run.tags.get(_ORDER, ""), run.tags.get(_BY, "somebody")
    if order == "cancel" and run.tags.get(_RUN) != run.run_id:
        return "", ""
    return (order, by) if order in ("pause", "cancel") else ("", "")


def answer_of(run: dg.DagsterRun) -> tuple[Answer, float] | None:
    """The run's answer to the order in force, and for how many seconds it was paused; None: no answer yet."""
    answer, _, seconds = run.tags.get(_ANSWER, "").partition(" ")
    return (answer, float(seconds or 0)) if answer in ("paused", "resumed") else None  # type: ignore[return-value]


def is_of_a_terminal(run: dg.DagsterRun) -> bool:
    """Whether a run works in the process of a command."""
    return OF_A_TERMINAL.items() <= run.tags.items()


def give(instance: dg.DagsterInstance, run: dg.DagsterRun, order: Order, by: str) -> None:
    """Give an `order` to a run, by a person or a machine.
    If the run is still queued, a cancellation ends it at once."""
    instance.add_run_tags(run.run_id, {_ORDER: order, _BY: by, _RUN: run.run_id, _ANSWER: ""})
    if order == "cancel" and run.status == DagsterRunStatus.QUEUED:
        instance.report_run_canceling(run, message=f"Cancelled by operator {by} while it was queued.")
        instance.report_run_canceled(run)


def under_way(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs of events that have not ended, the oldest first."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY))
    return [run for run in reversed(runs) if events_of(run)]


def events_of(run: dg.DagsterRun) -> list[str]:
    """Full names of the events that a run materializes."""
    if run.asset_selection:
        return sorted({event for key in run.asset_selection if (event := event_of(key))})
    # A run of a whole job names no assets.
    return sorted(filter(None, run.tags.get(EVENTS_TAG, "").split(",")))


def windows_of(run: dg.DagsterRun) -> str:
    """The windows of a run, as the command line writes them; "" if they are not one range."""
    start = run.tags.get(ASSET_PARTITION_RANGE_START_TAG)
    end = run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    return f"{start}..{end}" if start and end else run.tags.get("dagster/partition", "")


def described(run: dg.DagsterRun) -> str:
    """The run as an operator names it: the first characters of its id, its events and its windows."""
    return f"run {listed(run)}"


def listed(run: dg.DagsterRun) -> str:
    """The same text in a list of runs."""
    return f"{run.run_id[:8]} of {' '.join(filter(None, (', '.join(events_of(run)), windows_of(run))))}"


def found_by(runs: Sequence[dg.DagsterRun], name: str) -> list[dg.DagsterRun]:
    """The runs whose id begins with `name`, or that materialize the event of this name."""
    by_id = [run for run in runs if len(name) >= 4 and run.run_id.startswith(name.lower())]
    by_event = [
        run for run in runs if any(name in (event, event.partition("/")[2]) for event in events_of(run))
    ]
    return by_id or by_event
