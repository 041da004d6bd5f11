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
    storage = context.instance.event_log_storage
    limited = storage.supports_global_concurrency_limits and (
        storage.initialize_concurrency_limit_to_default(pool) or pool in storage.get_concurrency_keys()
    )
    if not limited:
        yield
        return
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
