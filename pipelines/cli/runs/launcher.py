"""Publishing from a terminal: Dagster runs with progress, and the result of each window."""

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from textwrap import indent
from typing import Any

import click
import dagster as dg

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.cli.output.destination import say_destination
from pipelines.cli.output.errors import Stopped, when_stopped
from pipelines.cli.output.tables import Progress, progress
from pipelines.orchestration.keys import STAGES
from pipelines.orchestration.launch import Launched, dagster_instance, launch, limit_warehouses
from pipelines.orchestration.liveness.run_monitoring import require_left_alone
from pipelines.orchestration.windows.failures import RunFailure
from pipelines.publishing.key_search import Unmatched
from pipelines.run_events import Ended, RunEvent, Tell, WindowFailed, sentence
from resources.settings import Settings
from resources.wording import counted

_UNFINISHED = ("failed", "blocked", "stopped")
# Up to this many windows get one line each in a log; of more windows, about `_FEW_LINES` get one.
_MOST_LINES, _FEW_LINES = 60, 20


@dataclass(frozen=True)
class WindowOutcome:
    """What one run did with one window; counts are None if the window was not published.

    `outcome` is that of PublishResult, or the action if there is no result (`failed`). `stale` records were
    left out; `tombstones` are included in the published records.
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
    """One event's run. `failures`: why windows failed, or the run. `said`: the windows whose failure stderr
    already shows; it contains "" if stderr shows the run's own failure."""

    event: Event
    run_id: str
    seconds: float
    windows: tuple[WindowOutcome, ...]
    failures: tuple[RunFailure, ...]
    stopped: bool
    cancelled_by: str | None = None
    said: frozenset[str] = frozenset()

    @property
    def failed(self) -> list[str]:
        """Keys of the windows that were not published."""
        return [outcome.window for outcome in self.windows if outcome.action in _UNFINISHED]

    def total(self, count: str) -> int:
        """Sum of a count over the windows."""
        return sum(getattr(outcome, count) or 0 for outcome in self.windows)

    @property
    def rows_per_second(self) -> float | None:
        """Records published per second of publishing; None if nothing was published."""
        seconds = sum(
            w.published / w.rows_per_second for w in self.windows if w.published and w.rows_per_second
        )
        return self.total("published") / seconds if seconds else None

    def as_json(self, unmatched: Unmatched | None = None) -> list[dict[str, Any]]:
        """One object per window;
        `unmatched`: keys of the request that are in none of its windows, added to each object."""
        more = {} if unmatched is None else {"unmatched_keys": unmatched.as_dict()}
        return [{**asdict(outcome), "run_id": self.run_id, **more} for outcome in self.windows]


class Launcher:
    """Launches runs of `catalogue` on `instance`, which the UI shows. Raises SluiceError if Dagster would
    mark runs as failed while they work."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        for category in (dg.BetaWarning, dg.PreviewWarning):
            warnings.filterwarnings("ignore", category=category)
        self.catalogue = catalogue
        self.instance = dagster_instance(settings)
        # Checked once here, and not for each of several runs.
        require_left_alone(self.instance)
        limit_warehouses(self.instance, catalogue)

    def run(
        self,
        event: Event,
        windows: Sequence[Window],
        *,
        tell: Tell,
        stages: Sequence[str] = STAGES,
        config: Mapping[str, Any] | None = None,
        run_id: str | None = None,
    ) -> RunOutcome:
        """Publish contiguous windows of an event in one run; `tell` gets the run's events."""
        started = time.monotonic()
        done = launch(
            event,
            windows,
            self.instance,
            stages=stages,
            config=config,
            catalogue=self.catalogue,
            tell=tell,
            run_id=run_id,
        )
        return outcome_of(event, windows, done, time.monotonic() - started)


def outcome_of(event: Event, windows: Sequence[Window], done: Launched, seconds: float) -> RunOutcome:
    """What a finished run did with each of the windows that it was launched for."""
    stopped = bool(done.cancelled_by) or done.stopped
    return RunOutcome(
        event,
        done.run_id,
        seconds,
        tuple(_outcome(event, window.key, done.windows.get(window.key), stopped) for window in windows),
        done.failures,
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
    """How far a run is in its windows, according to the events of the run."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._places = {window.key: place for place, window in enumerate(windows)}
        self._stride = 1 if len(windows) <= _MOST_LINES else len(windows) // _FEW_LINES
        self._reached = 0

    def reached(self, event: RunEvent) -> int:
        """How many windows the run has done.
        They are taken in order: if an event names a window, all before it are done."""
        self._reached = self._places.get(event.window or "", self._reached)
        return self._reached

    def shown(self, event: RunEvent) -> bool:
        """Whether a log gets this event: if there are many windows, it gets the events of a few."""
        return self._places.get(event.window or "", 0) % self._stride == 0


class Shown:
    """What a terminal shows of a run while it works. If the output is not a terminal, `every_window` prints
    the events of each window (of a few among many); warnings are always printed. Each line begins with
    `event`, or with `part` if it is about no window, because several runs are shown together."""

    def __init__(
        self, bar: Progress, windows: Sequence[Window], *, every_window: bool, event: str = "", part: str = ""
    ) -> None:
        self._bar, self._every_window = bar, every_window
        self._event, self._about = event, part
        self._place = Place(windows)
        self.reached = 0
        self.said: set[str] = set()

    def tell(self, event: RunEvent) -> None:
        """Show the event, if it has a sentence."""
        self.reached, told = self._place.reached(event), sentence(event)
        if not told:
            return
        line = told
        if self._event:
            line = f"{self._event} {told}" if event.window else f"{self._about}: {told}"
        self.at(line)
        plain = self._every_window and not self._bar.redrawn and self._place.shown(event)
        if event.level >= logging.WARNING or plain:
            click.echo(indent(line, "  "), err=True)
            if isinstance(event, (WindowFailed, Ended)):
                self.said.add(event.window or "")

    def at(self, line: str) -> None:
        """Move the bar."""
        self._bar.at(self.reached, line)


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

    For `every_window` see Shown. Raises Stopped on Ctrl-C; `again` is the command that continues from there.
    """
    say_destination(settings)
    outcomes: list[RunOutcome] = []
    with when_stopped(lambda: str(stopped_after(outcomes, again))):
        launcher = Launcher(catalogue, settings)
        for event, windows in work:
            before(event, windows)
            with progress(event.full_name, len(windows)) as bar:
                shown = Shown(bar, windows, every_window=every_window)
                done = launcher.run(event, windows, tell=shown.tell, stages=stages, config=config)
            outcomes.append(replace(done, said=frozenset(shown.said)))
            if outcomes[-1].stopped:
                raise stopped_after(outcomes, again)
            after(outcomes[-1])
    return outcomes


def stopped_after(outcomes: Sequence[RunOutcome], again: str) -> Stopped:
    """The message after Ctrl-C, or after an operator's cancel: how many windows are complete, what happened
    to the others, and that nothing is half done."""
    if not outcomes:
        return Stopped("Stopped before the first window was begun; nothing was published.")
    ran = [window for outcome in outcomes for window in outcome.windows]
    done = [window for window in ran if window.action not in _UNFINISHED]
    records = sum(window.published or 0 for window in done)
    by = next((outcome.cancelled_by for outcome in reversed(outcomes) if outcome.cancelled_by), None)
    several = sum(outcome.stopped for outcome in outcomes) > 1
    under_way = "the windows that were" if several else "the window that was"
    return Stopped(
        f"{f'Cancelled by operator {by}' if by else 'Stopped'}. {len(done)} of {counted(len(ran), 'window is', 'windows are')} complete, {counted(records, 'event')} published. Of {under_way} "
        "under way, what is committed stays and the rest was not sent; later windows were not begun.\n"
        f"Next: {again}   (goes on where it stopped; nothing twice)"
    )
