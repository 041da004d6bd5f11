"""Leaves out rows whose key has a newer value on the topic, and sees to it that none slips in meanwhile.

Which value of a key survives compaction is decided by the order of the log. So a record of ours does harm exactly
when a newer one of the same key, by event time, stands *before* it. Before sending, the rows are compared with what
stands on the topic. Then, for every transaction, once its records are acknowledged and before it is committed, their
offsets are known, and everything at a lower offset is on the log and can be read, whether committed or not. If a
newer value of one of its keys came in between, the transaction is aborted, its records never show, and the rest is
compared again. Whatever others write behind our records is newer on the log too and wins by itself.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
from confluent_kafka import Message

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.encoding.keys import key_bytes
from pipelines.publishing.correction import store_rows
from pipelines.publishing.difference import take_rows
from pipelines.publishing.entry import LedgerEntry
from pipelines.publishing.outgoing import VANISHED_SCHEMA
from pipelines.publishing.staleness.instants import Instants
from pipelines.publishing.staleness.standing import Row, Standing
from pipelines.publishing.stored import event_times, key_field, rows_of, stored_snapshot
from resources.kafka.rows import Rows
from resources.kafka.tail import Tail
from resources.kafka.transactions import Delivered
from resources.platform import Platform
from resources.snapshots import Snapshot


class StaleGuard:
    """Guards publications of `event` to `topic`; one per run. Use as a context manager, or close it."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        topic: str,
        kafka_partitions: int,
        *,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._event, self._platform, self._say = event, platform, say
        self._kafka_partitions = kafka_partitions
        self._instants = Instants(platform.registry, event.event_time, say=say)
        with ExitStack() as opened:
            settings = platform.settings
            self._committed = Tail(settings, topic, committed=True, say=say)
            opened.callback(self._committed.close)
            self._all = Tail(settings, topic, committed=False)
            opened.callback(self._all.close)
            self._standing = Standing(settings.memory_limit, self._instants.of)
            opened.callback(self._standing.close)
            self._opened = opened.pop_all()
        # Everything before is known; and where a commit marker of ours is expected next.
        self._known: dict[int, int] = {}
        self._markers: set[int] = set()
        self._sent: list[Rows] = []
        self._stirred = False

    def refined(self, entry: LedgerEntry) -> LedgerEntry:
        """`entry` with what it has yet to send compared with the topic: stale rows are left out and counted.

        Waits for open transactions of other producers, since what they hold may come to stand. Called with none of
        ours open.
        """
        self._follow()
        store = self._platform.snapshots
        rows = rows_of(self._platform, entry)
        window = self._event.windows.window(entry.window)
        done = min(entry.rows_done, rows.rows)
        stale = self._standing.stale(self._rows(rows, done), *self._own(entry))
        lost = self._overtaken_tombstones(entry, window, max(0, entry.rows_done - rows.rows))
        if not len(stale) and not len(lost):
            return entry
        vanished, kept = entry.vanished, 0
        if entry.vanished is not None:
            vanished, kept = self._without(entry, lost)
        delta, rows_left = entry.delta, rows.rows
        if len(stale):
            keep = np.delete(np.arange(rows.rows), np.asarray(stale) + done)
            batches = store.read(rows, batch_rows=self._platform.settings.batch_rows)
            chosen = take_rows(batches, pa.array(keep, pa.int64()))
            made = store_rows(store, entry.event, entry.window, entry.kind, store.schema(rows), chosen, rows)
            delta, rows_left = made.sha256, made.rows
        left_out = len(stale) + len(lost)
        self._say(
            f"{entry.window}: {left_out:,} record{'s' * (left_out != 1)} left out: their keys have newer values on "
            f"{entry.topic}"
        )
        return entry.advanced(
            delta=delta, vanished=vanished, rows_total=rows_left + kept, stale=entry.stale + left_out
        )

    def sending(self, rows: Rows) -> None:
        """These are queued in the open transaction."""
        self._sent.append(rows)

    def holds(self, delivered: Delivered) -> bool:
        """Called when the open transaction's records are acknowledged: whether it may be committed.

        False: a newer value of one of its keys stands before it; the caller aborts, and asks for `refined` again.
        """
        sent, self._sent = self._sent, []
        spans = {p: (self._known.get(p, 0), last + 1) for p, (_, last) in delivered.offsets.items()}
        between = sum(end - first for first, end in spans.values()) - delivered.records
        # Commonly there is nothing but our own records and the marker of our last commit.
        if between != len(self._markers & set(spans)) and not self._harmless(sent, spans):
            return False
        if not self._stirred:  # else they are read again, and kept, before anything more is sent
            self._known |= {p: end for p, (_, end) in spans.items()}
            self._markers = set(spans)
        return True

    @property
    def stirred(self) -> bool:
        """True when others have written since the rows were compared: compare what is left before sending it."""
        return self._stirred

    def _follow(self) -> None:
        ends = self._all.ends(self._kafka_partitions)
        for messages in self._committed.read(self._known, ends):
            self._standing.add(messages)
        self._known, self._markers, self._stirred = ends, set(), False
        # Of a window that failed: its records must not pass for those of the next.
        self._sent.clear()

    def _harmless(self, sent: list[Rows], spans: dict[int, tuple[int, int]]) -> bool:
        """Look at what stands between our records. True when nothing there is newer than one of ours behind it."""
        ours: dict[bytes, deque[bytes | None]] = defaultdict(deque)
        for rows in sent:
            for key, value in zip(rows.keys.to_pylist(), rows.values.to_pylist(), strict=True):
                ours[key].append(value)
        first = {p: start for p, (start, _) in spans.items()}
        end = {p: stop for p, (_, stop) in spans.items()}
        for messages in self._all.read(first, end):
            for message in messages:
                key = message.key()
                waiting = ours.get(key) if key is not None else None
                if waiting and waiting[0] == message.value():
                    waiting.popleft()
                    continue
                self._stirred = True
                if waiting and self._is_newer(message, waiting):
                    return False
        return True

    def _is_newer(self, message: Message, waiting: deque[bytes | None]) -> bool:
        at = self._instants.of(message.value(), message.timestamp()[1])
        # A tombstone of ours has no time of its own: any value that came since it was planned is newer.
        return any(value is None or at > self._instants.of(value, 0) for value in waiting)

    def _rows(self, snapshot: Snapshot, from_row: int) -> Iterator[Row]:
        event, settings = self._event, self._platform.settings
        for batch in self._platform.snapshots.read(
            snapshot, batch_rows=settings.batch_rows, from_row=from_row
        ):
            at = event_times(event, batch).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            yield key_bytes(batch.column(key_field(batch.schema, event.key))), at

    def _own(self, entry: LedgerEntry) -> tuple[Iterator[Row], Iterator[Row]]:
        """This window's events before a correction and after it: one that moved to an earlier time is not stale for what
        it was. Nothing where the generation corrects nothing."""
        if entry.base_snapshot is None:
            return iter(()), iter(())
        return self._whole(entry, entry.base_snapshot), self._whole(entry, entry.snapshot)

    def _whole(self, entry: LedgerEntry, sha256: str) -> Iterator[Row]:
        store = self._platform.snapshots
        # What is corrected may have been published before the module was renamed.
        for name in dict.fromkeys([entry.event, *(one["event"] for one in reversed(entry.earlier))]):
            found = store.find(name, entry.window, "transformed", sha256)
            if found is not None:
                if self._event.event_time in store.schema(found).names:
                    yield from self._rows(found, 0)
                return

    def _overtaken_tombstones(self, entry: LedgerEntry, window: Window, from_row: int) -> pa.Int64Array:
        """Keys that vanished from the window, and that have a value of its time or later which is not the window's own:
        deleting that would be wrong."""
        if entry.vanished is None:
            return pa.array([], pa.int64())
        vanished = stored_snapshot(self._platform, entry, "vanished", entry.vanished)
        before = int(window.start.timestamp()) * 1_000_000 - 1

        def rows() -> Iterator[Row]:
            batches = self._platform.snapshots.read(
                vanished, batch_rows=self._platform.settings.batch_rows, from_row=from_row
            )
            for batch in batches:
                yield batch.column(0), pa.array([before] * batch.num_rows, pa.int64())

        stale = self._standing.stale(rows(), *self._own(entry))
        return pa.array(np.asarray(stale) + from_row, pa.int64())

    def _without(self, entry: LedgerEntry, lost: pa.Int64Array) -> tuple[str | None, int]:
        store, batch_rows = self._platform.snapshots, self._platform.settings.batch_rows
        vanished = stored_snapshot(self._platform, entry, "vanished", entry.vanished or "")
        if not len(lost):
            return entry.vanished, vanished.rows
        keep = pa.array(np.delete(np.arange(vanished.rows), np.asarray(lost)), pa.int64())
        with store.writer(entry.event, entry.window, "vanished", VANISHED_SCHEMA) as out:
            for batch in take_rows(store.read(vanished, batch_rows=batch_rows), keep):
                out.write(batch)
            made = out.finish({}, make_current=False)
        return made.sha256, made.rows

    def close(self) -> None:
        """Free the clients and the file."""
        self._opened.close()

    def __enter__(self) -> "StaleGuard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
