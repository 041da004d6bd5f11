"""A consumer that connects once and is lent to one reader after the other."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from confluent_kafka import KafkaException

from resources.kafka.factory import Reader, consumer
from resources.settings import Settings

_ASK_SECONDS = 5.0


class LentConsumer:
    """A consumer for short reads: to connect costs more than to read a few records.

    The borrower assigns the partitions to read. Between two borrowers nothing is assigned, so nothing is
    fetched. Close it after use. Not for use by several threads.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: Reader | None = None
        self._topics: set[str] = set()

    @contextmanager
    def lent(self, topic: str) -> Iterator[Reader]:
        """The consumer, which knows `topic`; another one if it is already lent. After an
        error it is not lent again."""
        kept, self._kept = self._kept, None
        reader = kept or consumer(self._settings)
        if kept is None or topic not in self._topics:
            # A connected consumer looks up a topic that it does not know only once a second.
            with suppress(KafkaException):
                reader.list_topics(topic, timeout=_ASK_SECONDS)
        sound = True
        try:
            yield reader
        except Exception:
            sound = False
            raise
        finally:
            if sound and self._kept is None:
                reader.unassign()
                self._topics = {*self._topics, topic} if kept else {topic}
                self._kept = reader
            else:
                reader.close()

    def close(self) -> None:
        """Free the consumer."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
