"""Records of one topic between two positions, committed or not."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from resources.kafka.clients import admin, consumer
from resources.kafka.errors import FIND_HANGING, KafkaUnavailable, explain
from resources.kafka.offsets import offsets_of
from resources.settings import Settings

_ASK_SECONDS = 15
_WAIT_SECONDS = 120.0
_SAY_AFTER_SECONDS = 3.0
_BATCH = 10_000

Positions = Mapping[int, int]


class Tail:
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

    def read(self, first: Positions, end: Positions) -> Iterator[list[Message]]:
        """Records from `first` up to, not including, `end`, each kafka_partition in the order of its log.

        Raises KafkaUnavailable where an open transaction hides them for longer than any may be open.
        """
        left = {p: end[p] for p in end if first.get(p, 0) < end[p]}
        if not left:
            return
        self._consumer.assign([TopicPartition(self._topic, p, first.get(p, 0)) for p in left])
        moved, said = time.monotonic(), False
        try:
            while left:
                one = self._consumer.poll(0.2)
                # Not `if one`: a message is as true as its value is long, and a tombstone has none.
                messages = [] if one is None else [one, *self._consumer.consume(_BATCH, timeout=0)]
                records: list[Message] = []
                for message in messages:
                    p, error = message.partition() or 0, message.error()
                    if error is not None and error.code() != KafkaError._PARTITION_EOF:
                        raise explain(f"topic {self._topic}", error)
                    # Markers and aborted records are not handed over; the end of what can be read is.
                    reached = (message.offset() or 0) + (error is None)
                    if error is None and p in left and reached <= left[p]:
                        records.append(message)
                    if p in left and reached >= left[p]:
                        del left[p]
                if messages:
                    moved = time.monotonic()
                if records:
                    yield records
                waited = time.monotonic() - moved
                if left and waited > _SAY_AFTER_SECONDS and not said:
                    said = True
                    hidden = f"another producer's open transaction on {self._topic}"
                    self._say(f"waiting for {self._consumer.throttle.told(moved) or hidden}")
                if left and waited > _WAIT_SECONDS:
                    why, step = self._consumer.throttle.reader_waits(
                        moved, "another producer's transaction stays open", FIND_HANGING
                    )
                    raise KafkaUnavailable(
                        f"topic {self._topic}",
                        f"could not be read to its end in {_WAIT_SECONDS:.0f} s: {why}",
                        next_step=f"{step}, then launch again",
                    )
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Free the client."""
        self._consumer.close()


def _isolation(committed: bool) -> dict[str, object]:
    return {} if committed else {"isolation.level": "read_uncommitted"}
