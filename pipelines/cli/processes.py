"""Several runs at once, each in a process of its own: given out, listened to, and ended in order."""

import json
import logging
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import IO, Any

import click
import dagster as dg

from pipelines.cli.launching import Place, RunOutcome, WindowOutcome, outcome_of, stopped_after
from pipelines.cli.parts import Part
from pipelines.cli.reporting import tell_failed
from pipelines.cli.screen import Progress, progress
from pipelines.orchestration.keys import STAGES
from pipelines.orchestration.launch import Launched
from pipelines.orchestration.side_by_side import end_of_run

_PUBLISHED = STAGES[-1]
_END_SECONDS = 5.0


def run_side_by_side(
    parts: Sequence[Part], processes: int, instance: dg.DagsterInstance, *, again: str
) -> list[RunOutcome]:
    """Publish the parts, at most `processes` at a time; what became of each, in their order.

    A process that dies takes its own run with it and no other. Ctrl-C and SIGTERM end every run in order, a second one
    kills the processes; after either, and after an operator has cancelled a run, no further one is begun and Stopped
    is raised. `again` is the command that goes on from there.
    """
    whole = sum(len(part.windows) for part in parts)
    with progress(f"{len(parts)} runs", whole) as bar:
        running = _SideBySide(parts, processes, instance, bar, again)
        outcomes = running.run()
    if running.stopping or any(outcome.stopped for outcome in outcomes):
        for outcome in outcomes:
            if outcome.error and not outcome.stopped:
                tell_failed(outcome)
        raise stopped_after(outcomes, again)
    return outcomes


class _Process:
    """A worker process. What it tells goes to `tell(self, kind, what)`, from threads of its own; the last is `gone`."""

    def __init__(self, tell: Callable[["_Process", str, Any], None]) -> None:
        self.part: Part | None = None
        self.began = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            # A terminal's Ctrl-C is for the parent, who passes it on once.
            process_group=0,
        )
        self.pid = self._process.pid
        self._tell = partial(tell, self)
        assert self._process.stderr is not None
        self._words = threading.Thread(target=self._overhear, args=(self._process.stderr,), daemon=True)
        self._words.start()
        threading.Thread(target=self._listen, daemon=True).start()

    def give(self, part: Part) -> None:
        """Have it run the part."""
        self.part, self.began = part, time.monotonic()
        job = {
            "event": part.event.full_name,
            "code_version": part.event.code_version,
            "first": part.windows[0].key,
            "last": part.windows[-1].key,
            "config": dict(part.config),
            "run_id": part.run_id,
        }
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it is gone, and says so

    def stop(self) -> None:
        """No further run; the one under way ends in order."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def _overhear(self, words: IO[str]) -> None:
        for line in words:
            self._tell("words", line.rstrip("\n"))

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._tell("told", json.loads(line))
        self._words.join(_END_SECONDS)
        self._tell("gone", self._process.wait())


class _SideBySide:
    def __init__(
        self,
        parts: Sequence[Part],
        processes: int,
        instance: dg.DagsterInstance,
        bar: Progress,
        again: str,
    ) -> None:
        self.stopping = False
        self._parts, self._most, self._instance, self._bar, self._again = (
            parts,
            processes,
            instance,
            bar,
            again,
        )
        self._waiting = deque(parts)
        self._idle: list[_Process] = []
        self._alive: set[_Process] = set()
        self._outcomes: dict[str, RunOutcome] = {}
        self._places = {part.run_id: Place(part.windows) for part in parts}
        self._reached = dict.fromkeys(self._places, 0)
        # Signal handlers put into it too, for which a SimpleQueue is made.
        self._heard: queue.SimpleQueue[tuple[_Process | None, str, Any]] = queue.SimpleQueue()

    def run(self) -> list[RunOutcome]:
        try:
            with _signals(lambda: self._heard.put((None, "stop", None))):
                self._begin()
                while self._alive:
                    process, kind, what = self._heard.get()
                    if process is None:
                        self._stop()
                    elif kind == "words":
                        self._echo(process, what)
                    elif kind == "gone":
                        self._gone(process, what)
                    elif "line" in what:
                        self._line(process, what["line"], what["level"])
                    else:
                        self._done(process, what)
                    self._begin()
        finally:
            for process in self._alive:
                process.kill()
        return [self._outcomes[part.run_id] for part in self._parts if part.run_id in self._outcomes]

    def _begin(self) -> None:
        """Give out what waits; let go of those for whom nothing is left."""
        while self._waiting and not self.stopping and (self._idle or len(self._alive) < self._most):
            process = self._idle.pop() if self._idle else _Process(lambda *told: self._heard.put(told))
            self._alive.add(process)
            part = self._waiting.popleft()
            process.give(part)
            click.echo(
                f"publishing {part.name}{_count(part)} in process {process.pid}, run {part.run_id[:8]}",
                err=True,
            )
        if self.stopping or not self._waiting:
            for process in self._idle:
                process.stop()
            self._idle.clear()

    def _stop(self) -> None:
        under_way = [process for process in self._alive if process.part]
        if self.stopping:
            click.echo(f"ending {len(under_way)} processes at once", err=True)
            for process in self._alive:
                process.kill()
            return
        self.stopping = True
        click.echo(
            f"stopping: {len(under_way)} runs end in order; once more ends their processes at once", err=True
        )
        for process in self._alive:
            process.stop()

    def _line(self, process: _Process, line: str, level: int) -> None:
        part = process.part
        assert part is not None
        place = self._places[part.run_id]
        self._reached[part.run_id] = place.reached(line)
        named = f"{part.event.full_name} {line}" if place.of(line) is not None else f"{part.name}: {line}"
        self._bar.at(sum(self._reached.values()), named)
        if level >= logging.WARNING or (not self._bar.redrawn and place.shown(line)):
            click.echo(f"  {named}", err=True)

    def _echo(self, process: _Process, words: str) -> None:
        """What a transform, a library or the interpreter printed."""
        if words.strip():
            about = process.part.name if process.part else f"process {process.pid}"
            click.echo(f"  {about}: {words}", err=True)

    def _done(self, process: _Process, told: dict[str, Any]) -> None:
        part = process.part
        assert part is not None
        process.part = None
        if "windows" in told:
            windows = tuple(WindowOutcome(**window) for window in told.pop("windows"))
            outcome = RunOutcome(part.event, part.run_id, windows=windows, **told)
        else:
            outcome = _failed(part, told["error"], time.monotonic() - process.began)
        self._take(part, outcome)
        if self.stopping:
            process.stop()
        else:
            self._idle.append(process)

    def _gone(self, process: _Process, code: int) -> None:
        self._alive.discard(process)
        if process in self._idle:
            self._idle.remove(process)
        part = process.part
        if part is None:
            return
        why = _why(part, process.pid, code, self._again)
        found = end_of_run(self._instance, part.event, part.run_id, _PUBLISHED, why=why)
        if found is None and self.stopping:
            return  # stopped before its run began
        done = found or Launched(part.run_id, False, {}, why)
        outcome = outcome_of(part.event, part.windows, done, time.monotonic() - process.began)
        if self.stopping and not outcome.stopped:
            stopped = tuple(
                replace(window, action="stopped") if window.action == "failed" else window
                for window in outcome.windows
            )
            outcome = replace(outcome, windows=stopped, stopped=True)
        self._take(part, outcome)

    def _take(self, part: Part, outcome: RunOutcome) -> None:
        self._outcomes[part.run_id] = outcome
        self._reached[part.run_id] = len(part.windows)
        # As where one run follows another: whoever cancels one does not want the next.
        if outcome.cancelled_by:
            self._waiting.clear()


def _failed(part: Part, error: str, seconds: float) -> RunOutcome:
    return outcome_of(part.event, part.windows, Launched(part.run_id, False, {}, error), seconds)


def _count(part: Part) -> str:
    return f", {len(part.windows)} windows" if len(part.windows) > 1 else ""


def _why(part: Part, pid: int, code: int, again: str) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (the system does that where memory runs out)" if -code == signal.SIGKILL else ""
        ended = f"was ended by {name}{hint}"
    else:
        ended = f"ended with code {code}"
    return (
        f"{part.name}: its process {pid} {ended}; what is committed stands, a transaction that was open is dropped, and "
        f"later windows were not begun; next: {again}   (goes on where it stopped; nothing twice)"
    )


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block Ctrl-C and SIGTERM call `stop`."""
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
