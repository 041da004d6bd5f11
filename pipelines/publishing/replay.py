"""Publishes a window's events again, or some of them, on the event's topic or a shadow of it."""

from dataclasses import replace

from pipelines.authoring.event import Event
from pipelines.publishing.convergence import Convergence
from pipelines.publishing.decision import Decision, decide_replay
from pipelines.publishing.entry import LedgerEntry
from pipelines.publishing.generations import displaced
from pipelines.publishing.planning import NeverPublished, Planned
from pipelines.publishing.publication import Publication
from pipelines.publishing.result import PublishResult
from pipelines.publishing.run import Run
from pipelines.publishing.validated import validated
from pipelines.publishing.wish import Replay
from resources.snapshots import Snapshot


def replayed(run: Run, window: str, replay: Replay) -> PublishResult:
    """Replay the window. Raises NeverPublished, and what a publication raises."""
    if replay.source == "fresh" and not replay.selection.everything and replay.topic is None:
        # What changed goes out as a correction first, so that the snapshot that is replayed from is the topic's.
        corrected = _Corrected(run, window).publish()
        return _Replay(run, window, replace(replay, source="stored")).publish().after(corrected)
    return _Replay(run, window, replay).publish()


class _Corrected(Convergence):
    """The topic as the window's snapshot is; a window that was never published is not."""

    def _decide(self, entry: LedgerEntry | None) -> Decision:
        if entry is None:
            raise _never_published(self._event, self._window)
        return super()._decide(entry)

    def _surely_something(self) -> bool:
        return False


class _Replay(Publication):
    def __init__(self, run: Run, window: str, replay: Replay) -> None:
        super().__init__(run, window, run.topic)
        self._replay = replay
        self._shadow = self._topic != self._event.topic
        self._snapshot: Snapshot | None = None
        self._remade: str | None = None

    def _prepare(self) -> None:
        if self._shadow:
            self._run.require_free_shadow(self._topic)
        if self._replay.source == "fresh":
            self._snapshot, self._facts = validated(self._event, self._platform, self._window)

    def _entry(self, **patience: float) -> LedgerEntry | None:
        if not self._run.wish.replays_whole:
            return super()._entry(**patience)
        entry, self._remade = self._run.ledger_and_topic(self._window, self._topic, **patience)
        # Of what was on the topic before it was made again nothing is there: to be remembered, and not to be looked for.
        return displaced(entry) if entry is not None and self._remade else entry

    def _decide(self, entry: LedgerEntry | None) -> Decision:
        if entry is None and not self._shadow:
            raise _never_published(self._event, self._window)
        if entry is not None and self._remade:
            decision = Decision("replay", entry.generation + 1, f"the topic was made again ({self._remade})")
        else:
            decision = decide_replay(entry, self._replay.request)
        if decision.action != "replay":
            return decision
        wish = self._run.wish
        by = f" by {wish.requested_by}" if wish.requested_by else ""
        return replace(decision, because=f"{decision.because}{by}: {wish.reason}")

    def _plan(self, decision: Decision, entry: LedgerEntry | None) -> Planned | None:
        planner, window = self._run.planner, self._window
        if self._snapshot is not None:
            if entry is not None and not self._shadow:
                return planner.replay_fresh(
                    decision,
                    entry,
                    window,
                    self._snapshot,
                    self._facts,
                    self._replay,
                    emptied=bool(self._remade),
                )
            origin: LedgerEntry | None = planner.fresh_origin(decision, window, self._snapshot, self._facts)
        else:
            origin = self._run.ledger_and_topic(window)[0] if self._shadow else entry
        if origin is None:
            raise _never_published(self._event, self._window)
        if self._remade and not self._shadow:
            # However far it came: its snapshot is what the topic is to hold.
            origin = origin.advanced(status="published")
        planned = planner.replay(decision, origin, self._replay, topic=self._topic)
        # A key that is sought in a year of windows leaves no mark on those without it.
        return planned if planned.entry.rows_total or planned.entry.selection is None else None

    def _target(self, entry: LedgerEntry | None) -> str:
        if self._snapshot is not None:
            return self._snapshot.sha256
        origin = self._run.ledger_and_topic(self._window)[0] if self._shadow else entry
        return origin.snapshot if origin else ""

    def _rows_read(self, entry: LedgerEntry) -> int:
        return entry.rows_total


def _never_published(event: Event, window: str) -> NeverPublished:
    return NeverPublished(
        f"{event.full_name} {window}",
        f"was never published to {event.topic}, so there is nothing to replay",
        next_step=f"sluice publish {event.full_name} {window}",
    )
