"""How far groups are behind, according to real brokers."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from resources.kafka.reading.lag import GroupReader

if TYPE_CHECKING:
    from tests.resources.kafka.conftest import Cluster


@contextmanager
def transaction(cluster: "Cluster", topic: str, records: int, *, commit: bool = True) -> Iterator[None]:
    """Records in a transaction of the test's own producer, which is open while the block runs."""
    producer = Producer(
        {"bootstrap.servers": cluster.bootstrap, "transactional.id": f"{topic}-{time.monotonic_ns()}"}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for number in range(records):
        producer.produce(topic, b"v", str(number).encode(), partition=number % 3)
    producer.flush(30)
    yield
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)


def publish(cluster: "Cluster", topic: str, records: int, *, commit: bool = True) -> None:
    with transaction(cluster, topic, records, commit=commit):
        pass
    # A commit is answered before its markers are written.
    cluster.committed(topic)


def read(cluster: "Cluster", topic: str, group: str, most: int) -> int:
    """Continue reading as `group`, and commit; returns how many records were received."""
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe([topic])
        found, deadline = 0, time.monotonic() + 60
        while found < most and time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                found += 1
        if found:
            consumer.commit(asynchronous=False)
        return found
    finally:
        consumer.close()


@pytest.fixture
def reader(cluster: "Cluster") -> Iterator[GroupReader]:
    with closing(GroupReader(cluster.settings())) as made:
        yield made


@pytest.fixture
def topic(cluster: "Cluster") -> str:
    return cluster.topic(3)


def test_a_group_is_behind_by_what_it_has_not_read(
    cluster: "Cluster", topic: str, reader: GroupReader
) -> None:
    publish(cluster, topic, 300)
    assert read(cluster, topic, "billing", 300) == 300
    drained = reader.lag(topic, "billing")
    assert 0 <= drained.records <= 3, "a marker in each partition"
    publish(cluster, topic, 120)
    behind = reader.lag(topic, "billing")
    assert 120 <= behind.records <= 126
    assert behind.committed == drained.committed and set(behind.ends) == {0, 1, 2}
    assert not reader.nothing_left(topic, behind)


def test_what_is_in_an_open_transaction_is_not_yet_behind(
    cluster: "Cluster", topic: str, reader: GroupReader
) -> None:
    publish(cluster, topic, 3)
    read(cluster, topic, "billing", 3)
    before = reader.lag(topic, "billing").records
    with transaction(cluster, topic, 300):
        assert reader.lag(topic, "billing").records == before


def test_a_group_that_never_committed_is_behind_by_the_whole_log(
    cluster: "Cluster", topic: str, reader: GroupReader
) -> None:
    publish(cluster, topic, 90)
    lag = reader.lag(topic, "nobody")
    assert 90 <= lag.records <= 93 and lag.committed == {}
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "somebody"})
    consumer.commit(offsets=[TopicPartition(topic, 0, 31)], asynchronous=False)
    consumer.close()
    assert 60 <= reader.lag(topic, "somebody").records <= 62, "the other two partitions"
    assert reader.similar("sombody") == " Did you mean 'somebody'?"


def test_an_empty_topic_holds_nobody_back(topic: str, reader: GroupReader) -> None:
    assert reader.lag(topic, "nobody").records == 0


def test_aborted_records_leave_nothing_to_read(cluster: "Cluster", topic: str, reader: GroupReader) -> None:
    publish(cluster, topic, 3)
    read(cluster, topic, "billing", 3)
    publish(cluster, topic, 600, commit=False)
    behind = reader.lag(topic, "billing")
    assert behind.records >= 600
    assert reader.nothing_left(topic, behind)
    publish(cluster, topic, 1)
    assert not reader.nothing_left(topic, reader.lag(topic, "billing"))
