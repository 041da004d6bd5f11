"""Worker processes as their parent sees them: started, given runs, listened to, ended. Imports nothing large,
so that workers can be started first, and load what they need while their parent does the same."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import IO, Any

from resources.settings import ROOT, find_project

_END_SECONDS = 5.0
_BEGIN = "import sys; sys.path.insert(0, sys.argv[1]); from pipelines.cli.runs.worker import main; main()"

Heard = tuple["Process | None", str, Any]
"""The process (None: a signal handler), the kind and the content: `told` (a message), `words` (other output),
`gone` (its exit code; the last one) or `stop`."""


class Process:
    """One worker. Its messages and output go into `heard`, from their own threads."""

    def __init__(self, heard: "queue.SimpleQueue[Heard]") -> None:
        self._heard = heard
        self._process = subprocess.Popen(
            # Found by the location of this package and of this project,
            # whatever the working directory contains.
            [sys.executable, "-P", "-c", _BEGIN, str(ROOT)],
            env={**os.environ, **find_project().environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            # A terminal's Ctrl-C goes to the parent only, which passes it on once.
            process_group=0,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None and self._process.stderr is not None
        self._words = threading.Thread(target=self._overhear, args=(self._process.stderr,), daemon=True)
        self._words.start()
        self._told = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._told.start()

    def give(self, job: Mapping[str, Any]) -> None:
        """Give it this run."""
        assert self._process.stdin is not None
        with suppress(OSError):  # if the process is gone, `heard` gets that
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()

    def stop(self) -> None:
        """Give it no further run; the run in progress ends cleanly."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def kill(self) -> None:
        """End it at once, and wait until it has ended."""
        self._process.kill()
        self._told.join(_END_SECONDS)
        self.stop()

    def _overhear(self, words: IO[str]) -> None:
        with words:
            for line in words:
                self._heard.put((self, "words", line.rstrip("\n")))

    def _listen(self, told: IO[str]) -> None:
        with told:
            for line in told:
                with suppress(ValueError):  # a partial line of a process that was killed
                    self._heard.put((self, "told", json.loads(line)))
        self._words.join(_END_SECONDS)
        self._heard.put((self, "gone", self._process.wait()))


class Processes:
    """Up to `most` workers at a time; workers that are alive at the end of the block are killed."""

    def __init__(self, most: int) -> None:
        self.most = most
        # Signal handlers put into it too; a SimpleQueue is safe for that.
        self.heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self.alive: set[Process] = set()
        self.idle: list[Process] = []

    def __enter__(self) -> "Processes":
        self.idle = [self._started() for _ in range(self.most)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.alive:
            process.kill()

    def free(self) -> Process | None:
        """A process that has nothing to do:
        an idle one, or a new one if fewer than `most` are alive; otherwise None."""
        if self.idle:
            return self.idle.pop()
        return self._started() if len(self.alive) < self.most else None

    def let_go(self) -> None:
        """End the idle ones."""
        for process in self.idle:
            process.stop()
        self.idle.clear()

    def gone(self, process: Process) -> None:
        """Record that it has ended."""
        process.stop()
        self.alive.discard(process)
        if process in self.idle:
            self.idle.remove(process)

    def _started(self) -> Process:
        process = Process(self.heard)
        self.alive.add(process)
        return process
