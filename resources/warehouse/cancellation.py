"""Whether a query that ended was ended by `cancel`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A driver ignores a request that comes before its query has begun, so the request is repeated.
_AGAIN_SECONDS = 0.05


class Cancellation:
    """What `Warehouse.cancel` has asked for, while a call waits for its query. Only the call that runs then is ended: a request
    while nothing runs ends nothing later."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: list[object] = []  # one call, and those within it
        self.was_asked = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """A call waits for the warehouse within the block. `was_asked` is about that call until the next one begins."""
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
        """End the call that runs, by `end`, and return when it has ended; at once where none runs."""
        with self._changed:
            if not self._running:
                return
            call, self.was_asked = self._running[0], True
            while call in self._running:
                end()
                self._changed.wait(_AGAIN_SECONDS)
