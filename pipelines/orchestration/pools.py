"""A warehouse's concurrency limit, kept in Dagster's own pools.

An op belongs to one pool, and an event's op belongs to its topic's. A run that sources also claims a slot of
its warehouse's pool, from the same storage, so the limit is set and seen in the UI like any other (Deployment,
Concurrency) and is freed by Dagster when a run dies.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

_ASK_EVERY_SECONDS = 1.0


@contextmanager
def pool_slot(context: dg.AssetExecutionContext, pool: str, claimant: str) -> Iterator[None]:
    """Hold a slot of `pool` for the block; waits, and says so, while none is free. No limit set: no wait."""
    if not _limited(context.instance, pool):
        yield
        return
    storage = context.instance.event_log_storage
    said = False
    while not storage.claim_concurrency_slot(pool, context.run.run_id, claimant).is_claimed:
        if not said:
            said = True
            context.log.info(f"{claimant}: waiting for a slot of the pool {pool}")
        time.sleep(_ASK_EVERY_SECONDS)
    try:
        yield
    finally:
        storage.free_concurrency_slot_for_step(context.run.run_id, claimant)


def _limited(instance: dg.DagsterInstance, pool: str) -> bool:
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return False
    # Asked first: giving a pool the default limit overwrites the one that an operator set, and where there is no
    # default it leaves a pool without slots, for which a claim would wait for ever.
    if pool in {limit.name for limit in storage.get_pool_limits()}:
        return True
    if instance.global_op_concurrency_default_limit is None:
        return False
    return storage.initialize_concurrency_limit_to_default(pool)
