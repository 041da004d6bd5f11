"""Measures the work of one contender in its own process."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.compare.job import Measured
from benchmarks.compare.process_tree import cpu_seconds, machine_cpu_seconds, tree_cpu_seconds, tree_peak_mib
from benchmarks.compare.threads import ThreadTimes

# Set by the profiler: watching the threads has a small cost itself.
WATCH_THREADS = "BENCH_WATCH_THREADS"


class Clock:
    """Runs from the first read of the source to the last acknowledgement, and reports what the work took.

    A contender may put anything that it wants to report into `facts`, such as versions. `root` is the process
    that is measured with all processes that it starts: this process, unless a contender is its own server.
    """

    def __init__(self, broker_pid: int) -> None:
        self._broker_pid = broker_pid
        self._taken: tuple[float, float, float, float] | None = None
        self._peak_mib: float | None = None
        self.root = os.getpid()
        self.facts: dict[str, Any] = {}

    def _now(self) -> tuple[float, float, float, float]:
        return (
            time.monotonic(),
            tree_cpu_seconds(self.root),
            cpu_seconds(self._broker_pid),
            machine_cpu_seconds(),
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """The block contains the work, and nothing else."""
        threads = ThreadTimes(os.getpid()) if os.environ.get(WATCH_THREADS) else None
        used = threads.snapshot() if threads else {}
        before = self._now()
        yield
        seconds, cpu, broker, machine = (end - start for start, end in zip(before, self._now(), strict=True))
        others = max(0.0, machine - cpu - broker) / (seconds * (os.cpu_count() or 1))
        self._taken = seconds, cpu, broker, others
        if threads:
            threads.stop()
            now = threads.snapshot()
            self.facts["threads"] = {kind: now[kind] - used.get(kind, 0.0) for kind in now}

    def stop(self) -> None:
        """Take the peak memory, once; for contenders whose processes end before `measured` is called."""
        if self._peak_mib is None:
            self._peak_mib = tree_peak_mib(self.root)

    def measured(self, rows: int) -> Measured:
        """The result after the work is done; `rows` is how many records were acknowledged or made."""
        if self._taken is None:
            raise RuntimeError("the contender never started its clock")
        self.stop()
        seconds, cpu, broker, others = self._taken
        return Measured(rows, seconds, cpu, broker, self._peak_mib or 0.0, self.facts, others)
