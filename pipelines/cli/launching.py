"""Publishing from a terminal: Dagster runs with progress, and what became of each window."""

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import click
import dagster as dg

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.cli.failures import Stopped, when_stopped
from pipelines.cli.screen import progress
from pipelines.orchestration.keys import STAGES
from pipelines.orchestration.launch import dagster_instance, launch, limit_warehouses
from resources.settings import Settings

# What a run says of its windows while it works; told by the orchestration, shown here.
_RUN_LOG = logging.getLogger("sluice.run")
_UNFINISHED = ("failed", "stopped")
# Up to so many windows each gets its line in a log; of more, about this few do.
_MOST_LINES, _FEW_LINES = 60, 20


@dataclass(frozen=True)
class WindowOutcome:
    """What one run did with one window; counts are None where the window was not published."""

    event: str
    window: str
    action: str
    read: int | None = None
    published: int | None = None
    skipped: int | None = None
    dead: int | None = None
    rows_per_second: float | None = None


@dataclass(frozen=True)
class RunOutcome:
    """One event's run. `error` is what the run says of the windows that failed."""

    event: Event
    run_id: str
    seconds: float
    windows: tuple[WindowOutcome, ...]
    error: str | None
    stopped: bool
    cancelled_by: str | None = None

    @property
    def failed(self) -> list[str]:
        """Keys of the windows that were not published."""
        return [outcome.window for outcome in self.windows if outcome.action in _UNFINISHED]

    def total(self, count: str) -> int:
        """Sum of a count over the windows."""
        return sum(getattr(outcome, count) or 0 for outcome in self.windows)

    @property
    def rows_per_second(self) -> float | None:
        """Records published per second of publishing; None where nothing was."""
        seconds = sum(
            w.published / w.rows_per_second for w in self.windows if w.published and w.rows_per_second
        )
        return self.total("published") / seconds if seconds else None

    def as_json(self) -> list[dict[str, Any]]:
        """One object per window."""
        return [{**asdict(outcome), "run_id": self.run_id} for outcome in self.windows]


class Launcher:
    """Launches runs of one catalogue on the instance that the UI shows."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        for category in (dg.BetaWarning, dg.PreviewWarning):
            warnings.filterwarnings("ignore", category=category)
        self._catalogue = catalogue
        self._instance = dagster_instance(settings)
        limit_warehouses(self._instance, catalogue)

    def run(
        self,
        event: Event,
        windows: Sequence[Window],
        *,
        stages: Sequence[str] = STAGES,
        config: Mapping[str, Any] | None = None,
        every_window: bool = False,
    ) -> RunOutcome:
        """Publish contiguous windows of an event in one run, with a bar on a terminal.

        Elsewhere `every_window` prints what the run says of each (of a few among many); warnings always show.
        """
        started = time.monotonic()
        keys = [window.key for window in windows]
        places = {key: place for place, key in enumerate(keys)}
        stride = 1 if len(keys) <= _MOST_LINES else len(keys) // _FEW_LINES
        reached = 0
        with progress(event.full_name, len(windows)) as bar:

            def heard(line: str, level: int) -> None:
                nonlocal reached
                place = places.get(line.partition(": ")[0])
                # Windows are taken in order: one that is spoken of has all before it behind it.
                reached = reached if place is None else place
                bar.at(reached, line)
                plain = every_window and not bar.redrawn and (place is None or place % stride == 0)
                if level >= logging.WARNING or plain:
                    click.echo(f"  {line}", err=True)

            with _listening(heard):
                done = launch(
                    event, windows, self._instance, stages=stages, config=config, catalogue=self._catalogue
                )
        # Dagster turns Ctrl-C into a failure of the step that was running.
        stopped = bool(done.cancelled_by) or "DagsterExecutionInterruptedError" in (done.error or "")
        return RunOutcome(
            event,
            done.run_id,
            time.monotonic() - started,
            tuple(_outcome(event, key, done.windows.get(key), stopped) for key in keys),
            done.error,
            stopped,
            done.cancelled_by,
        )


def _outcome(event: Event, key: str, metadata: Mapping[str, Any] | None, stopped: bool) -> WindowOutcome:
    if metadata is None:
        return WindowOutcome(event.full_name, key, "stopped" if stopped else "failed")
    return WindowOutcome(
        event.full_name,
        key,
        str(metadata["action"]),
        read=metadata["rows_read"],
        published=metadata["rows_published"],
        skipped=metadata["rows_skipped"],
        dead=metadata["rows_dead"],
        rows_per_second=metadata.get("rows_per_second"),
    )


def run_all(
    catalogue: Catalogue,
    settings: Settings,
    work: Iterable[tuple[Event, Sequence[Window]]],
    *,
    again: str,
    stages: Sequence[str] = STAGES,
    config: Mapping[str, Any] | None = None,
    every_window: bool = False,
    before: Callable[[Event, Sequence[Window]], None] = lambda *_: None,
    after: Callable[[RunOutcome], None] = lambda _: None,
) -> list[RunOutcome]:
    """One run per event, in order. Raises Stopped on Ctrl-C; `again` is the command that goes on from there."""
    outcomes: list[RunOutcome] = []
    with when_stopped(lambda: str(stopped_after(outcomes, again))):
        launcher = Launcher(catalogue, settings)
        for event, windows in work:
            before(event, windows)
            outcomes.append(
                launcher.run(event, windows, stages=stages, config=config, every_window=every_window)
            )
            if outcomes[-1].stopped:
                raise stopped_after(outcomes, again)
            after(outcomes[-1])
    return outcomes


def stopped_after(outcomes: Sequence[RunOutcome], again: str) -> Stopped:
    """The word after Ctrl-C, or after an operator's cancel: which windows stand, which do not, and that nothing is half done."""
    if not outcomes:
        return Stopped("Stopped before the first window was begun; nothing was published.")
    ran = [window for outcome in outcomes for window in outcome.windows]
    done = [window for window in ran if window.action not in _UNFINISHED]
    records = sum(window.published or 0 for window in done)
    by = outcomes[-1].cancelled_by
    return Stopped(
        f"{f'Cancelled by operator {by}' if by else 'Stopped'}. {len(done)} of {len(ran)} windows are complete, {records:,} events published. Of the window that was "
        "under way, what is committed stays and the rest was not sent; later windows were not begun.\n"
        f"Next: {again}   (goes on where it stopped; nothing twice)"
    )


@contextmanager
def _listening(heard: Callable[[str, int], None]) -> Iterator[None]:
    lines, level = _Lines(heard), _RUN_LOG.level
    _RUN_LOG.addHandler(lines)
    _RUN_LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        _RUN_LOG.removeHandler(lines)
        _RUN_LOG.setLevel(level)


class _Lines(logging.Handler):
    def __init__(self, heard: Callable[[str, int], None]) -> None:
        super().__init__(logging.INFO)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard(record.getMessage(), record.levelno)
