"""Leaves out rows whose key has a newer value on the topic, and checks that no newer value arrives meanwhile.

Rows are guarded if the event asks for it. Tombstones are always guarded: a tombstone is sent only while the
newest record of its key belongs to this window, because a tombstone deletes the key whatever window its
newest record belongs to.

The order of the log decides which value of a key survives compaction. So a record of ours does harm exactly
if a newer record of the same key, by event time, is *before* it on the log. Before sending, the rows are
compared with what is on the topic. Then each transaction is checked after its records are acknowledged and
before it is committed: the offsets of its records are known then, and everything at a lower offset is on the
log and can be read, whether committed or not. If a newer value of one of its keys came in between, the
transaction is aborted, its records never become visible, and the rest is compared again. Whatever others
write after our records is newer on the log and wins by itself.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.authoring.cadence import floor
from pipelines.authoring.event import Event
from pipelines.encoding.keys import key_bytes
from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.history import generations
from pipelines.publishing.next_generation.correction import store_rows
from pipelines.publishing.next_generation.difference import take_rows
from pipelines.publishing.stale.event_times import Instants
from pipelines.publishing.stale.latest_values import LatestValues, Row, WindowOf, is_withdrawal
from pipelines.publishing.stale.other_windows import Elsewhere
from pipelines.publishing.stored_rows import VANISHED_SCHEMA, event_times, key_field, rows_of, stored_snapshot
from pipelines.run_events import Said, Tell, Warned
from pipelines.transform.record_timestamp import microseconds
from resources.kafka.batches.rows import Rows
from resources.kafka.errors import KafkaRefused
from resources.kafka.factory import Record
from resources.kafka.reading.range_reader import Positions, RangeReader
from resources.kafka.transactions import Delivered
from resources.platform import Platform
from resources.snapshots import Snapshot
from resources.wording import counted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StaleGuard:
    """Guards publications of `event` to `topic`; one per run. Use as a context manager, or close it.

    `stored`: the rows come from earlier snapshots (a replay of stored windows, a redrive), and the warehouse
    may no longer hold them. Then a tombstone that Sluice sent since counts like another producer's tombstone.
    For rows that were just sourced such a tombstone does not count: it says that a window lost its row, and
    the row may have moved to this window, or come back.
    """

    def __init__(
        self,
        event: Event,
        platform: Platform,
        topic: str,
        *,
        stored: bool = False,
        tell: Tell = lambda _: None,
    ) -> None:
        self._event, self._platform, self._tell = event, platform, tell
        self._guards_rows = event.stale_writes == "skip"
        self._rows_are_new = not stored
        self._topic, self._kafka_partitions = topic, 0
        self._instants = Instants(platform.registry, event.event_time, tell=tell)
        with ExitStack() as opened:
            settings = platform.settings
            self._committed = RangeReader(
                settings, topic, committed=True, say=lambda text: tell(Said(text=text))
            )
            opened.callback(self._committed.close)
            self._all = RangeReader(settings, topic, committed=False)
            opened.callback(self._all.close)
            self._standing = LatestValues(settings.memory_limit, self._instants.of)
            opened.callback(self._standing.close)
            self._opened = opened.pop_all()
        # `_known_from` and `_known`: everything from the one offset to before the other is known. `_markers`:
        # partitions in which a commit marker of ours is expected next.
        self._known_from: dict[int, int] = {}
        self._known: dict[int, int] = {}
        self._markers: set[int] = set()
        self._sent: list[Rows] = []
        self._stirred = False
        self._blind = False
        self._elsewhere, self._warned = Elsewhere(event, platform), set[str]()

    def refined(self, entry: LedgerEntry) -> LedgerEntry:
        """`entry` without stale records: what it has not sent yet is compared with the topic, and stale rows
        and tombstones are left out and counted.

        Waits for open transactions of other producers, since their records may be committed. Call it while
        none of ours is open.
        """
        self._blind = False
        if not self._guards_rows and entry.vanished is None:
            return entry
        try:
            self._follow(self._first_needed(entry))
        except KafkaRefused as refused:
            if self._guards_rows:
                raise
            self._blind = True
            self._warn(
                entry.window,
                f"{refused.where} cannot be read ({refused.problem}), so its tombstones are sent "
                "unchecked: they are right only where each key lives in one window",
            )
            return entry
        store = self._platform.snapshots
        rows = rows_of(self._platform, entry)
        done = min(entry.rows_done, rows.rows)
        stale: npt.NDArray[np.int64] = np.array([], np.int64)
        if self._guards_rows:
            stale = np.asarray(
                self._standing.stale(self._rows(rows, done), *self._own(entry), window_of=self._window_of)
            )
        lost = self._overtaken_tombstones(entry, max(0, entry.rows_done - rows.rows))
        self._warn_of_other_windows(entry, lost)
        if not len(stale) and not len(lost):
            return entry
        vanished, kept = entry.vanished, 0
        if entry.vanished is not None:
            vanished, kept = self._without(entry, lost)
        delta, rows_left = entry.delta, rows.rows
        if len(stale):
            keep = np.delete(np.arange(rows.rows), stale + done)
            batches = store.read(rows, batch_rows=self._platform.settings.batch_rows)
            chosen = take_rows(batches, pa.array(keep, pa.int64()))
            made = store_rows(store, entry.event, entry.window, entry.kind, store.schema(rows), chosen, rows)
            delta, rows_left = made.sha256, made.rows
        if len(stale):
            self._said(
                entry.window,
                f"{counted(len(stale), 'event')} left out: the topic {entry.topic} has newer "
                "values of their keys",
            )
        if len(lost):
            self._said(
                entry.window,
                f"{counted(len(lost), 'tombstone')} left out: the newest record of the key on "
                f"{entry.topic} is not of this window",
            )
        left_out = len(stale) + len(lost)
        return entry.advanced(
            delta=delta, vanished=vanished, rows_total=rows_left + kept, stale=entry.stale + left_out
        )

    def _said(self, window: str, text: str) -> None:
        self._tell(Said(window=window, text=text))

    def _warn(self, window: str, text: str) -> None:
        self._tell(Warned(window=window, text=text))

    def _first_needed(self, entry: LedgerEntry) -> Positions:
        """From which offsets the topic must be known. Tombstones alone need only what came after the window's
        first record: everything before it is older than any record of the window."""
        known = generations(entry)
        if self._guards_rows or not _offsets_known(known):
            return {}
        first: dict[int, int] = {}
        for one in known:
            for p, (offset, _) in one.offsets.items():
                first[int(p)] = min(offset, first.get(int(p), offset))
        return first

    def sending(self, rows: Rows) -> None:
        """Called with records that are queued in the open transaction."""
        if self._blind:
            return
        self._sent.append(rows)

    def holds(self, delivered: Delivered) -> bool:
        """Called when the open transaction's records are acknowledged: whether the transaction may be
        committed.

        False: a newer value of one of its keys is before it on the log. The caller aborts, and calls
        `refined` again.
        """
        if self._blind:
            return True
        sent, self._sent = self._sent, []
        # Partitions that were added are known from the first offset that a record of ours reaches.
        self._kafka_partitions = max(self._kafka_partitions, *(p + 1 for p in delivered.offsets), 0)
        spans = {p: (self._known.get(p, 0), last + 1) for p, (_, last) in delivered.offsets.items()}
        between = sum(end - first for first, end in spans.values()) - delivered.records
        # Usually there is nothing but our own records and the marker of our last commit.
        if between != len(self._markers & set(spans)) and not self._harmless(sent, spans):
            return False
        if not self._stirred:  # if stirred, they are read again, and kept, before anything more is sent
            self._known |= {p: end for p, (_, end) in spans.items()}
            self._markers = set(spans)
        return True

    @property
    def stirred(self) -> bool:
        """True if others have written since the rows were compared:
        compare what is left before you send it."""
        return self._stirred

    @property
    def _window_of(self) -> WindowOf | None:
        return self._start_of_window if self._rows_are_new else None

    def _start_of_window(self, instant: int) -> object:
        try:
            return floor(self._event.windows.cadence, _EPOCH + timedelta(microseconds=instant))
        except OverflowError:  # no window reaches that far
            return instant

    def _follow(self, first: Positions) -> None:
        # Read each time: newer values may be in a partition that was added since.
        now = self._platform.watch.settled(self._topic, self._kafka_partitions)
        self._kafka_partitions = now.partitions
        ends = self._all.ends(self._kafka_partitions)
        begin = {p: min(first.get(p, 0), end) for p, end in ends.items()}
        # The first record of this window may be before everything that was read for earlier windows.
        earlier = {p: at for p, at in begin.items() if at < self._known_from.get(p, 0)}
        for start, stop in (
            (earlier, {p: self._known_from[p] for p in earlier}),
            ({p: self._known.get(p, at) for p, at in begin.items()}, ends),
        ):
            for messages in self._committed.read(start, stop):
                self._standing.add(messages)
        self._known_from = {p: min(at, self._known_from.get(p, at)) for p, at in begin.items()}
        self._known, self._markers, self._stirred = ends, set(), False
        # These belong to a window that failed. They must not count as records of the next window.
        self._sent.clear()

    def _harmless(self, sent: list[Rows], spans: dict[int, tuple[int, int]]) -> bool:
        """Read what is between our records. True if nothing there is newer than a record of ours after it."""
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

    def _is_newer(self, message: Record, waiting: deque[bytes | None]) -> bool:
        if self._window_of is not None and is_withdrawal(message) and None not in waiting:
            return False
        at = self._instants.of(message.value(), message.timestamp()[1])
        # A tombstone of ours has no event time: any value that came after it was planned is newer.
        return any(
            value is None or (self._guards_rows and at > self._instants.of(value, 0)) for value in waiting
        )

    def _rows(self, snapshot: Snapshot, from_row: int) -> Iterator[Row]:
        event, settings = self._event, self._platform.settings
        for batch in self._platform.snapshots.read(
            snapshot, batch_rows=settings.batch_rows, from_row=from_row
        ):
            at = pa.array(microseconds(event_times(event, batch)))
            yield key_bytes(batch.column(key_field(batch.schema, event.key))), at

    def _own(self, entry: LedgerEntry) -> tuple[Iterator[Row], Iterator[Row]]:
        """This window's events before a correction and after it. An event that moved to an earlier time must
        not be stale because of its own earlier value. Empty if the generation is not a correction."""
        if entry.base_snapshot is None:
            return iter(()), iter(())
        return self._whole(entry, entry.base_snapshot), self._whole(entry, entry.snapshot)

    def _whole(self, entry: LedgerEntry, sha256: str) -> Iterator[Row]:
        store = self._platform.snapshots
        # The corrected snapshot may have been published before the module was renamed.
        for name in dict.fromkeys([entry.event, *(one["event"] for one in reversed(entry.earlier))]):
            found = store.find(name, entry.window, "transformed", sha256)
            if found is not None:
                store.verify(found)  # rows are left out because of it
                if self._event.event_time in store.schema(found).names:
                    yield from self._rows(found, 0)
                return

    def _overtaken_tombstones(self, entry: LedgerEntry, from_row: int) -> npt.NDArray[np.int64]:
        """Numbers of the vanished keys whose newest record does not belong to the window. The row may have
        moved to another window, earlier or later, and it would be wrong to delete it there. A key that is
        deleted already counts too.

        A record belongs to the window by its event time, and also by its offset if the ledger names the
        offsets of every generation. If a key has records in several kafka_partitions, the newest in each must
        belong to the window.
        """
        if entry.vanished is None:
            return np.array([], np.int64)
        store, batch_rows = self._platform.snapshots, self._platform.settings.batch_rows
        vanished = stored_snapshot(self._platform, entry, "vanished", entry.vanished)
        left = vanished.rows - from_row
        others, own, deleted = (np.zeros(left, np.bool_) for _ in range(3))
        batches = store.read(vanished, batch_rows=batch_rows, from_row=from_row)
        for newest in self._standing.newest(batch.column(0) for batch in batches):
            rows = newest.column(0).to_numpy()
            tombstones = newest.column(3).is_null().to_numpy(zero_copy_only=False)
            ours = self._of_window(entry, newest)
            own[rows[ours & ~tombstones]] = True
            others[rows[~ours & ~tombstones]] = True
            deleted[rows[tombstones]] = True
        return np.flatnonzero(others | (deleted & ~own)) + from_row

    def _warn_of_other_windows(self, entry: LedgerEntry, lost: npt.NDArray[np.int64]) -> None:
        """Warn before the first tombstone:
        a row may have moved to a window that was published before and not again since."""
        if entry.vanished is None or entry.window in self._warned:
            return
        self._warned.add(entry.window)
        vanished = stored_snapshot(self._platform, entry, "vanished", entry.vanished)
        sent = pa.array(np.delete(np.arange(vanished.rows), lost), pa.int64())
        batches = self._platform.snapshots.read(vanished, batch_rows=self._platform.settings.batch_rows)
        keys = [batch.column(0) for batch in take_rows(batches, sent)]
        told = self._elsewhere.warning(entry.window, pa.concat_arrays(keys)) if keys else None
        if told is not None:
            self._tell(Warned(window=entry.window, text=told))

    def _of_window(self, entry: LedgerEntry, newest: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        window = self._event.windows.window(entry.window)
        start, end = ((at - _EPOCH) // timedelta(microseconds=1) for at in (window.start, window.end))
        instants = newest.column(3).fill_null(start).to_numpy()
        found: npt.NDArray[np.bool_] = (instants >= start) & (instants < end)
        known = generations(entry)
        if not _offsets_known(known):
            return found
        kafka_partitions, places = newest.column(1).to_numpy(), newest.column(2).to_numpy()
        named = np.zeros(len(found), np.bool_)
        for one in known:
            for p, (first, last) in one.offsets.items():
                named |= (kafka_partitions == int(p)) & (places >= first) & (places <= last)
        return found & named

    def _without(self, entry: LedgerEntry, lost: npt.NDArray[np.int64]) -> tuple[str | None, int]:
        store, batch_rows = self._platform.snapshots, self._platform.settings.batch_rows
        vanished = stored_snapshot(self._platform, entry, "vanished", entry.vanished or "")
        if not len(lost):
            return entry.vanished, vanished.rows
        keep = pa.array(np.delete(np.arange(vanished.rows), lost), pa.int64())
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


def _offsets_known(known: Sequence[LedgerEntry]) -> bool:
    """Whether the ledger names the offsets of everything that a window ever published. The oldest generations
    are forgotten, and the offsets of a topic that was replaced are dropped."""
    return known[0].generation == 1 and not any(one.displaced for one in known)
