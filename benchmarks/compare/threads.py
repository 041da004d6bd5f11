"""CPU time of a process by kind of thread, including threads that ended; measured by repeated sampling."""

import os
import re
import threading
from collections import Counter
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_SECONDS = 0.02


class ThreadTimes:
    """Watches every thread of a process, until stopped.

    librdkafka and others name their threads; a numbered name (`rdk:broker1`) counts for its kind
    (`rdk:broker`).
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: dict[int, tuple[str, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._look()
            self._stop.wait(_EVERY_SECONDS)

    def _look(self) -> None:
        for task in Path(f"/proc/{self._pid}/task").glob("*"):
            try:
                head, _, rest = (task / "stat").read_text().rpartition(")")
            except OSError:
                continue
            ticks = sum(int(part) for part in rest.split()[11:13])
            self._seen[int(task.name)] = (head.partition("(")[2], ticks / _TICKS)

    def snapshot(self) -> Counter[str]:
        """CPU seconds so far, by kind of thread; `main` is the first thread."""
        self._look()
        found: Counter[str] = Counter()
        for tid, (name, seconds) in self._seen.items():
            kind = "main" if tid == self._pid else re.sub(r"[\d/]+$", "", name).rstrip(":-_")
            found[kind] += seconds  # type: ignore[assignment]
        return found

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
