"""The result of a window's publication, in counts of what was committed."""

from collections.abc import Sequence

from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.next_generation.decision import Decision
from pipelines.publishing.result import PublishResult
from pipelines.publishing.sending.sender import Progress
from resources.kafka.transactions import Delivered


def nothing_done(decision: Decision, entry: LedgerEntry, *, rows_read: int, topic: str) -> PublishResult:
    """The result if all rows are on the topic already,
    except those that the newest generation left out as stale."""
    return PublishResult(
        action="nothing",
        because=decision.because,
        generation=decision.generation,
        snapshot=entry.snapshot,
        schema_id=entry.schema_id,
        rows_read=rows_read,
        skipped=rows_read,
        stale=entry.stale,
        topic=topic,
    )


def none_selected(decision: Decision, entry: LedgerEntry | None, *, topic: str) -> PublishResult:
    """The result of a replay of some events that selects none in this window. The window is unchanged."""
    return PublishResult(
        action="nothing",
        because="none of its events is selected",
        generation=entry.generation if entry else decision.generation - 1,
        snapshot=entry.snapshot if entry else "",
        schema_id=entry.schema_id if entry else 0,
        rows_read=0,
        nothing="not_selected",
        topic=topic,
    )


def published(
    decision: Decision,
    done: Sequence[Progress],
    *,
    rows_read: int,
    gone: int,
    seconds: float,
    encoding: str,
    topic: str,
) -> PublishResult:
    """The result of what this run committed, including an interrupted generation that it finished first."""
    last = done[-1]
    delivered = Delivered()
    for progress in done:
        delivered.merge(progress.delivered)
    parts = [progress for progress in done if progress.entry.generation == last.entry.generation]
    sent = sum(progress.delivered.records - progress.tombstones for progress in parts)
    return PublishResult(
        action=decision.action,
        because=decision.because,
        generation=last.entry.generation,
        snapshot=last.entry.snapshot,
        schema_id=last.entry.schema_id,
        rows_read=rows_read,
        published=delivered.records,
        tombstones=sum(progress.tombstones for progress in done),
        skipped=rows_read - sent,
        stale=last.entry.stale,
        gone=gone,
        bytes_sent=sum(progress.bytes_sent for progress in done),
        transactions=sum(progress.transactions for progress in done),
        seconds=seconds,
        encoding=encoding,
        offsets=delivered.offsets,
        topic=topic,
        entry=last.entry,
    )
