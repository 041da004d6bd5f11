"""Python's garbage collector while many events are loaded."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# For fewer events the collector costs no time that matters.
MANY = 100


@contextmanager
def collection_paused() -> Iterator[None]:
    """No garbage collection in the block. Otherwise a fifth of the load's time goes to the collector, which
    visits the new objects again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def keep(events: int) -> None:
    """After a load of many events: their objects stay as long as the process, so the collector does not visit
    them again, neither here nor in the runs that follow. An object that nothing refers to is freed all the
    same."""
    if events >= MANY:
        gc.freeze()


def let_go(events: int) -> None:
    """Before many events are loaded again: frees the objects of an earlier load that nothing refers to any
    more. Modules and their functions refer to each other, so without this every load would use more memory
    than the last."""
    if events >= MANY and gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
