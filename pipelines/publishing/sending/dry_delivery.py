"""A delivery that sends nothing. A plan is a publication with this delivery."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.ledger_lookup import EntriesRead
from pipelines.publishing.sending.sender import Progress
from pipelines.publishing.stored_rows import rows_of
from resources.kafka.transactions import Delivered
from resources.platform import Platform


@dataclass(frozen=True)
class PlannedSend:
    """`entry` would be sent, starting at its `rows_done`. `before`: the ledger's entry until then."""

    entry: LedgerEntry
    before: LedgerEntry | None


class DryDelivery:
    """Records what would be sent, and changes `entries` as if it had been sent."""

    encoding = ""

    def __init__(self, platform: Platform, entries: EntriesRead) -> None:
        self._platform, self._entries = platform, entries
        self.sent: list[PlannedSend] = []

    @contextmanager
    def claimed(self, window: str, topic: str) -> Iterator["DryDelivery"]:  # noqa: ARG002
        """Claims nothing."""
        yield self

    def send(self, entry: LedgerEntry) -> list[Progress]:
        """Raises what sending would raise if rows are gone or damaged."""
        before = self._entries.newest(entry.window, entry.topic).entry
        self.sent.append(PlannedSend(entry, before))
        left = entry.rows_total - entry.rows_done
        tombstones = min(entry.rows_total - rows_of(self._platform, entry).rows, left)
        done = entry.advanced(status="published", rows_done=entry.rows_total)
        self._entries.pretend(done)
        return [Progress(done, Delivered(left, {}), tombstones=tombstones, transactions=1)]
