"""Python's garbage collector while many events are loaded."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Fewer are loaded before the collector has cost anything.
MANY = 100


@contextmanager
def collection_paused() -> Iterator[None]:
    """Without it a fifth of a load goes to the collector, which visits what is being built over and over."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def keep(events: int) -> None:
    """What many events came to stays as long as the process: the collector need not visit it again, neither here
    nor in the runs that follow. What nothing refers to any more is given back all the same."""
    if events >= MANY:
        gc.freeze()


def let_go(events: int) -> None:
    """Before so many events are loaded again: what an earlier load kept, and nothing refers to any more, is given
    back. Modules and their functions refer to each other, so without this every load would add to the last."""
    if events >= MANY and gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
