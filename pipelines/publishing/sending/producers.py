"""The producers of one run's windows: one transactional.id for each window, the same for every run and
generation, so that two launches of one window fence each other."""

from functools import partial

from pipelines.ledger.entry import ledger_key
from pipelines.publishing.sending.standby import Standby
from resources.kafka.topics.topics import Topic
from resources.kafka.transactions import TransactionalProducer
from resources.settings import Settings


class Producers:
    """Makes each producer in its window's turn, or ahead of it. Close it after use; not for use by several
    threads.

    `few`: so few records are expected of a window that no record should wait for others.
    """

    def __init__(self, settings: Settings, event: str) -> None:
        self._settings, self._event = settings, event
        self._standby = Standby()
        self.few = False

    def take(self, window: str, topic: str, fit: Topic) -> TransactionalProducer:
        """The window's producer. Once it has claimed the window it fences every other producer of the window.
        The caller closes it."""
        return self._standby.take(ledger_key(topic, window)) or self._made(window, topic, fit)

    def stand_by(self, window: str, topic: str, fit: Topic) -> None:
        """Prepare the producer that will be taken next, without a claim."""
        self._standby.prepare(ledger_key(topic, window), partial(self._made, window, topic, fit))

    def _made(self, window: str, topic: str, fit: Topic) -> TransactionalProducer:
        return TransactionalProducer(
            self._settings,
            f"{self._settings.code_location}|{ledger_key(topic, window)}",
            event=self._event,
            window=window,
            topic=topic,
            max_message_bytes=fit.max_message_bytes,
            kafka_partitions=fit.partitions,
            few=self.few,
        )

    def close(self) -> None:
        """Free the prepared producer."""
        self._standby.close()
