"""Records of one topic between two positions, committed or not."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException

from resources.kafka.errors import FIND_HANGING, KafkaUnavailable, explain
from resources.kafka.factory import Reader, Record, admin, consumer
from resources.kafka.reading.offsets import offsets_of
from resources.settings import Settings

_ASK_SECONDS = 15
_WAIT_SECONDS = 120.0
_SAY_AFTER_SECONDS = 3.0
_BATCH = 10_000

Positions = Mapping[int, int]


class ReadStalled(Exception):
    """The end of the range is hidden for longer than the patience. `why` is the
    reason, `step` the next step."""

    def __init__(self, why: str, step: str) -> None:
        super().__init__(why)
        self.why, self.step = why, step


@dataclass(frozen=True)
class Taken:
    """Records in the order in which they came, for each Kafka partition in the order of its log. `reached`:
    the next offset of each Kafka partition, after these records and after what is not returned: transaction
    markers and records of aborted transactions."""

    records: list[Record]
    reached: dict[int, int]


def read_until(
    reader: Reader,
    topic: str,
    ends: Positions,
    *,
    hidden: str,
    stalled: str,
    what: str = "",
    patience_seconds: float,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Taken]:
    """Yield what `reader` gets, until each of these Kafka partitions has reached its end. `reader` must
    already read them. Records after an end may be among them.

    If nothing comes for some seconds, `say` gets a line with `what` and then `hidden`, the reason why
    the end is hidden. `stalled` is that reason for the error. Raises ReadStalled after
    `patience_seconds`, and as `explain` says.
    """
    left = dict(ends)
    moved, said = time.monotonic(), False
    while left:
        one = reader.poll(0.2)
        # Not `if one`: a message is true if its value has bytes, and a tombstone has none. consume() waits
        # for a full batch until its timeout; so poll() waits for one message, and consume() then takes the
        # messages that are already here.
        messages = [] if one is None else [one, *reader.consume(_BATCH, timeout=0)]
        records: list[Record] = []
        reached: dict[int, int] = {}
        for message in messages:
            p, error = message.partition() or 0, message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise explain(f"topic {topic}", error)
            # Markers and aborted records are not returned, but the end-of-partition
            # event gives the offset after them.
            place = (message.offset() or 0) + (error is None)
            reached[p] = max(place, reached.get(p, 0))
            if error is None:
                records.append(message)
            if p in left:
                moved = time.monotonic()  # a quota makes a reader slow; an open transaction stops it
                if place >= left[p]:
                    del left[p]
        if reached:
            yield Taken(records, reached)
        waited = time.monotonic() - moved
        if left and waited > _SAY_AFTER_SECONDS and not said:
            said = True
            say(f"waiting for {what}{reader.throttle.told(moved) or hidden}")
        if left and waited > patience_seconds:
            raise ReadStalled(*reader.throttle.reader_waits(moved, stalled, FIND_HANGING))


class RangeReader:
    """Reads one topic from offset to offset, with one consumer. Not for use by several threads.

    `committed`: read_committed, which waits until open transactions end; otherwise
    all records that are on the log.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        *,
        committed: bool,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._topic, self._say = topic, say
        self._admin = admin(settings)
        self._looked_up = 0
        self._consumer = consumer(settings, **_isolation(committed))

    def ends(self, kafka_partitions: int) -> dict[int, int]:
        """The end offset of each kafka_partition now, open transactions included."""
        if kafka_partitions > self._looked_up:
            # A client does not look for added partitions by itself.
            self._looked_up = kafka_partitions
            with suppress(KafkaException):
                self._consumer.list_topics(self._topic, timeout=_ASK_SECONDS)
        (found,) = offsets_of(self._admin, self._topic, range(kafka_partitions))
        return found

    def read(self, first: Positions, end: Positions) -> Iterator[list[Record]]:
        """Records from `first` up to, not including, `end`, each kafka_partition in the order of its log.

        Raises KafkaUnavailable if an open transaction hides them for longer than a transaction may be open.
        """
        left = {p: end[p] for p in end if first.get(p, 0) < end[p]}
        if not left:
            return
        self._consumer.begin(self._topic, {p: first.get(p, 0) for p in left})
        taken = read_until(
            self._consumer,
            self._topic,
            left,
            hidden=f"another producer's open transaction on {self._topic}",
            stalled="another producer's transaction stays open",
            patience_seconds=_WAIT_SECONDS,
            say=self._say,
        )
        try:
            for found in taken:
                within = [
                    one for one in found.records if (one.offset() or 0) < left.get(one.partition() or 0, 0)
                ]
                if within:
                    yield within
        except ReadStalled as stalled:
            raise KafkaUnavailable(
                f"topic {self._topic}",
                f"could not be read to its end in {_WAIT_SECONDS:.0f} s: {stalled.why}",
                next_step=f"{stalled.step}, then launch again",
            ) from None
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Free the client."""
        self._consumer.close()


def _isolation(committed: bool) -> dict[str, object]:
    return {} if committed else {"isolation.level": "read_uncommitted"}
