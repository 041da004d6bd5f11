"""Ends a query as soon as the process is told to stop.

Python runs a signal's handler in the main thread, after the current call of this thread has returned;
a query may take minutes. But Python writes the signal's number to a file descriptor at once, and a
thread reads from that descriptor.
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
    """Within the block, a request to stop calls `interrupt` from another thread. Works in the main thread; in
    another thread it does nothing."""
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
    if _writing is None or _process != os.getpid():  # after a fork: no thread reads the pipe here
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
    # A separate function: if a thread still holds a query when the process ends, DuckDB reports leaks.
    for interrupt in list(_interrupts):
        with suppress(Exception):  # the query has ended in the meantime
            interrupt()
