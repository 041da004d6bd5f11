"""Sends the records of one generation in transactions.
Each transaction holds a ledger record of the window's progress."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.ledger.entry import LedgerEntry, now
from pipelines.publishing.sending.flow import Flow
from pipelines.run_events import Said, Tell
from resources.errors import SluiceError, TransientError
from resources.kafka.batches.rows import Rows
from resources.kafka.errors import ProducerThrottled
from resources.kafka.topics.ledger_topic import ledger_partition
from resources.kafka.transactions import Delivered, TransactionalProducer
from resources.process.memory import GivingBack
from resources.settings import Settings
from resources.wording import counted

_SAY_EVERY_SECONDS = 5.0
# Rows that are queued between two checks of the clock.
_SLICE_ROWS = 8192


class Allowance(NamedTuple):
    """The most that one transaction may hold, but always at least one record; None: no limit."""

    rows: int | None = None
    bytes: int | None = None


class Pace(Protocol):
    """Slows a publication down. Both methods are called while no transaction is open."""

    def before(self, entry: LedgerEntry) -> Allowance:
        """Called before each transaction, with what is committed so far. May wait, or raise to end the run
        here. Returns the most that the transaction may hold."""

    def sent(self, rows: int, sent_bytes: int) -> None:
        """Called after each commit, with what the transaction held."""


class Guard(Protocol):
    """Checks that a transaction's records do no harm on the topic at the time of the commit."""

    @property
    def stirred(self) -> bool:
        """True if what is left must be checked again before it is sent."""

    def sending(self, rows: Rows) -> None:
        """Called with records that are queued in the open transaction."""

    def holds(self, delivered: Delivered) -> bool:
        """Called when the records are acknowledged. Returns whether the transaction may be committed."""


class Unlimited:
    """No limit."""

    def before(self, entry: LedgerEntry) -> Allowance:  # noqa: ARG002
        return Allowance()

    def sent(self, rows: int, sent_bytes: int) -> None:
        pass


@dataclass
class Progress:
    """What this run has committed of one generation."""

    entry: LedgerEntry
    delivered: Delivered
    bytes_sent: int = 0
    tombstones: int = 0
    transactions: int = 0


@dataclass
class _Chunk:
    """What the open transaction holds."""

    began: float
    most_rows: int
    most_bytes: int | None
    rows: int = 0
    bytes: int = 0
    tombstones: int = 0

    def fitting(self, rows: Rows) -> Rows:
        """The first of `rows` that fit into the transaction; at least one if the transaction is empty."""
        rows = rows.slice(0, self.most_rows - self.rows)
        if self.most_bytes is not None:
            fit = int(np.searchsorted(_bytes_up_to(rows), self.most_bytes - self.bytes, side="right"))
            rows = rows.slice(0, fit if self.rows else max(1, fit))
        return rows

    def add(self, rows: Rows) -> None:
        self.rows += len(rows)
        self.bytes += rows.total_bytes
        self.tombstones += rows.tombstones


class Sender:
    """Sends with one producer for one window. Not for use by several threads.

    `topic_id` is called when the records of a transaction are acknowledged. It raises if not all of them are
    on the topic that holds the window's other records.
    """

    def __init__(
        self,
        settings: Settings,
        producer: TransactionalProducer,
        *,
        pace: Pace,
        flow: Flow | None = None,
        guard: Guard | None = None,
        topic_id: Callable[[str, Delivered], str | None] = lambda _topic, _delivered: None,
        tell: Tell = lambda _: None,
    ) -> None:
        self._settings, self._producer, self._pace, self._tell = settings, producer, pace, tell
        self._flow = flow or Flow(tell)
        self._guard, self._topic_id = guard, topic_id
        self._memory = GivingBack()

    def send(self, entry: LedgerEntry, records: Iterator[Rows]) -> Progress:
        """Commit the remaining `records` of `entry`'s generation, and a ledger record in each transaction.

        May return before all records are sent, with an entry that is not complete: if the guard must check
        the rest again, or if a client quota throttled a transaction so much that the rest must be sent in
        smaller transactions.
        """
        progress = Progress(entry, Delivered(offsets=_as_numbers(entry.offsets)))
        try:
            self._send(progress, entry, records)
        except ProducerThrottled as slow:
            self._flow.slowed(slow, self._chunk.bytes * slow.records // self._chunk.rows, entry.window)
            try:
                self._producer.take_back()
            except TransientError:
                raise slow from None
        return progress

    def _send(self, progress: Progress, entry: LedgerEntry, records: Iterator[Rows]) -> None:
        said = time.monotonic()
        chunk = self._begin(progress)
        for rows in records:
            at = 0
            while at < len(rows):
                part = chunk.fitting(rows.slice(at, _SLICE_ROWS))
                if len(part):
                    # Added before they are queued,
                    # because a throttled producer may give up while it queues them.
                    chunk.add(part)
                    self._producer.produce_rows(entry.topic, part)
                    if self._guard is not None:
                        self._guard.sending(part)
                    at += len(part)
                elif progress.entry.rows_done + chunk.rows >= entry.rows_total:
                    raise SluiceError(
                        f"{entry.event} {entry.window}",
                        f"more rows than the {entry.rows_total:,} that the ledger announces",
                        next_step="the transaction is aborted; please report this as a defect",
                    )
                # The last transaction is committed below, whether it is full or not.
                if (
                    not len(part) or self._is_full(chunk)
                ) and progress.entry.rows_done + chunk.rows < entry.rows_total:
                    if not self._commit(progress, chunk, last=False):
                        return
                    if time.monotonic() - said > _SAY_EVERY_SECONDS:
                        said = time.monotonic()
                        done = progress.entry
                        told = f"{done.rows_done:,} of {counted(done.rows_total, 'record')} committed"
                        self._tell(Said(window=done.window, text=told))
                    chunk = self._begin(progress)
        self._commit(progress, chunk, last=True)

    def _begin(self, progress: Progress) -> _Chunk:
        entry = progress.entry
        allowed = self._pace.before(entry)
        most = self._settings.transaction_rows if allowed.rows is None else allowed.rows
        most_bytes = min((n for n in (allowed.bytes, self._flow.most_bytes) if n is not None), default=None)
        seconds = self._producer.throttled_seconds
        if seconds > _SAY_EVERY_SECONDS:
            self._flow.say(entry.window, f"waiting {seconds:.0f} s for a client quota of the brokers")
        self._producer.begin()
        most = max(1, min(most, self._settings.transaction_rows))
        self._chunk = _Chunk(time.monotonic(), most, most_bytes)
        return self._chunk

    def _is_full(self, chunk: _Chunk) -> bool:
        if chunk.rows >= chunk.most_rows:
            return True
        if chunk.most_bytes is not None and chunk.bytes >= chunk.most_bytes:
            return True
        return time.monotonic() - chunk.began >= self._settings.transaction_seconds

    def _commit(self, progress: Progress, chunk: _Chunk, *, last: bool) -> bool:
        """False: the rest must be checked again, and so must this transaction's records if it was aborted."""
        entry = progress.entry
        done = entry.rows_done + chunk.rows
        delivered = self._producer.await_acknowledgements()
        if delivered.records != chunk.rows or (last and done != entry.rows_total):
            raise SluiceError(
                f"{entry.event} {entry.window}",
                f"{counted(chunk.rows, 'record was', 'records were')} sent and {delivered.records} acknowledged; {done} of "
                f"{entry.rows_total} in all",
                next_step="the transaction is aborted; please report this as a defect",
            )
        if self._guard is not None and not self._guard.holds(delivered):
            self._producer.abort()
            return False
        topic_id = self._topic_id(entry.topic, delivered)
        progress.delivered.merge(delivered)
        entry = entry.advanced(
            topic_id=topic_id,
            rows_done=done,
            status="published" if last else "publishing",
            written_at=now(),
            bytes_done=entry.bytes_done + chunk.bytes,
            offsets={str(p): span for p, span in sorted(progress.delivered.offsets.items())},
        )
        kafka_partition = ledger_partition(entry.key, self._settings.ledger_partitions)
        self._producer.record(
            self._settings.ledger_topic, kafka_partition, entry.key.encode(), entry.to_json()
        )
        self._producer.commit()
        progress.entry = entry
        progress.bytes_sent += chunk.bytes
        progress.tombstones += chunk.tombstones
        progress.transactions += 1
        self._pace.sent(chunk.rows, chunk.bytes)
        self._flow.committed(chunk.bytes, time.monotonic() - chunk.began)
        self._memory.passed(chunk.rows)  # none of them is in the client's queue any more
        return self._guard is None or not self._guard.stirred


def _bytes_up_to(rows: Rows) -> npt.NDArray[np.int64]:
    """For each row, the bytes of keys and values up to and including it."""
    total = np.zeros(len(rows), np.int64)
    for column in (rows.keys, rows.values):
        lengths = pc.fill_null(pc.binary_length(column).cast(pa.int64()), 0)
        total += lengths.to_numpy(zero_copy_only=False)
    return np.cumsum(total)


def _as_numbers(offsets: Any) -> dict[int, tuple[int, int]]:
    return {int(kafka_partition): (first, last) for kafka_partition, (first, last) in offsets.items()}
