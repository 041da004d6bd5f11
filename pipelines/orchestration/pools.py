"""Concurrency limits, kept in Dagster's own pools, and what a run reports while it waits for a place in a
pool.

An op belongs to one pool, and an event's op belongs to its topic's pool. A run that sources also claims a
slot of its warehouse's pool, from the same storage. So the limit is set and seen in the UI like any other
(Deployment, Concurrency), and Dagster frees the slot when a run dies.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from pipelines.dagster_private import PoolGranularity
from pipelines.run_events import Tell, Waiting, WentOn
from resources.wording import noun

_ASK_EVERY_SECONDS = 1.0
_SAY_EVERY_SECONDS = 30.0
_LOOK_EVERY = 10
# If a slot is free, it is taken within this time.
_SAY_AFTER_SECONDS = 2.0


@contextmanager
def pool_slot(
    context: dg.AssetExecutionContext,
    pool: str,
    claimant: str,
    *,
    tell: Tell = lambda _: None,
    look: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold a slot of `pool` for the block. While no slot is free, wait and report it. If no limit is set, do
    not wait.

    `look` is called once a second during the wait, and may raise.
    """
    if not _limited(context.instance, pool):
        yield
        return
    storage, run_id = context.instance.event_log_storage, context.run.run_id
    waiting = _Waiting(context.instance, pool, tell)
    try:
        while not storage.claim_concurrency_slot(pool, run_id, claimant).is_claimed:
            waiting.go_on()
            look()
            time.sleep(_ASK_EVERY_SECONDS)
        waiting.over()
        yield
    finally:
        # Also if the slot was not reached: a pending claim would be given the next slot.
        storage.free_concurrency_slot_for_step(run_id, claimant)


def wait_for_pool(
    instance: dg.DagsterInstance,
    pool: str,
    *,
    tell: Tell,
    look: Callable[[], object] = lambda: None,
) -> None:
    """Before a run begins in this process: while every slot of `pool` is taken, wait and report it.

    Dagster would wait within the run: it would keep one core busy, report only in the run's log, and ignore
    Ctrl-C. Dagster still claims the slot itself; if another run is faster by a moment, this run waits there.
    `look` is called every ten seconds.
    """
    waiting, rounds = _Waiting(instance, pool, tell), 0
    while _is_full(instance, pool):
        waiting.go_on()
        time.sleep(_ASK_EVERY_SECONDS)
        rounds += 1
        if rounds % _LOOK_EVERY == 0:
            look()
    waiting.over()


def _is_full(instance: dg.DagsterInstance, pool: str) -> bool:
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return False
    if instance.get_concurrency_config().pool_config.pool_granularity == PoolGranularity.RUN:
        return False  # then Dagster counts runs of its queue, and this one is not in it
    if pool not in {limit.name for limit in storage.get_pool_limits()}:
        return False
    info = storage.get_concurrency_info(pool)
    return info.active_slot_count >= info.slot_count


@contextmanager
def telling_of_pool(instance: dg.DagsterInstance, pool: str, run_id: str, *, tell: Tell) -> Iterator[None]:
    """While a run in this process still waits for its slot of `pool`,
    because another run took it at that moment: report it."""
    over = threading.Event()
    arguments = (instance, pool, run_id, tell, over)
    thread = threading.Thread(target=_watch, args=arguments, name="sluice-pool", daemon=True)
    if instance.event_log_storage.supports_global_concurrency_limits:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.is_alive():
            thread.join(_ASK_EVERY_SECONDS * 5)


def _watch(
    instance: dg.DagsterInstance,
    pool: str,
    run_id: str,
    tell: Tell,
    over: threading.Event,
) -> None:
    waiting, pause = _Waiting(instance, pool, tell), _SAY_AFTER_SECONDS
    while not over.wait(pause):
        pause = _ASK_EVERY_SECONDS
        info = instance.event_log_storage.get_concurrency_info(pool)
        if run_id in info.active_run_ids:
            waiting.over()
            return
        if run_id in info.pending_run_ids:
            waiting.go_on()


class _Waiting:
    """Reports that a run waits for a pool: at once, every 30 s, and at the end."""

    def __init__(self, instance: dg.DagsterInstance, pool: str, tell: Tell) -> None:
        self._instance, self._pool, self._tell = instance, pool, tell
        self._began: float | None = None
        self._said = 0.0

    def go_on(self) -> None:
        now = time.monotonic()
        if self._began is None or now - self._said >= _SAY_EVERY_SECONDS:
            seconds = 0.0 if self._began is None else now - self._began
            what = f"a place in pool {self._pool}: {self._holders()}"
            self._tell(Waiting(cause="pool", what=what, seconds=seconds))
            self._began, self._said = self._began or now, now

    def over(self) -> None:
        if self._began is not None:
            what = f"has its place in pool {self._pool}"
            self._tell(WentOn(cause="pool", seconds=time.monotonic() - self._began, what=what))

    def _holders(self) -> str:
        info = self._instance.event_log_storage.get_concurrency_info(self._pool)
        runs = sorted(run_id[:8] for run_id in info.active_run_ids)
        if not runs:
            return f"its limit is {info.slot_count}"
        return f"{noun(len(runs), 'run')} {', '.join(runs)} {noun(len(runs), 'has', 'have')} it"


def _limited(instance: dg.DagsterInstance, pool: str) -> bool:
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return False
    # Checked first: to give a pool the default limit overwrites the limit that an operator set. If there is
    # no default, it would leave a pool without slots, and a claim would wait for ever.
    if pool in {limit.name for limit in storage.get_pool_limits()}:
        return True
    if instance.global_op_concurrency_default_limit is None:
        return False
    return storage.initialize_concurrency_limit_to_default(pool)
