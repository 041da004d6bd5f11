"""Publishes all or some of a window's events again, on the event's topic or on a shadow topic."""

from dataclasses import replace

from pipelines.authoring.event import Event
from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.context import PublishContext
from pipelines.publishing.ledger_lookup import Found
from pipelines.publishing.modes.publish import Publish
from pipelines.publishing.next_generation.decision import Decision, decide_replay
from pipelines.publishing.next_generation.generation_planner import NeverPublished, Planned
from pipelines.publishing.next_generation.validated_snapshot import validated
from pipelines.publishing.request import Replay
from pipelines.publishing.result import PublishResult
from pipelines.publishing.window_publisher import WindowPublisher
from resources.snapshots import Snapshot


def replayed(context: PublishContext, window: str, replay: Replay) -> PublishResult:
    """Replay the window. Raises NeverPublished, and what a publication raises."""
    if replay.source == "fresh" and not replay.selection.everything and replay.topic is None:
        # First publish what changed as a correction, so that the snapshot to replay is the one on the topic.
        corrected = WindowPublisher(context, window, _Corrected(context, window)).publish()
        stored = _Replay(context, window, replace(replay, source="stored"))
        return WindowPublisher(context, window, stored).publish().after(corrected)
    return WindowPublisher(context, window, _Replay(context, window, replay)).publish()


class _Corrected(Publish):
    """Makes the topic hold the window's snapshot.
    Raises NeverPublished for a window that was never published."""

    cheap = False

    def decide(self, found: Found) -> Decision:
        if found.entry is None:
            raise _never_published(self._context.event, self._window)
        return super().decide(found)


class _Replay:
    cheap = False

    def __init__(self, context: PublishContext, window: str, replay: Replay) -> None:
        self._context, self._window, self._replay = context, window, replay
        self._own = context.event.topic
        self.topic = context.request.topic or self._own
        self._shadow = self.topic != self._own
        self._snapshot: Snapshot | None = None
        if self._shadow:
            context.entries.require_free_shadow(self.topic)
        if replay.source == "fresh":
            self._snapshot, self._facts = validated(context.event, context.platform, window)

    def decide(self, found: Found) -> Decision:
        request = self._context.request
        entry, remade = found
        if entry is None and not self._shadow:
            raise _never_published(self._context.event, self._window)
        if entry is not None and remade:
            decision = Decision("replay", entry.generation + 1, f"the topic was made again ({remade})")
        else:
            decision = decide_replay(entry, self._replay.request)
        if decision.action != "replay":
            return decision
        by = f" by {request.requested_by}" if request.requested_by else ""
        return replace(decision, because=f"{decision.because}{by}: {request.reason}")

    def plan(self, decision: Decision, found: Found) -> Planned | None:
        planner, window = self._context.planner, self._window
        entry, remade = found
        if self._snapshot is not None:
            if entry is not None and not self._shadow:
                return planner.replay_fresh(
                    decision, entry, window, self._snapshot, self._facts, self._replay, emptied=bool(remade)
                )
            origin: LedgerEntry | None = planner.fresh_origin(decision, window, self._snapshot, self._facts)
        else:
            origin = self._origin(entry)
        if origin is None:
            raise _never_published(self._context.event, window)
        if remade and not self._shadow:
            # Even if its publication stopped early: the topic must hold its snapshot.
            origin = origin.advanced(status="published")
        planned = planner.replay(decision, origin, self._replay, topic=self.topic)
        # If a key is searched in a year of windows, the windows without it must not change.
        return planned if planned.entry.rows_total or planned.entry.selection is None else None

    def target(self, found: Found) -> str:
        if self._snapshot is not None:
            return self._snapshot.sha256
        origin = self._origin(found.entry)
        return origin.snapshot if origin else ""

    def rows_read(self, entry: LedgerEntry) -> int:
        return entry.rows_total

    def _origin(self, entry: LedgerEntry | None) -> LedgerEntry | None:
        """The entry whose rows are replayed: that of the event's own topic, even for a shadow topic."""
        return self._context.entries.newest(self._window, self._own).entry if self._shadow else entry


def _never_published(event: Event, window: str) -> NeverPublished:
    return NeverPublished(
        f"{event.full_name} {window}",
        f"was never published to {event.topic}, so there is nothing to replay",
        next_step=f"sluice publish {event.full_name} {window}",
    )
