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
from pipelines.cli.screen import Progress, progress
from pipelines.orchestration.keys import STAGES
from pipelines.orchestration.launch import Launched, dagster_instance, launch, limit_warehouses
from pipelines.publishing.sought import Unmatched
from resources.settings import Settings

# What a run says of its windows while it works; told by the orchestration, shown here.
_RUN_LOG = logging.getLogger("sluice.run")
_UNFINISHED = ("failed", "blocked", "stopped")
# Up to so many windows each gets its line in a log; of more, about this few do.
_MOST_LINES, _FEW_LINES = 60, 20


@dataclass(frozen=True)
class WindowOutcome:
    """What one run did with one window; counts are None where the window was not published.

    `outcome` is that of PublishResult, or the action where there is no result (`failed`). `stale` records were left out;
    `tombstones` are among the published.
    """

    event: str
    window: str
    action: str
    read: int | None = None
    published: int | None = None
    skipped: int | None = None
    dead: int | None = None
    rows_per_second: float | None = None
    stale: int | None = None
    tombstones: int | None = None
    outcome: str = ""
    because: str = ""


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

    def as_json(self, unmatched: Unmatched | None = None) -> list[dict[str, Any]]:
        """One object per window; `unmatched`: keys of the request that are in none of its windows, told with each."""
        more = {} if unmatched is None else {"unmatched_keys": unmatched.as_dict()}
        return [{**asdict(outcome), "run_id": self.run_id, **more} for outcome in self.windows]


Heard = Callable[[str, int], None]
"""Is told what a run says: the line, and its level as `logging` counts it."""


class Launcher:
    """Launches runs of `catalogue` on `instance`, which the UI shows."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        for category in (dg.BetaWarning, dg.PreviewWarning):
            warnings.filterwarnings("ignore", category=category)
        self.catalogue = catalogue
        self.instance = dagster_instance(settings)
        limit_warehouses(self.instance, catalogue)

    def run(
        self,
        event: Event,
        windows: Sequence[Window],
        *,
        heard: Heard,
        stages: Sequence[str] = STAGES,
        config: Mapping[str, Any] | None = None,
        run_id: str | None = None,
    ) -> RunOutcome:
        """Publish contiguous windows of an event in one run; `heard` is told what it says."""
        started = time.monotonic()
        with _listening(heard):
            done = launch(
                event,
                windows,
                self.instance,
                stages=stages,
                config=config,
                catalogue=self.catalogue,
                run_id=run_id,
            )
        return outcome_of(event, windows, done, time.monotonic() - started)


def outcome_of(event: Event, windows: Sequence[Window], done: Launched, seconds: float) -> RunOutcome:
    """What a finished run did with each of the windows that were asked of it."""
    # Dagster turns Ctrl-C into a failure of the step that was running.
    stopped = bool(done.cancelled_by) or "DagsterExecutionInterruptedError" in (done.error or "")
    return RunOutcome(
        event,
        done.run_id,
        seconds,
        tuple(_outcome(event, window.key, done.windows.get(window.key), stopped) for window in windows),
        done.error,
        stopped,
        done.cancelled_by,
    )


def _outcome(event: Event, key: str, metadata: Mapping[str, Any] | None, stopped: bool) -> WindowOutcome:
    if metadata is None:
        action = "stopped" if stopped else "failed"
        return WindowOutcome(event.full_name, key, action, outcome=action)
    if metadata["action"] in _UNFINISHED:
        action, read, dead = str(metadata["action"]), metadata.get("rows_read"), metadata.get("rows_dead")
        because = str(metadata.get("because", ""))
        return WindowOutcome(
            event.full_name, key, action, outcome=action, read=read, dead=dead, because=because
        )
    return WindowOutcome(
        event.full_name,
        key,
        str(metadata["action"]),
        read=metadata["rows_read"],
        published=metadata["rows_published"],
        skipped=metadata["rows_skipped"],
        dead=metadata["rows_dead"],
        rows_per_second=metadata.get("rows_per_second"),
        stale=metadata["rows_stale"],
        tombstones=metadata["tombstones"],
        outcome=str(metadata["outcome"]),
        because=str(metadata["because"]),
    )


class Place:
    """How far a run is in its windows, by what it says of them."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._places = {window.key: place for place, window in enumerate(windows)}
        self._stride = 1 if len(windows) <= _MOST_LINES else len(windows) // _FEW_LINES
        self._reached = 0

    def of(self, line: str) -> int | None:
        """The place of the window that the line begins with; None where it speaks of none."""
        return self._places.get(line.partition(": ")[0])

    def reached(self, line: str) -> int:
        """How many windows are behind the run. They are taken in order: one that is spoken of has all before it done."""
        place = self.of(line)
        self._reached = self._reached if place is None else place
        return self._reached

    def shown(self, line: str) -> bool:
        """Whether a log gets the line: a few windows among many do."""
        place = self.of(line)
        return place is None or place % self._stride == 0


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
    """One run per event, in order, with a bar on a terminal.

    Elsewhere `every_window` prints what the run says of each (of a few among many); warnings always show. Raises
    Stopped on Ctrl-C; `again` is the command that goes on from there.
    """
    outcomes: list[RunOutcome] = []
    with when_stopped(lambda: str(stopped_after(outcomes, again))):
        launcher = Launcher(catalogue, settings)
        for event, windows in work:
            before(event, windows)
            with progress(event.full_name, len(windows)) as bar:
                place = Place(windows)

                def heard(line: str, level: int, bar: Progress = bar, place: Place = place) -> None:
                    bar.at(place.reached(line), line)
                    plain = every_window and not bar.redrawn and place.shown(line)
                    if level >= logging.WARNING or plain:
                        click.echo(f"  {line}", err=True)

                done = launcher.run(event, windows, heard=heard, stages=stages, config=config)
            outcomes.append(done)
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
    by = next((outcome.cancelled_by for outcome in reversed(outcomes) if outcome.cancelled_by), None)
    several = sum(outcome.stopped for outcome in outcomes) > 1
    under_way = "the windows that were" if several else "the window that was"
    return Stopped(
        f"{f'Cancelled by operator {by}' if by else 'Stopped'}. {len(done)} of {len(ran)} windows are complete, {records:,} events published. Of {under_way} "
        "under way, what is committed stays and the rest was not sent; later windows were not begun.\n"
        f"Next: {again}   (goes on where it stopped; nothing twice)"
    )


@contextmanager
def _listening(heard: Heard) -> Iterator[None]:
    lines, level = _Lines(heard), _RUN_LOG.level
    _RUN_LOG.addHandler(lines)
    _RUN_LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        _RUN_LOG.removeHandler(lines)
        _RUN_LOG.setLevel(level)


class _Lines(logging.Handler):
    def __init__(self, heard: Heard) -> None:
        super().__init__(logging.INFO)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard(record.getMessage(), record.levelno)
