"""The newest committed records of a topic."""

from collections.abc import Iterator

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from pipelines.publishing.readback import EventReader, ReadBack
from resources.errors import SluiceError
from resources.kafka.clients import admin
from resources.kafka.errors import explain
from resources.kafka.topics import describe_topic
from resources.platform import Platform

_SECONDS = 15


class TopicTail:
    """Reads the end of `topic`. `newest` first, then `after` goes on behind what it gave."""

    def __init__(self, topic: str, platform: Platform) -> None:
        self._topic, self._reader = topic, EventReader(platform)
        client = admin(platform.settings)
        described = describe_topic(platform.settings, topic, client=client)
        if described is None:
            raise SluiceError(
                f"topic {topic}",
                f"does not exist on {platform.settings.bootstrap_servers}: nothing was published to it yet",
                next_step="`sluice status` shows what was published",
            )
        self._first = _offsets(client, topic, described.partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        self._end = _offsets(client, topic, described.partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        self._next = dict(self._end)

    def all(self) -> Iterator[ReadBack]:
        """Every record, oldest first within each Kafka partition."""
        for record in self._reader.read(self._topic, self._first, of_others=True):
            self._passed(record)
            yield record

    def newest(self, count: int) -> list[ReadBack]:
        """The last `count` records by time over all Kafka partitions, oldest of them first."""
        # Offsets are no count: markers and aborted records take some, so look back further until it suffices.
        back = 2 * count + 16
        while True:
            starts = {p: max(self._first[p], end - back) for p, end in self._end.items()}
            found = list(self._reader.read(self._topic, starts, of_others=True)) if count else []
            if len(found) >= count or starts == self._first:
                break
            back *= 8
        for record in found:
            self._passed(record)
        found.sort(key=lambda record: (record.timestamp_ms, record.kafka_partition, record.offset))
        return found[-count:] if count else []

    def after(self) -> Iterator[ReadBack]:
        """Records as they are committed, without end."""
        return self._reader.read(self._topic, self._next, follow=True, of_others=True)

    def _passed(self, record: ReadBack) -> None:
        self._next[record.kafka_partition] = max(self._next[record.kafka_partition], record.offset + 1)


def _offsets(client: AdminClient, topic: str, partitions: int, spec: OffsetSpec) -> dict[int, int]:
    asked = {TopicPartition(topic, p): spec for p in range(partitions)}
    try:
        futures = client.list_offsets(
            asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_SECONDS
        )
        return {tp.partition: future.result().offset for tp, future in futures.items()}
    except KafkaException as error:
        raise explain(f"topic {topic}", error) from None
