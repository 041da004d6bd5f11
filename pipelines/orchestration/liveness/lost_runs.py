"""Finds runs whose process is gone without a report, and frees the pool slots that they would hold for ever.

Dagster watches a run only if its launcher can. Nobody watches a run of a terminal, or a run of the UI whose
code server died. So every run has a heartbeat. A process that looks for lost runs compares the heartbeat with
what it saw before, by its own clock: to judge a heartbeat, the clocks of two hosts are never compared.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import dagster as dg
from dagster import DagsterRunStatus

from pipelines.dagster_private import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from pipelines.orchestration.control import asked_of, events_of, is_of_a_terminal
from pipelines.orchestration.liveness.code_server import left_by_its_server
from pipelines.orchestration.liveness.heartbeat import Beat, beats_of, lock_folder, sends_heartbeats
from pipelines.orchestration.liveness.terminal_process import has_no_process
from resources.errors import readable
from resources.process.lock import boot_id, marks_in

SENSOR = "lost_runs"
PATIENCE_SECONDS = 120.0
# At most this much of the time between two looks counts:
# after a fault of the storage a run gets time to send a heartbeat.
_LONGEST_GAP_SECONDS = 30.0
# Runs that nobody has asked about for this long are forgotten.
_FORGET_SECONDS = 3600.0
# An older failure is ignored. The time is long, because it is compared with another host's clock.
_RETRIED_WITHIN = timedelta(hours=1)
_MOST_FAILED = 50
# For this long after a run was first seen without a heartbeat, its job is not read,
# so that the look costs nothing.
_YOUNG_SECONDS = 15.0
_log = logging.getLogger(__name__)
_KILLED = "Its process ended without a word: it was killed, or its container or machine went down."
_UNDER_WAY = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


@dataclass
class _Seen:
    """What was last seen of a run, and for how long of looking it has not changed."""

    value: str
    looked_at: float
    unchanged_seconds: float = 0.0


class LostRuns:
    """Looks for lost runs. Keep one object, and look at least every half a minute: a run is lost if its
    process is known to be gone, or if its heartbeat did not change during `patience_seconds` of looking.

    `of_daemon`: this process runs beside the daemon. Then it asks the daemon's code servers, and ends runs
    that Dagster launched. Elsewhere those runs only lose their places in pools, because Dagster retries a run
    once, as soon as it is marked as failed, and gives up for good if it has no code server at that moment.
    """

    def __init__(
        self,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        of_daemon: bool = False,
    ) -> None:
        self._patience_seconds, self._clock, self._of_daemon = patience_seconds, clock, of_daemon
        self._seen: dict[str, _Seen] = {}
        self._jobs: dict[str, bool] = {}
        self._not_judged: set[str] = set()

    def end(self, instance: dg.DagsterInstance) -> list[str]:
        """Report lost runs as failed, and free their pool slots and those of every run of an event that has
        ended. Returns the ids of the lost runs."""
        runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY))
        beats = beats_of(instance, [run.run_id for run in runs])
        lost = []
        for run in runs:
            try:
                if self._end_if_lost(instance, run, beats.get(run.run_id)):
                    lost.append(run.run_id)
            except Exception as error:  # of any storage; the other runs still get their turn
                if run.run_id not in self._not_judged:
                    self._not_judged.add(run.run_id)
                    _log.warning(
                        "whether run %s is lost is not known: %s: %s",
                        run.run_id,
                        type(error).__name__,
                        readable(str(error)).partition("\n")[0],
                    )
        under_way = {run.run_id for run in runs}
        followed = under_way | (self._not_retried(instance) if self._of_daemon else set())
        self._seen = {name: seen for name, seen in self._seen.items() if name.split()[0] in followed}
        self._free_slots(instance)
        self._tidy(instance, under_way)
        return lost

    def _end_if_lost(self, instance: dg.DagsterInstance, run: dg.DagsterRun, beat: Beat | None) -> bool:
        why = self._why(instance, run, beat)
        if why is None:
            return False
        if not self._of_daemon and not is_of_a_terminal(run):
            _free(instance, run.run_id)
            return False
        return end_run(instance, run, why)

    def _not_retried(self, instance: dg.DagsterInstance) -> set[str]:
        """Failed runs that the daemon should launch again and has not. The daemon looks at each failure once.
        If it does so between the event and the change of the run's status, it considers the run to be still
        working. Then the failure is reported a second time."""
        found = instance.get_runs(
            filters=dg.RunsFilter(
                statuses=[DagsterRunStatus.FAILURE],
                tags={WILL_RETRY_TAG: "true"},
                updated_after=datetime.now(UTC) - _RETRIED_WITHIN,
            ),
            limit=_MOST_FAILED,
        )
        waiting = [run for run in found if events_of(run) and AUTO_RETRY_RUN_ID_TAG not in run.tags]
        for run in waiting:
            if self._look(f"{run.run_id} not retried", "") < _LONGEST_GAP_SECONDS:
                continue
            told = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
            if len(told) == 1:
                instance.report_run_failed(
                    run, "It has not been launched again yet; the daemon is told once more."
                )
        return {run.run_id for run in waiting}

    def memory(self) -> str:
        """What was seen, for the process that follows this one; "" if nothing was seen."""
        if not self._seen:
            return ""
        seen = {name: [one.value, one.unchanged_seconds, one.looked_at] for name, one in self._seen.items()}
        return json.dumps({"boot": boot_id(), "seen": seen})

    def recall(self, memory: str | None) -> None:
        """Continue from the memory of an earlier process. Both clocks are the same only since the same boot
        of the machine; otherwise the time between the two processes does not count."""
        try:
            told = json.loads(memory or "{}")
            same = told.get("boot") is not None and told["boot"] == boot_id()
            now = self._clock()
            self._seen = {
                name: _Seen(value, looked_at if same else now, unchanged)
                for name, (value, unchanged, looked_at) in told.get("seen", {}).items()
            }
        except (ValueError, TypeError, AttributeError):
            self._seen = {}

    def why_lost(self, instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
        """Why a run under way counts as lost; None: it lives, or it is not known."""
        return self._why(instance, run, beats_of(instance, [run.run_id]).get(run.run_id))

    def unchanged_seconds(self, run_id: str) -> float:
        """For how many seconds of looking the run's heartbeat has not changed;
        0 if its process is known to live."""
        seen = self._seen.get(run_id)
        return seen.unchanged_seconds if seen else 0.0

    def _why(self, instance: dg.DagsterInstance, run: dg.DagsterRun, beat: Beat | None) -> str | None:
        if beat is None:
            return self._why_unheard(instance, run)
        lives = beat.lock.holder_lives() if beat.lock else None
        if lives:
            self._seen.pop(run.run_id, None)
            return None
        if lives is False:
            return _KILLED
        unchanged = self._look(run.run_id, beat.value)
        if unchanged < self._patience_seconds:
            return None
        return (
            f"Its heartbeat did not change for {unchanged:.0f} seconds: its process was killed, its container or machine "
            "went down, or it cannot reach Dagster's storage."
        )

    def _why_unheard(self, instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
        """The same for a run that has sent no heartbeat yet: its worker is starting,
        or died before its first heartbeat."""
        if has_no_process(run) and not self._sends_heartbeats(instance, run):
            return _KILLED  # of a version before heartbeats; its asset keys may also differ
        if run.status == DagsterRunStatus.NOT_STARTED or not events_of(run):
            return None
        unheard = self._look(run.run_id, run.status.value)
        if unheard < _YOUNG_SECONDS or not self._sends_heartbeats(instance, run):
            return None
        if run.status != DagsterRunStatus.STARTING:
            # The heartbeat begins a moment after the start.
            return (
                f"It has sent no heartbeat in {unheard:.0f} seconds: its process was killed when it began."
                if unheard >= self._patience_seconds
                else None
            )
        alone = f"{run.run_id} without its server"
        left = left_by_its_server(run) if self._of_daemon else False
        if left is False:
            self._seen.pop(alone, None)
            return None
        gone = self._look(alone, "")
        if left is None:
            if gone < self._patience_seconds:
                return None
            return f"For {gone:.0f} seconds the code server that was to start its process does not answer, or does not know it."
        # Between the launch and the start of the process there is a moment, too.
        if gone < min(_LONGEST_GAP_SECONDS, self._patience_seconds):
            return None
        return "The code server that was to start its process has ended, or knows nothing of it."

    def _look(self, run_id: str, value: str) -> float:
        value = sha256(value.encode()).hexdigest()[:16]
        now, seen = self._clock(), self._seen.get(run_id)
        if seen is None or seen.value != value:
            self._seen[run_id] = _Seen(value, now)
            self._forget(now)
            return 0.0
        # Never negative: in another time namespace the same boot has another monotonic clock.
        seen.unchanged_seconds += min(max(0.0, now - seen.looked_at), _LONGEST_GAP_SECONDS)
        seen.looked_at = now
        return seen.unchanged_seconds

    def _forget(self, now: float) -> None:
        for run_id in [
            run_id for run_id, seen in self._seen.items() if now - seen.looked_at > _FORGET_SECONDS
        ]:
            del self._seen[run_id]

    def _sends_heartbeats(self, instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
        job = run.job_snapshot_id or ""
        if job not in self._jobs:
            self._jobs[job] = sends_heartbeats(instance, run)
        return self._jobs[job]

    @staticmethod
    def _free_slots(instance: dg.DagsterInstance) -> None:
        storage = instance.event_log_storage
        if storage.supports_global_concurrency_limits:
            for run_id in storage.get_concurrency_run_ids():
                found = instance.get_run_by_id(run_id)
                # Another project may have reasons to keep the pool places of its ended runs.
                ours = found is not None and (events_of(found) or is_of_a_terminal(found))
                if found is None or (found.is_finished and ours):
                    _free(instance, run_id)

    @staticmethod
    def _tidy(instance: dg.DagsterInstance, under_way: set[str]) -> None:
        """Remove lock files of runs that somebody else has ended."""
        if instance.is_ephemeral:
            return
        for run_id, mark in marks_in(lock_folder(instance)).items():
            if run_id not in under_way and mark.holder_lives() is False:
                mark.remove()


def end_run(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> bool:
    """Report a lost run as failed, or as cancelled if that was requested, and free its pool slots;
    False if it has ended meanwhile."""
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.is_finished:
        return False
    if now.status == DagsterRunStatus.CANCELING or asked_of(now)[0] == "cancel":
        # Not reported as failed: the daemon would start it again.
        instance.report_run_canceled(now, why)
    else:
        instance.report_run_failed(now, why)
    _free(instance, run.run_id)
    beat = beats_of(instance, [run.run_id]).get(run.run_id)
    if beat and beat.lock and beat.lock.holder_lives() is False:
        beat.lock.remove()
    return True


def _free(instance: dg.DagsterInstance, run_id: str) -> None:
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def build_sensor() -> dg.SensorDefinition:
    """The sensor that looks for lost runs while the code location is loaded."""

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=20,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs as failed whose process, container or host is gone, and frees their places in pools "
        "(docs/operating.md#lost-runs). Leave it on.",
    )
    def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        # The daemon restarts its code servers every minute, so what was seen is kept in Dagster's storage.
        eyes = LostRuns(of_daemon=True)
        eyes.recall(context.cursor)
        lost = eyes.end(context.instance)
        if (seen := eyes.memory()) != (context.cursor or ""):
            context.update_cursor(seen)
        return dg.SkipReason(f"lost: {', '.join(lost)}" if lost else "no run is lost")

    return lost_runs
