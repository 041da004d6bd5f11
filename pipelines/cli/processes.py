"""Several runs at once, each in a process of its own: given out, listened to, and ended in order."""

import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click
import dagster as dg

from pipelines.cli.launching import Place, RunOutcome, WindowOutcome, outcome_of, stopped_after
from pipelines.cli.parts import Part
from pipelines.cli.process import Process, Processes
from pipelines.cli.reporting import tell_failed
from pipelines.cli.screen import Progress, progress
from pipelines.orchestration.keys import STAGES
from pipelines.orchestration.launch import Launched
from pipelines.orchestration.side_by_side import end_of_run

_PUBLISHED = STAGES[-1]


def run_side_by_side(
    parts: Sequence[Part], processes: Processes, instance: dg.DagsterInstance, *, again: str
) -> list[RunOutcome]:
    """Publish the parts in `processes`, each of which does one at a time; what became of each, in their order.

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


class _SideBySide:
    def __init__(
        self,
        parts: Sequence[Part],
        processes: Processes,
        instance: dg.DagsterInstance,
        bar: Progress,
        again: str,
    ) -> None:
        self.stopping = False
        self._parts, self._processes, self._instance = parts, processes, instance
        self._bar, self._again = bar, again
        self._waiting = deque(parts)
        self._under_way: dict[Process, Part] = {}
        self._began: dict[Process, float] = {}
        self._outcomes: dict[str, RunOutcome] = {}
        self._places = {part.run_id: Place(part.windows) for part in parts}
        self._reached = dict.fromkeys(self._places, 0)

    def run(self) -> list[RunOutcome]:
        heard = self._processes.heard
        with _signals(lambda: heard.put((None, "stop", None))):
            self._begin()
            while self._processes.alive:
                process, kind, what = heard.get()
                if process is None:
                    self._stop()
                elif kind == "words":
                    self._echo(process, what)
                elif kind == "gone":
                    self._gone(process, what)
                elif "line" in what:
                    self._line(self._under_way[process], what["line"], what["level"])
                else:
                    self._done(process, what)
                self._begin()
        return [self._outcomes[part.run_id] for part in self._parts if part.run_id in self._outcomes]

    def _begin(self) -> None:
        """Give out what waits; let go of those for whom nothing is left."""
        while self._waiting and not self.stopping and (process := self._processes.free()):
            part = self._waiting.popleft()
            self._under_way[process], self._began[process] = part, time.monotonic()
            process.give(
                {
                    "event": part.event.full_name,
                    "code_version": part.event.code_version,
                    "first": part.windows[0].key,
                    "last": part.windows[-1].key,
                    "config": dict(part.config),
                    "run_id": part.run_id,
                }
            )
            click.echo(
                f"publishing {part.name}{_count(part)} in process {process.pid}, run {part.run_id[:8]}",
                err=True,
            )
        if self.stopping or not self._waiting:
            self._processes.let_go()

    def _stop(self) -> None:
        under_way = len(self._under_way)
        if self.stopping:
            click.echo(f"ending {under_way} processes at once", err=True)
            for process in self._under_way:
                process.kill()
            return
        self.stopping = True
        click.echo(
            f"stopping: {under_way} runs end in order; once more ends their processes at once", err=True
        )
        for process in self._under_way:
            process.stop()

    def _line(self, part: Part, line: str, level: int) -> None:
        place = self._places[part.run_id]
        self._reached[part.run_id] = place.reached(line)
        named = f"{part.event.full_name} {line}" if place.of(line) is not None else f"{part.name}: {line}"
        self._bar.at(sum(self._reached.values()), named)
        if level >= logging.WARNING or (not self._bar.redrawn and place.shown(line)):
            click.echo(f"  {named}", err=True)

    def _echo(self, process: Process, words: str) -> None:
        """What a transform, a library or the interpreter printed."""
        if words.strip():
            part = self._under_way.get(process)
            about = part.name if part else f"process {process.pid}"
            click.echo(f"  {about}: {words}", err=True)

    def _done(self, process: Process, told: dict[str, Any]) -> None:
        part = self._under_way.pop(process)
        if "windows" in told:
            windows = tuple(WindowOutcome(**window) for window in told.pop("windows"))
            outcome = RunOutcome(part.event, part.run_id, windows=windows, **told)
        else:
            outcome = self._ended(process, part, Launched(part.run_id, False, {}, told["error"]))
        self._take(part, outcome)
        if self.stopping:
            process.stop()
        else:
            self._processes.idle.append(process)

    def _gone(self, process: Process, code: int) -> None:
        self._processes.gone(process)
        part = self._under_way.pop(process, None)
        if part is None:
            return
        why = _why(part, process.pid, code, self._again)
        found = end_of_run(self._instance, part.event, part.run_id, _PUBLISHED, why=why)
        if found is None and self.stopping:
            return  # stopped before its run began
        outcome = self._ended(process, part, found or Launched(part.run_id, False, {}, why))
        if self.stopping and not outcome.stopped:
            stopped = tuple(
                replace(window, action="stopped") if window.action == "failed" else window
                for window in outcome.windows
            )
            outcome = replace(outcome, windows=stopped, stopped=True)
        self._take(part, outcome)

    def _ended(self, process: Process, part: Part, done: Launched) -> RunOutcome:
        return outcome_of(part.event, part.windows, done, time.monotonic() - self._began[process])

    def _take(self, part: Part, outcome: RunOutcome) -> None:
        self._outcomes[part.run_id] = outcome
        self._reached[part.run_id] = len(part.windows)
        # As where one run follows another: whoever cancels one does not want the next.
        if outcome.cancelled_by:
            self._waiting.clear()


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
