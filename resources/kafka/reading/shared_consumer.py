"""A consumer that is connected once and lent for one reading after the other."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from confluent_kafka import KafkaException

from resources.kafka.factory import Reader, consumer
from resources.settings import Settings

_ASK_SECONDS = 5.0


class LentConsumer:
    """Whoever borrows it assigns what is to be read; to connect costs more than to read a few records. Between two
    readings nothing is assigned, so nothing is fetched. To be closed; not for use by several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: Reader | None = None
        self._topics: set[str] = set()

    @contextmanager
    def lent(self, topic: str) -> Iterator[Reader]:
        """The consumer, which knows `topic`; another one while it is lent already. Not lent again behind an error."""
        kept, self._kept = self._kept, None
        reader = kept or consumer(self._settings)
        if kept is None or topic not in self._topics:
            # A topic that a connected consumer has not heard of is looked up once a second only.
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
