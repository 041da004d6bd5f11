"""When a run gives back the file of a warehouse that nobody can write to while it is open."""

import time
from collections.abc import Callable
from threading import Lock, Timer

# So long at most small windows keep a file open that others want to write to.
_HELD_SECONDS = 2.0


class HeldFiles:
    """Of one run, which reads its warehouse between `reading` and `read` only; `give_back` closes the files.

    Opening a file again takes as long as a third of a small window, so between small windows it stays open for a while: a
    thread gives it back where what follows (a slow transform, brokers that throttle, a ledger that waits) takes longer.
    """

    def __init__(self, give_back: Callable[[], None], *, held_seconds: float | None = None) -> None:
        self._give_back = give_back
        self._held_seconds = _HELD_SECONDS if held_seconds is None else held_seconds
        self._opened_at = time.monotonic()
        self._lock, self._open = Lock(), True
        self._timer: Timer | None = None

    def reading(self) -> None:
        """The run reads its warehouse from now on. The file, if it is still open, is not given back before `read`."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        with self._lock:  # a thread that gives it back just now comes to its end
            if not self._open:
                self._opened_at, self._open = time.monotonic(), True

    def read(self, *, at_once: bool) -> None:
        """The run has read a window. `at_once`: it reads nothing more for long."""
        left = self._opened_at + self._held_seconds - time.monotonic()
        if at_once or left <= 0:
            self.now()
        else:
            self._timer = Timer(left, self._in_time, (self._opened_at,))
            self._timer.daemon = True
            self._timer.start()

    def now(self) -> None:
        """Give the file back; while the run waits, say."""
        with self._lock:
            self._open = False
            self._give_back()

    def _in_time(self, opened_at: float) -> None:
        with self._lock:
            if self._open and self._timer is not None and self._opened_at == opened_at:
                self._open = False
                self._give_back()

    def close(self) -> None:
        """The run is over, or reads its warehouse for something else than a window."""
        self.reading()
