"""A world on a real broker, and a consumer as services have them."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from tests.fixtures_servers import KafkaServer, RegistryServer
from tests.pipelines.publishing.conftest import World


@pytest.fixture
def world(kafka: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path) -> Iterator[World]:
    """On a real Apache Kafka."""
    made = World(tmp_path, kafka.bootstrap, embedded_registry.url)
    yield made
    made.close()


@pytest.fixture
def embedded_world(
    embedded_broker: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path
) -> Iterator[World]:
    """On the embedded broker, which gives topics no ids."""
    made = World(tmp_path, embedded_broker.bootstrap, embedded_registry.url)
    yield made
    made.close()


def consume(world: World, group: str, records: int, *, topic: str | None = None) -> None:
    """Join `group`, read `records` events in all, commit, and leave."""
    consumer = Consumer(
        {
            "bootstrap.servers": world.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe([topic or world.topic])
        found, deadline = 0, time.monotonic() + 120
        while found < records:
            assert time.monotonic() < deadline, f"{group}: {found} of {records} records after 120 s"
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                found += 1
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()
