"""The result of a publication, in counts of what happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.next_generation.decision import Action
from pipelines.run_events import Outcome, WindowDone
from pipelines.stages.transform import Transformed


@dataclass(frozen=True)
class PublishResult:
    """One window's publication by one run.

    `rows_read`: rows of the snapshot. `published`: records acknowledged and committed by this run, including
    `tombstones`. `skipped`: rows that were already on the topic, or were left out as stale. `gone`: rows
    published earlier that the snapshot no longer holds and that no row of the same key replaces. `stale`:
    records that were left out because the topic has newer values of their keys; the rows among them count as
    skipped, the tombstones do not. `rows_sourced`: rows of the query if none of them became an event.
    `nothing`: why nothing was sent, if the counts do not say. `offsets`: first and last offset per
    kafka_partition. `bytes_sent`: keys and values before compression. `topic`: the event's own or a shadow
    topic. `entry`: the last ledger entry that this run wrote. `transformed`: the result of a redrive's
    transform; `dead`: the dead letters that it left.
    """

    action: Action
    because: str
    generation: int
    snapshot: str
    schema_id: int
    rows_read: int
    published: int = 0
    tombstones: int = 0
    skipped: int = 0
    gone: int = 0
    stale: int = 0
    bytes_sent: int = 0
    transactions: int = 0
    seconds: float = 0.0
    encoding: str = ""
    topic: str = ""
    entry: LedgerEntry | None = None
    transformed: Transformed | None = None
    dead: int = 0
    rows_sourced: int | None = None
    nothing: Outcome | None = None
    offsets: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def after(self, first: "PublishResult") -> "PublishResult":
        """This result together with `first`, an earlier publication of the window by the same run."""
        offsets = dict(first.offsets)
        for p, (low, high) in self.offsets.items():
            known = offsets.get(p, (low, high))
            offsets[p] = (min(low, known[0]), max(high, known[1]))
        kept = first if self.action == "nothing" and first.published else self
        return replace(
            self,
            action=kept.action,
            because=kept.because,
            published=first.published + self.published,
            tombstones=first.tombstones + self.tombstones,
            gone=first.gone + self.gone,
            stale=first.stale + self.stale,
            bytes_sent=first.bytes_sent + self.bytes_sent,
            transactions=first.transactions + self.transactions,
            seconds=first.seconds + self.seconds,
            encoding=self.encoding or first.encoding,
            offsets=offsets,
        )

    @property
    def outcome(self) -> Outcome:
        """The result for the window, in one word."""
        if self.published:
            return "published"
        if self.stale:
            return "stale"
        if not self.rows_read and not self.gone and self.rows_sourced is not None:
            return "no_events" if self.rows_sourced else "no_rows"
        if self.nothing:
            return self.nothing
        return "gone" if self.gone else "unchanged"

    def done(self, window: str) -> WindowDone:
        """The run event of this result."""
        return WindowDone(
            window=window,
            action=self.action,
            because=self.because,
            outcome=self.outcome,
            published=self.published,
            tombstones=self.tombstones,
            skipped=self.skipped,
            stale=self.stale,
            rows_sourced=self.rows_sourced,
        )

    @property
    def rows_per_second(self) -> float:
        """Records published per second of publishing, 0 if nothing was published."""
        return self.published / self.seconds if self.seconds and self.published else 0.0
