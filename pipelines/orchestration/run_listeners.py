"""The listener of a run in this process: a terminal that shows the run's events."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.run_events import RunEvent, Tell

_listeners: dict[str, Tell] = {}


@contextmanager
def listening(run_id: str, tell: Tell) -> Iterator[None]:
    """During the block, `tell` gets the run's events."""
    _listeners[run_id] = tell
    try:
        yield
    finally:
        del _listeners[run_id]


def tell_listener(run_id: str, event: RunEvent) -> None:
    """Give the event to the run's listener. A run of the UI has no listener; its log has the event."""
    listener = _listeners.get(run_id)
    if listener is not None:
        listener(event)
