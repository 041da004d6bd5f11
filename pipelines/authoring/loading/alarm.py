"""A time limit for code that an author wrote."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def alarm(seconds: float, error: type[BaseException]) -> Iterator[list[bool]]:
    """Raise `error` in the block after `seconds`; from then on the list is not empty.

    This works in the main thread, between two steps of Python. In other threads there is no limit.
    """
    rang: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield rang
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        rang.append(True)
        raise error

    handler = signal.signal(signal.SIGALRM, ring)
    before, began = signal.setitimer(signal.ITIMER_REAL, seconds)[0], time.monotonic()
    try:
        yield rang
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if before:  # another timer was running
            signal.setitimer(signal.ITIMER_REAL, max(0.001, before - (time.monotonic() - began)))
