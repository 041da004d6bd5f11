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
    """The end of what was to be read is hidden for longer than the patience: `why`, and the next `step`."""

    def __init__(self, why: str, step: str) -> None:
        super().__init__(why)
        self.why, self.step = why, step


@dataclass(frozen=True)
class Taken:
    """Records as they come, those of a Kafka partition in the order of its log, and the offsets that were reached by
    them and by what is not handed over: markers, and records of aborted transactions."""

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
    """What `reader`, which reads these Kafka partitions already, is given until each of them has reached its end; perhaps
    something behind an end too.

    `hidden`: what hides the end if nothing comes for some seconds, for `say`, behind `what`; `stalled`: the same for the error. Raises
    ReadStalled, and as `explain` says.
    """
    left = dict(ends)
    moved, said = time.monotonic(), False
    while left:
        one = reader.poll(0.2)
        # Not `if one`: a message is as true as its value is long, and a tombstone has none. consume() waits out its whole
        # time-out for a full batch; after one message, what is here is taken.
        messages = [] if one is None else [one, *reader.consume(_BATCH, timeout=0)]
        records: list[Record] = []
        reached: dict[int, int] = {}
        for message in messages:
            p, error = message.partition() or 0, message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise explain(f"topic {topic}", error)
            # Markers and aborted records are not handed over; the end of what can be read is.
            place = (message.offset() or 0) + (error is None)
            reached[p] = max(place, reached.get(p, 0))
            if error is None:
                records.append(message)
            if p in left:
                moved = time.monotonic()  # a quota slows a reader, and an open transaction stops it
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

    `committed`: read_committed, which waits for open transactions to end; otherwise whatever is on the log.
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
        """Where each kafka_partition ends now, open transactions included."""
        if kafka_partitions > self._looked_up:
            # A client does not look for partitions that were added by itself.
            self._looked_up = kafka_partitions
            with suppress(KafkaException):
                self._consumer.list_topics(self._topic, timeout=_ASK_SECONDS)
        (found,) = offsets_of(self._admin, self._topic, range(kafka_partitions))
        return found

    def read(self, first: Positions, end: Positions) -> Iterator[list[Record]]:
        """Records from `first` up to, not including, `end`, each kafka_partition in the order of its log.

        Raises KafkaUnavailable where an open transaction hides them for longer than any may be open.
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
