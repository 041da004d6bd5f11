"""The producer of a run's next window, connected while the run is busy with another window.

A connection takes three times as long as the claim of a window over it. Nothing is claimed ahead: a prepared
producer fences nobody, and the brokers have stored nothing of it. Another run that claims the window
meanwhile keeps it until it is this run's turn.
"""

from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread

from resources.kafka.transactions import TransactionalProducer

# If brokers do not answer, the claim reports it. The claim waits for them longer.
_SECONDS = 1.0


class Standby:
    """At most one prepared producer. Close it after use; not for use by several threads."""

    def __init__(self) -> None:
        self._next: _Connecting | None = None

    def prepare(self, key: str, make: Callable[[], TransactionalProducer]) -> None:
        """Start to prepare the producer of `key`, in a thread. An earlier prepared producer is freed."""
        self.close()
        self._next = _Connecting(key, make)

    def take(self, key: str) -> TransactionalProducer | None:
        """The producer of `key`; the caller owns it from now on. None if there is none, or it could not be
        made. A producer of another key is freed: its window was left out."""
        standing, self._next = self._next, None
        if standing is None:
            return None
        if standing.key != key:
            standing.close()
            return None
        return standing.take()

    def close(self) -> None:
        """Free the prepared producer."""
        standing, self._next = self._next, None
        if standing is not None:
            standing.close()


class _Connecting:
    """A producer that a thread makes and connects.
    If nobody wants it any more, `close` or the thread frees it, whichever comes later."""

    def __init__(self, key: str, make: Callable[[], TransactionalProducer]) -> None:
        self.key = key
        self._make = make
        self._made: TransactionalProducer | None = None
        self._wanted, self._lock = True, Lock()
        # Not a daemon thread: the client library must not be unloaded while the
        # thread is in it, when the process ends.
        self._thread = Thread(target=self._connect, name="sluice-standby")
        self._thread.start()

    def _connect(self) -> None:
        # An error is ignored here: the run gets it when it claims the window in its turn.
        with suppress(Exception):
            made = self._make()
            made.connect(_SECONDS)
            with self._lock:
                if self._wanted:
                    self._made = made
                    return
            made.close()

    def take(self) -> TransactionalProducer | None:
        self._thread.join()
        made, self._made = self._made, None
        return made

    def close(self) -> None:
        with self._lock:
            self._wanted = False
            made, self._made = self._made, None
        if made is not None:
            made.close()
        # Nothing of it is left; if the brokers do not answer, the thread gives up after a second.
        self._thread.join()
