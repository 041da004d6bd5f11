"""The producer of a run's next window, connected while there is something else to do.

To connect takes three times as long as to claim a window over a connection. Nothing is claimed ahead: a producer that
stands by fences nobody, the brokers have noted nothing of it, and whoever claims the window meanwhile keeps it until
this run's turn has come.
"""

from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread

from resources.kafka.transactions import TransactionalProducer

# Brokers that do not answer are told of by the claim, which waits for them.
_SECONDS = 1.0


class Standby:
    """At most one producer that stands by. To be closed; not for use by several threads."""

    def __init__(self) -> None:
        self._next: _Connecting | None = None

    def prepare(self, key: str, make: Callable[[], TransactionalProducer]) -> None:
        """Begin to make ready the producer of `key`, in a thread; one that still stands by is freed."""
        self.close()
        self._next = _Connecting(key, make)

    def take(self, key: str) -> TransactionalProducer | None:
        """The producer of `key`, the caller's from now on; None where there is none, or it could not be made. One of
        another key is freed: its window was left out."""
        standing, self._next = self._next, None
        if standing is None:
            return None
        if standing.key != key:
            standing.close()
            return None
        return standing.take()

    def close(self) -> None:
        """Free what stands by."""
        standing, self._next = self._next, None
        if standing is not None:
            standing.close()


class _Connecting:
    """A producer that a thread makes and connects. Freed by whoever sees last that nobody wants it."""

    def __init__(self, key: str, make: Callable[[], TransactionalProducer]) -> None:
        self.key = key
        self._make = make
        self._made: TransactionalProducer | None = None
        self._wanted, self._lock = True, Lock()
        # No daemon: the library that it works in must not be taken down below it when the process ends.
        self._thread = Thread(target=self._connect, name="sluice-standby")
        self._thread.start()

    def _connect(self) -> None:
        # Whoever claims the window in its turn is told what stands in the way.
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
        # Nothing of it is left behind; a thread whose brokers are away has given up in a second.
        self._thread.join()
