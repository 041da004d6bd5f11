"""Whether a query ended because of `cancel`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A driver ignores a request that comes before its query has begun, so the request is repeated.
_AGAIN_SECONDS = 0.05


class Cancellation:
    """The request of `Warehouse.cancel`, while a call waits for its query. It ends only the call that runs at
    that moment; a request while nothing runs has no later effect."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: list[object] = []  # one call, and the calls inside it
        self.was_asked = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within the block, a call waits for the warehouse. `was_asked` belongs to that
        call until the next one begins."""
        call = object()
        with self._changed:
            if not self._running:
                self.was_asked = False
            self._running.append(call)
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(call)
                self._changed.notify_all()

    def ask(self, end: Callable[[], None]) -> None:
        """End the running call with `end`, and return after it has ended. If no call runs, return at once."""
        with self._changed:
            if not self._running:
                return
            call, self.was_asked = self._running[0], True
            while call in self._running:
                end()
                self._changed.wait(_AGAIN_SECONDS)
