"""Makes the topic hold a window's current validated snapshot: by a backfill, a correction,
the rest of either, or nothing."""

from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.context import PublishContext
from pipelines.publishing.ledger_lookup import Found
from pipelines.publishing.next_generation.decision import Decision, decide
from pipelines.publishing.next_generation.generation_planner import Planned
from pipelines.publishing.next_generation.validated_snapshot import validated


class Publish:
    """Publishes to the event's own topic, even if the request has a shadow topic. Raises NotPublishable if
    the window may not be published."""

    cheap = True

    def __init__(self, context: PublishContext, window: str) -> None:
        self._context, self._window, self.topic = context, window, context.event.topic
        self._snapshot, self._facts = validated(context.event, context.platform, window)

    def decide(self, found: Found) -> Decision:
        """The action by the first table of `decision`."""
        return decide(found.entry, self._snapshot.sha256)

    def plan(self, decision: Decision, found: Found) -> Planned:
        """The window's first generation, or the difference to what was published, or all events again."""
        return self._context.planner.publication(
            decision, found.entry, self._window, self._snapshot, self._facts
        )

    def target(self, found: Found) -> str:  # noqa: ARG002
        """The hash of the current snapshot."""
        return self._snapshot.sha256

    def rows_read(self, entry: LedgerEntry) -> int:  # noqa: ARG002
        """The number of rows of the current snapshot."""
        return self._snapshot.rows
