"""Publishes the events that dead letters kept back: a whole blocked window,
or the repaired rows of a published one."""

from dataclasses import replace

from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.context import PublishContext
from pipelines.publishing.dead_letters.retry import Redriver, Repair
from pipelines.publishing.ledger_lookup import Found
from pipelines.publishing.modes.publish import Publish
from pipelines.publishing.next_generation.decision import Decision, decide_redrive
from pipelines.publishing.next_generation.generation_planner import NeverPublished, Planned
from pipelines.publishing.request import Redrive
from pipelines.publishing.result import PublishResult
from pipelines.publishing.stored_rows import stored_snapshot
from pipelines.publishing.window_publisher import WindowPublisher


def redriven(context: PublishContext, window: str, redrive: Redrive) -> PublishResult:
    """Publish a blocked window that was never published, or the repaired rows of a window that was published
    without them.

    Raises Blocked, CannotRedrive and what a publication raises.
    """
    redriver = Redriver(
        context.event, context.platform, context.registered, run_id=context.run_id, force=redrive.force
    )
    unblocked = redriver.unblock(window)
    if unblocked is None:
        return _repaired(context, window, redriver)
    done = unblocked.done
    entry = context.entries.current(window, context.event.topic) if unblocked.as_by or done is None else None
    if done is None and entry is not None and entry.snapshot == unblocked.snapshot:
        # An earlier run unblocked the window, and its publication has begun or is complete.
        return _repaired(context, window, redriver)
    request = replace(context.request, redrive=None)
    if entry is not None and entry.code_version == unblocked.as_by:
        # The version that blocked the window also published it.
        # Only the repaired rows differ, so there is no question to ask.
        request = replace(request, on_definition_change="correct")
    context = replace(context, request=request)
    result = WindowPublisher(context, window, Publish(context, window)).publish()
    return replace(result, transformed=done, dead=unblocked.dead)


def _repaired(context: PublishContext, window: str, redriver: Redriver) -> PublishResult:
    """Publish the repaired rows. The result carries what was made anew from the window's rows."""
    mode = _Redrive(context, window, redriver)
    result = WindowPublisher(context, window, mode).publish()
    if result.action == "nothing":
        result = replace(result, nothing="not_repaired")
    repair = mode.repair
    return replace(result, transformed=repair.done, dead=repair.dead) if repair else result


class _Redrive:
    """The mode for a window that `redriver` found not blocked."""

    cheap = False

    def __init__(self, context: PublishContext, window: str, redriver: Redriver) -> None:
        self._context, self._window, self.topic = context, window, context.event.topic
        self._redriver = redriver
        self._tried: tuple[str, int] | None = None
        self.repair: Repair | None = None

    def decide(self, found: Found) -> Decision:
        entry, event = found.entry, self._context.event
        if entry is None:
            raise NeverPublished(
                f"{event.full_name} {self._window}",
                "was never published, and no dead letters keep it from that",
                next_step=f"sluice publish {event.full_name} {self._window}",
            )
        state = (entry.snapshot, entry.generation)
        if entry.complete and self._tried != state:
            self.repair, self._tried = self._redriver.repair(entry), state
        repair = self.repair
        return decide_redrive(entry, repair.rows if repair else None, repair.told if repair else "")

    def plan(self, decision: Decision, found: Found) -> Planned:  # noqa: ARG002
        repair = self.repair
        assert repair is not None and repair.done is not None
        assert repair.base is not None and repair.delta is not None
        self._redriver.make_current(self._window, repair)
        return self._context.planner.redrive(decision, self._window, repair.done, repair.base, repair.delta)

    def target(self, found: Found) -> str:
        """The hash of the repaired snapshot if rows are repaired, otherwise that of the published one."""
        done = self.repair.done if self.repair and self.repair.rows else None
        return done.snapshot.sha256 if done else found.entry.snapshot if found.entry else ""

    def rows_read(self, entry: LedgerEntry) -> int:
        return stored_snapshot(self._context.platform, entry, "transformed", entry.snapshot).rows
