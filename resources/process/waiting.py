"""Reports what a process waits for, if a server or a disk has not answered for a few seconds.

One thread checks all waits once a second, so a wait costs only one entry in a dict. The reports go to the
logger `sluice.waiting`; a command shows them on stderr, a run shows them in its log.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from resources.errors import readable

FIRST_SECONDS, AGAIN_SECONDS = 5.0, 60.0
_LOOK_SECONDS = 1.0

log = logging.getLogger("sluice.waiting")
log.addHandler(logging.NullHandler())
log.setLevel(logging.INFO)
log.propagate = False


class _Wait:
    def __init__(self, what: str, began: float, said: float | None) -> None:
        self.what, self.began, self.said = what, began, said


class Waits:
    """The waits of a process. `say` gets a sentence about each wait that takes long."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._waits: dict[int, _Wait] = {}
        self._waiting: set[int] = set()  # ids of threads
        # When a wait given by `since` was last reported. Such a wait consists of many
        # short blocks, so this must be kept.
        self._said: dict[tuple[str, float], float | None] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def waiting_for(self, what: str, *, since: float | None = None) -> Iterator[None]:
        """Inside the block, the process waits for `what`: a server by its address, a pool, a file.

        `since`: when the wait began (`time.monotonic`), if the block is one of
        several that belong to the same wait.
        """
        thread = threading.get_ident()
        if thread in self._waiting:  # part of the outer block's wait, which is reported once
            yield
            return
        known = None if since is None else self._said.get((what, since))
        wait = _Wait(what, self._clock() if since is None else since, known)
        self._waits[id(wait)] = wait
        self._waiting.add(thread)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._watch, name="sluice-waiting", daemon=True)
            self._thread.start()
        try:
            yield
        finally:
            del self._waits[id(wait)]
            self._waiting.discard(thread)
            if since is not None and wait.said != known:
                self._said = {(what, since): wait.said}

    def look(self) -> None:
        """Report each wait that has lasted long enough that somebody should know."""
        now = self._clock()
        for wait in list(self._waits.values()):
            waited = now - wait.began
            if wait.said is None and waited >= FIRST_SECONDS:
                self._say(readable(f"waiting for {wait.what} (for {waited:.0f} s)"))
            elif wait.said is not None and now - wait.said >= AGAIN_SECONDS:
                self._say(readable(f"still waiting for {wait.what} (for {waited:.0f} s)"))
            else:
                continue
            wait.said = now

    def _watch(self) -> None:
        never = threading.Event()
        while not never.wait(_LOOK_SECONDS):
            self.look()


_process = Waits(log.info)
waiting_for = _process.waiting_for


class _Telling(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = say

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._tell(record.getMessage())
        except Exception:
            self.handleError(record)


@contextmanager
def telling(say: Callable[[str], None]) -> Iterator[None]:
    """Inside the block, `say` gets the reports of what the process waits for; it
    is called in another thread."""
    handler = _Telling(say)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
