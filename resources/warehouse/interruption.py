"""Ends a query as soon as the process is told to stop.

Python runs a signal's handler in the main thread, when the call that this thread is in returns; a query may take minutes.
But it writes the number of the signal to a file descriptor at once, and a thread reads that one.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_STOPS = (signal.SIGINT, signal.SIGTERM)

_interrupts: list[Callable[[], None]] = []
_writing: int | None = None
_process: int | None = None


@contextmanager
def ended_by_signals(interrupt: Callable[[], None]) -> Iterator[None]:
    """Within the block, which runs in the main thread, a request to stop calls `interrupt`, from another thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.set_wakeup_fd(_descriptor(), warn_on_full_buffer=False)
    _interrupts.append(interrupt)
    try:
        yield
    finally:
        _interrupts.remove(interrupt)
        signal.set_wakeup_fd(before)


def _descriptor() -> int:
    global _writing, _process
    if _writing is None or _process != os.getpid():  # a forked child has no thread that reads its parent's
        reading, _writing = os.pipe()
        os.set_blocking(_writing, False)
        _process = os.getpid()
        threading.Thread(target=_read, args=(reading,), name="sluice-interrupts", daemon=True).start()
    return _writing


def _read(reading: int) -> None:
    while data := os.read(reading, 64):
        if any(number in _STOPS for number in data):
            _interrupt_all()


def _interrupt_all() -> None:
    # A function of its own: a thread that still holds a query at the process's end makes DuckDB report leaks.
    for interrupt in list(_interrupts):
        with suppress(Exception):  # its query has ended meanwhile
            interrupt()
