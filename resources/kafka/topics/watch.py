"""Checks again and again whether topics are still the same topics, with one request for several topics."""

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
# After a change, the brokers of a cluster learn of it one after the other.
_LAG_SECONDS = 3.0


@dataclass(frozen=True)
class TopicNow:
    """A topic at this moment. `topic_id` is None if the brokers give none (KIP-516: Kafka before 2.8, the
    embedded broker). The number of Kafka partitions is 0 if the topic does not exist."""

    topic_id: str | None
    partitions: int


class TopicWatch:
    """Uses one client for all requests. Not for use by several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _admin(self) -> Admin:
        return admin(self._settings)

    def close(self) -> None:
        """Free the client. The next request creates another client, with the login that is valid then."""
        self.__dict__.pop("_admin", None)

    def ask(self, *names: str) -> Callable[[], dict[str, TopicNow]]:
        """Send the request for these topics. The returned function waits for the answer
        and raises as `explain` says."""
        asked = self._describe(names)

        def answer() -> dict[str, TopicNow]:
            return {name: self._answer(name, asked[name]) for name in names}

        return answer

    def now(self, name: str) -> TopicNow:
        """One topic; waits for the answer."""
        return self.ask(name)()[name]

    def settled(self, name: str, least: int) -> TopicNow:
        """One topic that had `least` Kafka partitions a moment ago. If the broker does not know the topic
        yet, or not all of its Kafka partitions, ask again for some seconds."""
        deadline = time.monotonic() + _LAG_SECONDS
        while (found := self.now(name)).partitions < least and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def ends(self, name: str, kafka_partitions: Iterable[int]) -> dict[int, int]:
        """The end offset of each of these Kafka partitions, open transactions included."""
        (found,) = offsets_of(self._admin, name, kafka_partitions)
        return found

    @cached_property
    def cluster_id(self) -> str | None:
        """The id of the Kafka cluster; None if the brokers have none."""
        try:
            about = self._admin.answer(self._admin.describe_cluster(request_timeout=_SECONDS))
        except KafkaException as error:
            raise self._admin.explained(f"Kafka {self._settings.bootstrap_servers}", error) from None
        return about.cluster_id or None

    def _describe(self, names: Iterable[str]) -> Mapping[str, Future[Any]]:
        # Not list_topics(name): a broker with auto.create.topics.enable would create the
        # topic because of that request.
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
