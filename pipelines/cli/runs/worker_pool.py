"""Several runs at once, each in its own process: assigned, listened to, and ended cleanly."""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click
import dagster as dg

from pipelines.cli.output.tables import Progress, progress
from pipelines.cli.runs.launcher import RunOutcome, Shown, WindowOutcome, outcome_of, stopped_after
from pipelines.cli.runs.report import tell_failed
from pipelines.cli.runs.split import Part
from pipelines.cli.runs.worker_process import Process, Processes
from pipelines.orchestration.keys import STAGES
from pipelines.orchestration.launch import Launched
from pipelines.orchestration.windows.failures import RunFailure, failures_in
from pipelines.orchestration.worker_runs import end_of_run
from pipelines.run_events import RunEvent, from_dict
from resources.errors import Problem
from resources.follow_ups import follow_up
from resources.wording import counted

_PUBLISHED = STAGES[-1]


def run_in_pool(
    parts: Sequence[Part], processes: Processes, instance: dg.DagsterInstance, *, again: str
) -> list[RunOutcome]:
    """Publish the parts in `processes`, each of which does one at a time;
    returns the outcomes in the order of the parts.

    If a process dies, only its own run ends. Ctrl-C and SIGTERM end every run cleanly; a second one kills
    the processes. After either, and after an operator has cancelled a run, no further run is started and
    Stopped is raised. `again` is the command that continues from there.
    """
    whole = sum(len(part.windows) for part in parts)
    with progress(f"{counted(len(parts), 'run')}", whole) as bar:
        running = _Pool(parts, processes, instance, bar, again)
        outcomes = running.run()
    if running.stopping or any(outcome.stopped for outcome in outcomes):
        for outcome in outcomes:
            if outcome.failures and not outcome.stopped:
                tell_failed(outcome)
        raise stopped_after(outcomes, again)
    return outcomes


class _Pool:
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
        self._shown = {part.run_id: _Among(self, part) for part in parts}
        self._reached = dict.fromkeys(self._shown, 0)

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
                elif "event" in what:
                    self._told(self._under_way[process], from_dict(what["event"]))
                else:
                    self._done(process, what)
                self._begin()
        return [self._outcomes[part.run_id] for part in self._parts if part.run_id in self._outcomes]

    def _begin(self) -> None:
        """Assign the waiting parts to processes; end the processes for which nothing is left."""
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
            click.echo(f"ending {counted(under_way, 'process', 'processes')} at once", err=True)
            for process in self._under_way:
                process.kill()
            return
        self.stopping = True
        click.echo(
            f"stopping: {counted(under_way, 'run')} end in order; once more ends their processes at once",
            err=True,
        )
        for process in self._under_way:
            process.stop()

    def _told(self, part: Part, event: RunEvent) -> None:
        self._shown[part.run_id].tell(event)

    def reached(self, part: Part, windows: int, line: str) -> None:
        """A run has done `windows` windows."""
        self._reached[part.run_id] = windows
        self._bar.at(sum(self._reached.values()), line)

    def _echo(self, process: Process, words: str) -> None:
        """Print what a transform, a library or the interpreter printed."""
        if words.strip():
            part = self._under_way.get(process)
            about = part.name if part else f"process {process.pid}"
            click.echo(f"  {about}: {words}", err=True)

    def _done(self, process: Process, told: dict[str, Any]) -> None:
        part = self._under_way.pop(process)
        if "windows" in told:
            windows = tuple(WindowOutcome(**window) for window in told.pop("windows"))
            failures = failures_in({"failures": told.pop("failures")})
            outcome = RunOutcome(part.event, part.run_id, windows=windows, failures=failures, **told)
        else:
            problems = tuple(Problem(**one) for one in told["problems"])
            ended = Launched(part.run_id, False, {}, (RunFailure((), problems),))
            outcome = self._ended(process, part, ended)
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
        ended = found or Launched(part.run_id, False, {}, (RunFailure((), (why,)),))
        outcome = self._ended(process, part, ended)
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
        outcome = replace(outcome, said=frozenset(self._shown[part.run_id].said))
        self._outcomes[part.run_id] = outcome
        self._reached[part.run_id] = len(part.windows)
        # The same rule as when one run follows another:
        # a person who cancels a run does not want the next one.
        if outcome.cancelled_by:
            self._waiting.clear()


def _count(part: Part) -> str:
    return f", {counted(len(part.windows), 'window')}" if len(part.windows) > 1 else ""


def _why(part: Part, pid: int, code: int, again: str) -> Problem:
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (the system does that where memory runs out)" if -code == signal.SIGKILL else ""
        ended = f"was ended by {name}{hint}"
    else:
        ended = f"ended with code {code}"
    return Problem(
        part.name,
        f"its process {pid} {ended}; what is committed stands, a transaction that was open is dropped, and later windows "
        "were not begun",
        next_step=follow_up(f"{again}   (goes on where it stopped; nothing twice)"),
    )


class _Among(Shown):
    """One run of several; its lines name its event."""

    def __init__(self, whole: _Pool, part: Part) -> None:
        super().__init__(
            whole._bar, part.windows, every_window=True, event=part.event.full_name, part=part.name
        )
        self._whole, self._part = whole, part

    def at(self, line: str) -> None:
        self._whole.reached(self._part, self.reached, line)


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block Ctrl-C and SIGTERM call `stop`."""
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
