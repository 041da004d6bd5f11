"""Launched processes, as the test that kills them sees them."""

import multiprocessing
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from tests.chaos import stages
from tests.chaos.launch import Order, run

ROOT = Path(__file__).resolve().parents[2]
# Longer than any wait within a launch: a claim 60 s, a commit 90 s, the ledger's end 120 s.
PATIENCE_SECONDS = 200.0


@dataclass(frozen=True)
class Mark:
    """A report of a process: it entered (`+`) or left (`-`) a stage,
    or found this many rows of so many in the ledger (`!`)."""

    at_ns: int
    sign: str
    what: str


class _Process(Protocol):
    @property
    def pid(self) -> int | None: ...

    @property
    def exitcode(self) -> int | None: ...

    def join(self, timeout: float | None = None) -> None: ...


class Launched:
    """A launch that runs, was killed or has ended. `marks`: all that it reported so far."""

    def __init__(self, process: _Process, pipe: int, log: Path) -> None:
        self._process, self._pipe, self.log = process, pipe, log
        self.marks: list[Mark] = []
        self._rest = b""
        self._ended = False
        os.set_blocking(pipe, False)
        # A handle of the process: by the time a signal is sent, its pid may belong to another process.
        self._descriptor = os.pidfd_open(process.pid or 0) if hasattr(os, "pidfd_open") else None

    @property
    def said(self) -> str:
        """What it printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def reach(self, stage: str, occurrence: int = 0, *, seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait until the stage is entered for the time number `occurrence` (from 0);
        False if the process ends before."""
        deadline, seen, looked = time.monotonic() + seconds, 0, 0
        while True:
            for mark in self.marks[looked:]:
                if mark.sign == "+" and mark.what == stage:
                    if seen == occurrence:
                        return True
                    seen += 1
            looked = len(self.marks)
            if self._ended or time.monotonic() > deadline:
                return False
            self._take(min(1.0, seconds))

    def kill(self) -> bool:
        """SIGKILL, then read everything that it reported before; False if it had ended by itself."""
        self.send(signal.SIGKILL)
        self._process.join()
        while not self._ended:
            self._take(1.0)
        return self.code == -signal.SIGKILL

    def send(self, number: int) -> None:
        """Signal the process, if it still runs."""
        with suppress(ProcessLookupError):
            if self._descriptor is not None:
                signal.pidfd_send_signal(self._descriptor, number)
            elif self.code is None:
                os.kill(self._process.pid or 0, number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int | None:
        """Its exit code; if it does not end in time, it is killed, and the result is None."""
        deadline = time.monotonic() + seconds
        while not self._ended and time.monotonic() < deadline:
            self._take(1.0)
        if not self._ended:
            self.kill()
            return None
        self._process.join()
        return self.code

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def drain(self) -> None:
        """Read what it has reported so far."""
        before = -1
        while before != len(self.marks) and not self._ended:
            before = len(self.marks)
            self._take(0)

    def _take(self, seconds: float) -> None:
        ready, _, _ = select.select([self._pipe], [], [], seconds)
        if not ready:
            return
        data = os.read(self._pipe, 1 << 16)
        if not data:
            self._ended = True
            os.close(self._pipe)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            at, sign, what = line.decode().split(" ", 2)
            self.marks.append(Mark(int(at), sign, what))

    @property
    def position(self) -> tuple[str, str]:
        """("in" | "after", stage): the innermost stage that is open, otherwise the last that was left."""
        opened: list[str] = []
        last = "start"
        for mark in self.marks:
            if mark.sign == "+":
                opened.append(mark.what)
            elif mark.sign == "-":
                opened.pop()
                last = mark.what
        return ("in", opened[-1]) if opened else ("after", last)

    def count(self, stage: str) -> int:
        """How often the stage was entered."""
        return sum(mark.sign == "+" and mark.what == stage for mark in self.marks)

    @property
    def ledger(self) -> tuple[int, int] | None:
        """Rows committed before this launch, and of how many, as it found them in the ledger;
        None: it did not read it."""
        found = [mark.what for mark in self.marks if mark.sign == "!"]
        # The first read may happen before a commit in progress is complete;
        # the read after the claim does not.
        told = found[1] if len(found) > 1 and self.count(stages.CLAIMING) else found[0] if found else None
        if told is None:
            return None
        done, total = told.split()
        return int(done), int(total)

    def durations(self) -> dict[str, list[float]]:
        """Seconds spent in each occurrence of each stage that was left."""
        opened: list[Mark] = []
        found: dict[str, list[float]] = {}
        for mark in self.marks:
            if mark.sign == "+":
                opened.append(mark)
            elif mark.sign == "-":
                began = opened.pop()
                found.setdefault(began.what, []).append((mark.at_ns - began.at_ns) / 1e9)
        return found

    @property
    def seconds(self) -> float:
        """From its first mark to its last."""
        return (self.marks[-1].at_ns - self.marks[0].at_ns) / 1e9 if self.marks else 0.0


def launch(order: Order) -> Launched:
    """A separate process for one launch, forked from a warm server."""
    context = _forks()
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=run, args=(order, writer), daemon=True)
    process.start()
    writer.close()
    pipe = os.dup(reader.fileno())
    reader.close()
    return Launched(process, pipe, Path(order.log))


@cache
def _forks() -> Any:
    # Not forks of this process: they would lack the threads of its clients.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.chaos.launch"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)  # where the server finds the modules that it preloads
    try:
        from multiprocessing import forkserver

        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


class _Popen:
    """A subprocess with the few attributes of a multiprocessing one."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen, self.pid = popen, popen.pid

    @property
    def exitcode(self) -> int | None:
        return self._popen.poll()

    def join(self, timeout: float | None = None) -> None:
        self._popen.wait(timeout)


def command(argv: Sequence[str], *, environ: dict[str, str], log: Path) -> Launched:
    """A command line in a separate process, with these settings and no others. It may write marks to the
    descriptor in CHAOS_MARKS (see tests.chaos.command)."""
    reader, writer = os.pipe()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "DAGSTER_"))}
    environ = {**inherited, **environ, "CHAOS_MARKS": str(writer)}
    with log.open("ab") as out:
        popen = subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=out, stderr=out, pass_fds=[writer])
    os.close(writer)
    return Launched(_Popen(popen), reader, log)
