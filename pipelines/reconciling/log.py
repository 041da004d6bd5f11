"""Reads ranges of offsets as a careful consumer does: only committed records, in large batches."""

import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.encoding.columns.assembly import byte_view
from pipelines.reconciling.expected import CannotReconcile
from resources.errors import TransientError
from resources.kafka.batches.batch_reader import BROKERS_TIME, Batch, BatchReader
from resources.kafka.errors import FIND_HANGING, ClientFault, KafkaUnavailable, explain
from resources.kafka.factory import admin, batch_reader
from resources.kafka.reading.offsets import EARLIEST, LATEST, offsets_of
from resources.kafka.topics.topics import describe_topic
from resources.process.waiting import waiting_for
from resources.settings import Settings

_ASK_SECONDS = 15
# Another producer's open transaction blocks readers until it ends.
_WAIT_SECONDS = 120.0
_BATCH = 10_000
# A fetch that waits at the broker delays the first fetch of the next window. So a fetch does not wait there:
# the records to read are known to be on the log. If they cannot be read yet, the fetch is repeated now and
# then.
_FETCH_WAIT_MS = 1
_QUIET_SECONDS = 1.0
_PAUSE_SECONDS = 0.1
# A client waits silently for a deleted topic, and for offsets that the log no longer has.
_LOOK_SECONDS = 3.0
# What the client may fetch ahead, and how much of a Kafka partition at once. A waiting message takes about
# 400 bytes beside its own, and everything that was fetched at once is unpacked at once.
_AHEAD_KILOBYTES = 2_048
_AT_ONCE_BYTES = 128 << 10


class LogCut(TransientError):
    """A log ends before the offsets that were being read. Reading it again shows what is left."""


@dataclass(frozen=True)
class Committed:
    """Committed records, row for row; null values are tombstones. `stamps`, if requested: int64, the
    producer's record timestamps in milliseconds, null if the brokers wrote their own."""

    kafka_partitions: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    keys: pa.Array
    values: pa.Array
    stamps: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def total_bytes(self) -> int:
        """Bytes of keys and values."""
        return sum(int(places[-1] - places[0]) for places, _ in map(byte_view, (self.keys, self.values)))


class LogReader:
    """One consumer, in no group, for any number of ranges; with `stamps` it also reads record timestamps. Not
    for use by several threads.

    It has its own loop and does not use `resources.kafka.reading.range_reader.read_until`: that function
    returns messages one by one, which costs twice the CPU for the millions of records of a window. This class
    reads columns, drops partitions that are complete, and handles a topic that is deleted or cut while it is
    verified.
    """

    def __init__(self, settings: Settings, *, stamps: bool = False) -> None:
        self._settings, self._admin = settings, admin(settings)
        self._known: dict[str, int] = {}
        ahead: dict[str, object] = {
            "queued.min.messages": _BATCH * 10,
            "queued.max.messages.kbytes": _AHEAD_KILOBYTES,
            "fetch.message.max.bytes": _AT_ONCE_BYTES,
            "fetch.wait.max.ms": _FETCH_WAIT_MS,
        }
        self._reader: BatchReader = batch_reader(settings, stamps=stamps, **ahead)

    def bounds(self, topic: str, kafka_partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """The first offset that is still kept and the end of each kafka_partition,
        including open transactions."""
        partitions = sorted(kafka_partitions)
        self._look_up(topic, partitions)
        low, high = offsets_of(self._admin, topic, partitions, (EARLIEST, LATEST))
        return {p: (low[p], high[p]) for p in partitions}

    def _look_up(self, topic: str, kafka_partitions: Iterable[int]) -> None:
        # The first request of a client may be lost with the connection to the bootstrap address (librdkafka
        # 2.16), and a request for offsets is repeated only after 3 s. A connected consumer looks up a topic
        # that is new to it only once a second. To avoid both waits, each client looks up the topic with its
        # present partitions first.
        count = max(kafka_partitions, default=0) + 1
        if count > self._known.get(topic, 0):
            self._known[topic] = count
            describe_topic(self._settings, topic, client=self._admin)
            self._reader.look_up(topic, _ASK_SECONDS)

    def read(self, topic: str, ranges: Mapping[int, tuple[int, int]]) -> Generator[Committed, None, None]:
        """Committed records of `ranges` (kafka_partition -> first offset, end exclusive), those of each
        kafka_partition in the order of the log. The ranges must not go beyond the end of the log. Records
        that retention removes meanwhile are left out. Raises CannotReconcile if the topic is deleted
        meanwhile, LogCut if it is created again, and KafkaUnavailable if an open transaction hides records
        for too long."""
        ends = {p: end for p, (first, end) in ranges.items() if first < end}
        if not ends:
            return
        bound = np.zeros(max(ends) + 1, np.int64)
        bound[list(ends)] = list(ends.values())
        self._look_up(topic, ends)
        places = {p: ranges[p][0] for p in ends}
        try:
            self._reader.assign(topic, places)
            moved = looked = time.monotonic()
            while ends:
                with waiting_for(f"records of topic {topic}", since=moved):
                    batch = self._next(topic)
                places |= batch.ends
                if len(batch):
                    for p in ends:
                        own = batch.offsets[batch.kafka_partitions == p]
                        if len(own):
                            places[p] = max(places[p], int(own[-1]) + 1)
                    yield _within(batch, bound)
                    moved = time.monotonic()
                self._finish(topic, ends, places)
                quiet_seconds = time.monotonic() - moved
                # A throttled broker answers the next fetch later. To cancel that fetch would discard its
                # answer, and the broker would throttle the next fetch in the same way, for ever.
                throttled = self._reader.throttle.seconds_left > 0
                if ends and quiet_seconds > _QUIET_SECONDS and not throttled:
                    self._pause(topic, {p: places[p] for p in ends})
                if ends and time.monotonic() - max(moved, looked) > _LOOK_SECONDS:
                    self._require_there(topic, ends)
                    looked = time.monotonic()
                if ends and quiet_seconds > _WAIT_SECONDS:
                    why, step = self._reader.throttle.reader_waits(
                        moved, "a transaction stays open", FIND_HANGING
                    )
                    raise KafkaUnavailable(
                        f"topic {topic}",
                        f"could not be read to the offsets of the ledger in {_WAIT_SECONDS:.0f} s: {why}",
                        next_step=f"{step}, then verify again",
                    )
        finally:
            self._reader.unassign()

    def _require_there(self, topic: str, ends: Mapping[int, int]) -> None:
        """Raise CannotReconcile or LogCut if waiting does not help."""
        high: Mapping[int, int] = ends
        # Brokers that do not answer may be back before the wait is over.
        with suppress(TransientError):
            found = describe_topic(self._settings, topic, client=self._admin)
            if found is None:
                raise CannotReconcile(
                    f"topic {topic}", "was deleted while it was read, and with it every record of this window"
                )
            there = [p for p in ends if p < found.partitions]
            (high,) = offsets_of(self._admin, topic, there)
        cut = sorted(p for p, end in ends.items() if high.get(p, 0) < end)
        if cut:
            raise LogCut(
                f"topic {topic}",
                f"partition {', '.join(map(str, cut))} ends before the offsets that were being read: the topic was made "
                "anew or its log was cut meanwhile",
                next_step="verify again: what is left is compared then",
            )

    def _pause(self, topic: str, places: Mapping[int, int]) -> None:
        """Fetch nothing for a moment, then continue at `places`."""
        # The client's own pause is not used:
        # after a resume the client continued at an offset that was too high.
        self._reader.unassign()
        time.sleep(_PAUSE_SECONDS)
        self._reader.assign(topic, places)

    def _next(self, topic: str) -> Batch:
        try:
            return self._reader.next(_BATCH, 0.2)
        except ClientFault as error:
            raise explain(f"topic {topic}", error) from None

    def _finish(self, topic: str, ends: dict[int, int], places: Mapping[int, int]) -> None:
        """Remove the kafka_partitions from `ends` that have been read to their end."""
        done = {p for p, end in ends.items() if places[p] >= end}
        for p in done:
            del ends[p]
        if ends and done:
            # The records after the range belong to others and are not fetched.
            self._reader.drop(topic, done)

    def close(self) -> None:
        """Free the client."""
        self._reader.close()


def _within(batch: Batch, bound: npt.NDArray[np.int64]) -> Committed:
    keep = batch.offsets < bound[batch.kafka_partitions]
    stamps = batch.stamps_ms
    stamped = None if stamps is None else pa.array(stamps, mask=stamps == BROKERS_TIME)
    if keep.all():
        return Committed(batch.kafka_partitions, batch.offsets, batch.keys, batch.values, stamped)
    mask = pa.array(keep)
    return Committed(
        batch.kafka_partitions[keep],
        batch.offsets[keep],
        batch.keys.filter(mask),
        batch.values.filter(mask),
        None if stamped is None else stamped.filter(mask),
    )
