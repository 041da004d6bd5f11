"""Who listens to a run of this process: a terminal that shows what the run tells."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.run_events import RunEvent, Tell

_listeners: dict[str, Tell] = {}


@contextmanager
def listening(run_id: str, tell: Tell) -> Iterator[None]:
    """Within the block `tell` gets what the run tells."""
    _listeners[run_id] = tell
    try:
        yield
    finally:
        del _listeners[run_id]


def tell_listener(run_id: str, event: RunEvent) -> None:
    """To whoever listens; to nobody in the UI, where the run's log has it."""
    listener = _listeners.get(run_id)
    if listener is not None:
        listener(event)
