"""`python -m pipelines.cli.runs.worker`:
one of several processes that publish in parallel for `sluice publish --processes`.

It reads runs from its standard input, one line of JSON each, and writes their events and results to its
standard output. If the input ends during a run (because of Ctrl-C at the parent, or because the parent has
ended for any reason), the run is interrupted as by Ctrl-C, and so ends cleanly. No worker lives much longer
than its parent.
"""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from resources.process.start import begin_process

if TYPE_CHECKING:
    from pipelines.cli.runs.launcher import Launcher, RunOutcome

Job = dict[str, Any]


class Orders:
    """The runs that the parent requests, and the end of the requests."""

    def __init__(self, source: TextIO) -> None:
        self._source = source
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._ended = self._busy = False
        threading.Thread(target=self._listen, name="sluice-orders", daemon=True).start()

    def __iter__(self) -> Iterator[Job]:
        while (job := self._jobs.get()) is not None:
            yield job

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within the block, the end of the requests is a SIGINT to this process."""
        with self._turn:
            if self._ended:
                raise KeyboardInterrupt
            self._busy = True
        try:
            yield
        finally:
            with self._turn:
                self._busy = False

    def _listen(self) -> None:
        for line in self._source:
            self._jobs.put(json.loads(line))
        with self._turn:
            self._ended = True
            if self._busy:
                os.kill(os.getpid(), signal.SIGINT)
        self._jobs.put(None)


class Worker:
    """Does one run after another; writes their events and results to `told`, as lines of JSON."""

    def __init__(self, told: TextIO) -> None:
        self._told, self._writing = told, threading.Lock()
        self._launcher: Launcher | None = None

    def work(self, orders: Orders) -> None:
        """Do runs until the requests end."""
        self._load()
        for job in orders:
            try:
                with orders.interrupting():
                    self._say(self._done(job))
            except KeyboardInterrupt:
                return  # the result of the run is in Dagster's storage

    def _load(self) -> None:
        """Load what a run needs, while the parent still finds out what there is to do."""
        import pipelines.cli.runs.launcher
        import pipelines.orchestration.windows.run  # noqa: F401
        from pipelines import CatalogueError, load_catalogue
        from resources.settings import load_settings

        try:
            self._catalogue = load_catalogue(topic_prefix=load_settings().topic_prefix)
        except CatalogueError as error:
            self._catalogue = error.healthy  # the parent reports the others

    def _done(self, job: Job) -> dict[str, Any]:
        from pipelines.run_events import problems_as_json
        from resources.errors import SluiceError, readable

        try:
            return _as_message(self._run(job))
        except SluiceError as error:
            return {"problems": problems_as_json(error.parts)}
        except Exception as error:
            traceback.print_exc()
            told = f"{error} (a defect; its stack trace stands above)"
            return {"problems": [{"where": type(error).__name__, "problem": readable(told)}]}

    def _run(self, job: Job) -> "RunOutcome":
        from pipelines.cli.runs.launcher import Launcher
        from pipelines.run_events import as_dict
        from resources.errors import SluiceError
        from resources.settings import load_settings

        if self._launcher is None:
            # Now, not earlier: the parent creates what a new Dagster home lacks.
            self._launcher = Launcher(self._catalogue, load_settings())
        event = self._launcher.catalogue.find(job["event"])
        if event.code_version != job["code_version"]:
            raise SluiceError(
                event.full_name,
                "its module or contract has changed since the command began",
                next_step="run the command again",
            )
        return self._launcher.run(
            event,
            event.windows.between(job["first"], job["last"]),
            tell=lambda event: self._say({"event": as_dict(event)}),
            config=job["config"],
            run_id=job["run_id"],
        )

    def _say(self, message: dict[str, Any]) -> None:
        with self._writing:
            self._told.write(json.dumps(message) + "\n")
            self._told.flush()


def _as_message(done: "RunOutcome") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "windows": [asdict(window) for window in done.windows],
        "seconds": done.seconds,
        "failures": [asdict(failure) for failure in done.failures],
        "stopped": done.stopped,
        "cancelled_by": done.cancelled_by,
    }


def main() -> None:
    """Entry point."""
    # The output of a transform or a library must not be read as a message.
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    begin_process()
    Worker(told).work(Orders(sys.stdin))


if __name__ == "__main__":
    main()
