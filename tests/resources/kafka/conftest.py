"""A Kafka for each test: one broker for all, but each has its own names of topics and of the ledger."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from resources.settings import Settings, load_settings
from tests.fixtures_servers import KafkaServer
from tests.matrix import one_of


class Cluster:
    """What a test does with a broker besides the code under test."""

    def __init__(self, server: KafkaServer, home: Path, way: str = "auto") -> None:
        self.server, self.bootstrap = server, server.bootstrap
        self._home, self._way = home, way
        self._admin = AdminClient({"bootstrap.servers": server.bootstrap})
        self.name = f"t{uuid4().hex[:10]}"

    def settings(self, *, ledger_partitions: int = 4, **kafka: str) -> Settings:
        """Settings with a ledger of this test's own; in `kafka`, dots are written as underscores."""
        loaded = load_settings(
            {
                "SLUICE_HOME": str(self._home),
                "SLUICE_LEDGER_TOPIC": f"{self.name}.ledger",
                "SLUICE_CREATE_TOPICS": "true",
                "SLUICE_PRODUCING": self._way,
                "SLUICE_LEDGER_PARTITIONS": str(ledger_partitions),
                "SLUICE_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            }
        )
        more = {name.replace("_", "."): value for name, value in kafka.items()}
        return replace(loaded, kafka={**loaded.kafka, **more})

    def topic(self, partitions: int = 3, **config: str) -> str:
        """A new topic; in `config`, dots are written as underscores."""
        name = f"{self.name}.{uuid4().hex[:6]}.v1"
        self.create(name, partitions, **config)
        return name

    def create(self, name: str, partitions: int, **config: str) -> None:
        settings = {key.replace("_", "."): value for key, value in config.items()}
        self._admin.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result()

    def committed(self, topic: str, partitions: int = 3, seconds: float = 60.0) -> list[tuple[bytes, bytes]]:
        """Key and value of every record an ordinary read_committed consumer can see now."""
        self._wait_for_markers(topic, partitions)
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": uuid4().hex,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,  # else a consumer at the end waits for half a second
                "enable.auto.commit": False,
            }
        )
        try:
            consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
            found, ended = [], set()
            while len(ended) < partitions:
                message = consumer.poll(seconds)
                assert message is not None, f"{topic}: quiet for {seconds} s"
                error = message.error()
                if error is None:
                    ended.discard(message.partition())
                    found.append((message.key() or b"", message.value() or b""))
                else:
                    assert error.name() == "_PARTITION_EOF", error
                    ended.add(message.partition())
            return found
        finally:
            consumer.close()

    def _wait_for_markers(self, topic: str, partitions: int, seconds: float = 10.0) -> None:
        """Wait for the markers of commits: a commit is answered before its markers are written, and until
        then a reader stops before it."""
        ends = []
        for isolation in ("read_uncommitted", "read_committed"):
            settings = {"bootstrap.servers": self.bootstrap, "group.id": "g", "isolation.level": isolation}
            ends.append(Consumer(settings))
        deadline = time.monotonic() + seconds
        try:
            for p in range(partitions):
                place = TopicPartition(topic, p)
                while time.monotonic() < deadline:
                    if len({end.get_watermark_offsets(place)[1] for end in ends}) == 1:
                        break
                    time.sleep(0.02)
        finally:
            for end in ends:
                end.close()


@pytest.fixture
def way() -> str:
    """How records are produced; a module whose tests apply to each way overrides it with all of them."""
    return "auto"


@pytest.fixture
def cluster(kafka: KafkaServer, tmp_path: Path, way: str) -> Cluster:
    """A real Apache Kafka."""
    return Cluster(kafka, tmp_path, way)


@pytest.fixture
def embedded_cluster(embedded_broker: KafkaServer, tmp_path: Path, way: str) -> Cluster:
    """The embedded broker."""
    return Cluster(embedded_broker, tmp_path, way)


@pytest.fixture(params=one_of("kafka", "embedded_broker"))
def any_cluster(request: pytest.FixtureRequest, tmp_path: Path, way: str) -> Iterator[Cluster]:
    """Both, one after the other."""
    yield Cluster(request.getfixturevalue(request.param), tmp_path, way)
