"""Whether topics are still the ones they were: asked again and again, in one request for several."""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from resources.kafka.connecting.logins import Admin
from resources.kafka.errors import is_passing, kafka_error
from resources.kafka.factory import admin
from resources.kafka.reading.offsets import offsets_of
from resources.kafka.topics.topics import topic_id_of
from resources.settings import Settings

_SECONDS = 15
# Brokers of a cluster learn of a change one after the other.
_LAG_SECONDS = 3.0


@dataclass(frozen=True)
class TopicNow:
    """A topic at this moment: its id, None where the brokers give it none (KIP-516: Kafka before 2.8, the embedded
    broker), and how many Kafka partitions it has, 0 where there is no such topic."""

    topic_id: str | None
    partitions: int


class TopicWatch:
    """Asks with one client. Not for use by several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _admin(self) -> Admin:
        return admin(self._settings)

    def close(self) -> None:
        """Free the client; the next question makes another one, with the login of then."""
        self.__dict__.pop("_admin", None)

    def ask(self, *names: str) -> Callable[[], dict[str, TopicNow]]:
        """Begin to ask for these topics; what is returned waits for the answer, and raises as `explain` says."""
        asked = self._describe(names)

        def answer() -> dict[str, TopicNow]:
            return {name: self._answer(name, asked[name]) for name in names}

        return answer

    def now(self, name: str) -> TopicNow:
        """One topic, at once."""
        return self.ask(name)()[name]

    def settled(self, name: str, least: int) -> TopicNow:
        """One topic that had `least` Kafka partitions a moment ago: a broker that has not heard of it yet, or of all
        of its partitions, is given some seconds to."""
        deadline = time.monotonic() + _LAG_SECONDS
        while (found := self.now(name)).partitions < least and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def ends(self, name: str, kafka_partitions: Iterable[int]) -> dict[int, int]:
        """Where these Kafka partitions end, open transactions included."""
        (found,) = offsets_of(self._admin, name, kafka_partitions)
        return found

    @cached_property
    def cluster_id(self) -> str | None:
        """The id of the Kafka cluster; None where the brokers have none."""
        try:
            about = self._admin.answer(self._admin.describe_cluster(request_timeout=_SECONDS))
        except KafkaException as error:
            raise self._admin.explained(f"Kafka {self._settings.bootstrap_servers}", error) from None
        return about.cluster_id or None

    def _describe(self, names: Iterable[str]) -> Mapping[str, Future[Any]]:
        # Not list_topics(name): a broker that creates topics by itself would create it for being asked.
        return self._admin.describe_topics(TopicCollection(list(names)), request_timeout=_SECONDS)

    def _answer(self, name: str, asked: Future[Any]) -> TopicNow:
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                found = self._admin.answer(asked)
                return TopicNow(topic_id_of(found), len(found.partitions))
            except KafkaException as error:
                code = kafka_error(error).code()
                if code == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    return TopicNow(None, 0)
                if not is_passing(kafka_error(error)) or time.monotonic() > deadline:
                    raise self._admin.explained(f"topic {name}", error) from None
                time.sleep(0.1)
                asked = self._describe([name])[name]
