"""When a run closes a warehouse file that nobody can write to while it is open."""

import time
from collections.abc import Callable
from threading import Lock, Timer

# Small windows keep a file open for at most this long if others want to write to it.
_HELD_SECONDS = 2.0


class HeldFiles:
    """The files of one run, which reads its warehouse only between `reading` and `read`; `give_back` closes
    the files.

    To open a file again takes as long as a third of a small window. So the file stays open for a while
    between small windows. A thread closes it if what follows takes longer (a slow transform, brokers that
    throttle, a ledger that waits).
    """

    def __init__(self, give_back: Callable[[], None], *, held_seconds: float | None = None) -> None:
        self._give_back = give_back
        self._held_seconds = _HELD_SECONDS if held_seconds is None else held_seconds
        self._opened_at = time.monotonic()
        self._lock, self._open = Lock(), True
        self._timer: Timer | None = None

    def reading(self) -> None:
        """The run starts to read its warehouse. If the file is still open, it is not closed before `read`."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        with self._lock:  # waits for a thread that is closing the file
            if not self._open:
                self._opened_at, self._open = time.monotonic(), True

    def read(self, *, at_once: bool) -> None:
        """The run has read a window. `at_once`: it reads nothing more for a long time."""
        left = self._opened_at + self._held_seconds - time.monotonic()
        if at_once or left <= 0:
            self.now()
        else:
            self._timer = Timer(left, self._in_time, (self._opened_at,))
            self._timer.daemon = True
            self._timer.start()

    def now(self) -> None:
        """Close the file now; for example while the run waits."""
        with self._lock:
            self._open = False
            self._give_back()

    def _in_time(self, opened_at: float) -> None:
        with self._lock:
            if self._open and self._timer is not None and self._opened_at == opened_at:
                self._open = False
                self._give_back()

    def close(self) -> None:
        """Cancel a pending close: the run is over,
        or reads its warehouse for something else than a window."""
        self.reading()
