"""The heartbeat of a run: a counter in Dagster's storage that grows as long as the run's process lives.

Every process that shares the storage sees it, on any host and in any container. Beside the counter the
storage has the mark of a file that the process keeps locked: on the same machine the lock says at once
whether the process lives (docs/decisions/0022-a-run-has-a-heartbeat.md).
"""

import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from pipelines.orchestration.keys import HEARTBEAT
from resources.errors import readable
from resources.process.lock import LockMark, ProcessLock

EVERY_SECONDS = 15.0
_KEY = "sluice/alive/"
_AT_ONCE = 500  # run ids in one query
_FOLDER = "sluice-runs"
_log = logging.getLogger(__name__)
# Runs of this process that have a heartbeat already: a run of a terminal has one before Dagster knows it.
_beating: set[str] = set()
os.register_at_fork(after_in_child=_beating.clear)


@dataclass(frozen=True)
class Beat:
    """The newest heartbeat of a run. `value` changes with each heartbeat;
    `lock`: None if the host has no such file."""

    value: str
    lock: LockMark | None


@dg.resource(
    config_schema={},
    description="Writes a heartbeat into Dagster's storage while the run's process lives, so that a run whose process, "
    "container or host is gone is marked as failed.",
)
def heartbeat(context: dg.InitResourceContext) -> Iterator[None]:
    """The heartbeat as a resource:
    Dagster starts it before the run's steps wait for their places in pools."""
    if context.instance is None or context.run is None:
        yield
        return
    with beating(context.instance, context.run.run_id):
        yield


@contextmanager
def beating(
    instance: dg.DagsterInstance, run_id: str, *, every_seconds: float = EVERY_SECONDS
) -> Iterator[None]:
    """Send heartbeats for the run during the block.
    They continue even if the storage does not answer for a while."""
    if run_id in _beating or instance.is_ephemeral:
        yield
        return
    lock = ProcessLock.hold(lock_folder(instance), run_id)
    heart = _Heart(instance, run_id, lock, every_seconds)
    _beating.add(run_id)
    heart.start()
    try:
        yield
    finally:
        # A forked child that leaves the block has neither the thread nor the lock.
        if heart.is_own:
            heart.stop()
            _beating.discard(run_id)
            if lock is not None:
                lock.release()


class _Heart:
    def __init__(
        self, instance: dg.DagsterInstance, run_id: str, lock: ProcessLock | None, every_seconds: float
    ) -> None:
        self._instance, self._run_id, self._every_seconds = instance, run_id, every_seconds
        self._lock = lock.mark.as_dict() if lock else None
        self._count, self._faults = 0, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="sluice-heartbeat", daemon=True)
        self._pid = os.getpid()

    @property
    def is_own(self) -> bool:
        return os.getpid() == self._pid

    def start(self) -> None:
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        # The thread may wait for a storage that does not answer. The run does not wait for it.
        self._thread.join(5)
        if not self._thread.is_alive():
            self._write("{}")

    def _go_on(self) -> None:
        while not self._over.wait(self._every_seconds):
            self._beat()

    def _beat(self) -> None:
        self._count += 1
        beat: dict[str, object] = {"beat": self._count}
        if self._lock is not None:
            beat["lock"] = self._lock
        self._write(json.dumps(beat))

    def _write(self, value: str) -> None:
        try:
            self._instance.daemon_cursor_storage.set_cursor_values({_KEY + self._run_id: value})
        except Exception as error:  # of any storage, with any driver
            if not self._faults:
                _log.warning(
                    "the heartbeat of run %s could not be written: %s: %s; it is tried again every %g s",
                    self._run_id,
                    type(error).__name__,
                    readable(str(error)).partition("\n")[0],
                    self._every_seconds,
                )
            self._faults += 1
        else:
            if self._faults:
                _log.warning("the heartbeat of run %s is written again", self._run_id)
            self._faults = 0


def beats_of(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> Mapping[str, Beat]:
    """The newest heartbeat of each run that has one, by run id."""
    wanted: list[str] = list(run_ids)
    found: dict[str, str] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        keys = {_KEY + run_id for run_id in wanted[first : first + _AT_ONCE]}
        found.update(instance.daemon_cursor_storage.get_cursor_values(keys))
    return {key.removeprefix(_KEY): _parsed(value) for key, value in found.items()}


def _parsed(value: str) -> Beat:
    try:
        told = json.loads(value)
        lock = LockMark.from_dict(told["lock"]) if "lock" in told else None
    except (ValueError, TypeError):
        lock = None
    return Beat(value, lock)


def lock_folder(instance: dg.DagsterInstance) -> Path:
    """The folder for the lock files of this machine's runs: in Dagster's home."""
    return Path(instance.root_directory) / _FOLDER


def sends_heartbeats(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the job of a run has the heartbeat, by the job's snapshot in Dagster's storage. Jobs of other
    projects and of older versions have none."""
    if run.job_snapshot_id is None:
        return False
    job = instance.get_job_snapshot(run.job_snapshot_id)
    return any(
        resource.name == HEARTBEAT for mode in job.mode_def_snaps for resource in mode.resource_def_snaps
    )
