"""The newest committed records of a topic."""

from collections.abc import Iterator

from pipelines.reconciling.records.event_reader import EventReader, ReadBack
from resources.errors import SluiceError
from resources.kafka.factory import admin
from resources.kafka.reading.offsets import EARLIEST, LATEST, offsets_of
from resources.kafka.topics.topics import describe_topic
from resources.platform import Platform


class TopicTail:
    """Reads the end of `topic`.
    Call `newest` first; `after` then continues after the records that it returned."""

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
        self._first, self._end = offsets_of(
            client, topic, range(described.partitions), (EARLIEST, LATEST), committed=True
        )
        self._next = dict(self._end)

    def all(self) -> Iterator[ReadBack]:
        """Every record, oldest first within each Kafka partition."""
        for record in self._reader.read(self._topic, self._first, of_others=True):
            self._passed(record)
            yield record

    def newest(self, count: int) -> list[ReadBack]:
        """The last `count` records by time over all Kafka partitions, oldest of them first."""
        # Offsets do not count records: markers and aborted records use some.
        # So read from further back until there are enough.
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
        """Records as they are committed, endlessly."""
        return self._reader.read(self._topic, self._next, follow=True, of_others=True)

    def _passed(self, record: ReadBack) -> None:
        self._next[record.kafka_partition] = max(self._next[record.kafka_partition], record.offset + 1)
