"""What a publication did, in counts of what happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.next_generation.decision import Action
from pipelines.run_events import Outcome, WindowDone
from pipelines.stages.transform import Transformed


@dataclass(frozen=True)
class PublishResult:
    """One window's publication by one run.

    `rows_read`: rows of the snapshot; `published`: records acknowledged and committed by this run,
    `tombstones` among them; `skipped`: rows that were already on the topic; `gone`: rows published
    earlier that the snapshot no longer holds, and that no row of the same key replaces; `stale`: records left out, among
    the skipped, since their keys have newer values on the topic (tombstones too, which are no rows). `rows_sourced`: rows
    of the query, where none became an event. `nothing`: why nothing was sent, where the counts do not say. `offsets`:
    first and last offset per kafka_partition.
    `bytes_sent`: keys and values before compression. `topic`: where it went, the event's own or a shadow topic.
    `entry`: what this run has written to the ledger last. `transformed`: what a redrive made anew of the window's rows; `dead`: letters that it left.
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
        """This, with what the same run published of the window before."""
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
        """What became of the window, in one word."""
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
        """What a run tells of it."""
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
        """Records published per second of publishing, 0 where nothing was."""
        return self.published / self.seconds if self.seconds and self.published else 0.0
