"""Records of one topic between two positions, committed or not."""

import time
from collections.abc import Callable, Iterator, Mapping

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from resources.kafka.clients import admin, consumer
from resources.kafka.errors import KafkaUnavailable, explain, is_passing, kafka_error
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
        self._consumer: Consumer = consumer(settings, **_isolation(committed))

    def ends(self, kafka_partitions: int) -> dict[int, int]:
        """Where each kafka_partition ends now, open transactions included."""
        asked = {TopicPartition(self._topic, p): OffsetSpec.latest() for p in range(kafka_partitions)}  # type: ignore[no-untyped-call]
        deadline = time.monotonic() + _ASK_SECONDS
        while True:
            try:
                futures = self._admin.list_offsets(
                    asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_ASK_SECONDS
                )
                found = {tp.partition: future.result().offset for tp, future in futures.items()}
                break
            except KafkaException as error:
                if not is_passing(kafka_error(error)) or time.monotonic() > deadline:
                    raise explain(f"topic {self._topic}", error) from None
                time.sleep(0.1)
        # A request that timed out is no exception but a negative offset.
        if any(offset < 0 for offset in found.values()):
            raise KafkaUnavailable(
                f"topic {self._topic}", f"the brokers did not tell its end in {_ASK_SECONDS} s"
            )
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
                    self._say(f"waiting for another producer's open transaction on {self._topic}")
                if left and waited > _WAIT_SECONDS:
                    raise KafkaUnavailable(
                        f"topic {self._topic}",
                        f"could not be read to its end in {_WAIT_SECONDS:.0f} s: another producer's transaction stays open",
                        next_step="look for a hanging producer (kafka-transactions.sh find-hanging), then launch again",
                    )
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Free the client."""
        self._consumer.close()


def _isolation(committed: bool) -> dict[str, object]:
    return {} if committed else {"isolation.level": "read_uncommitted"}
