"""A consumer that is lent: connected once,
without memory of the reading before, and never lent to two at once."""

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, TopicPartition

from resources.kafka.reading import shared_consumer as lending
from resources.kafka.reading.shared_consumer import LentConsumer
from resources.kafka.transactions import TransactionalProducer

if TYPE_CHECKING:
    from tests.resources.kafka.conftest import Cluster


@pytest.fixture
def filled(cluster: "Cluster") -> str:
    """A topic of one partition with records 0 to 4."""
    topic = cluster.topic(1)
    with TransactionalProducer(cluster.settings(), topic, event="e", window="w", topic=topic) as producer:
        producer.claim()
        producer.begin()
        for n in range(5):
            producer.produce(topic, b"k", b"%d" % n)
        producer.await_acknowledgements()
        producer.commit()
    return topic


def values(reader: Consumer, topic: str, first: int, most: int) -> list[bytes | None]:
    reader.assign([TopicPartition(topic, 0, first)])
    found: list[bytes | None] = []
    while len(found) < most:
        message = reader.poll(60)
        assert message is not None
        assert message.error() is None, message.error()
        found.append(message.value())
    return found


def test_the_same_consumer_reads_again_from_where_it_is_told(cluster: "Cluster", filled: str) -> None:
    lender = LentConsumer(cluster.settings())
    with lender.lent(filled) as first:
        assert values(first, filled, 3, 1) == [b"3"], "and one more that is not taken"
    with lender.lent(filled) as second:
        assert second is first
        assert second.assignment() == []
        assert values(second, filled, 0, 2) == [b"0", b"1"]
    lender.close()
    with pytest.raises(RuntimeError, match="closed"):
        first.poll(0)


def test_two_readings_at_once_have_a_consumer_each(cluster: "Cluster", filled: str) -> None:
    lender = LentConsumer(cluster.settings())
    with lender.lent(filled) as one:
        with lender.lent(filled) as other:
            assert other is not one
            assert values(other, filled, 1, 1) == [b"1"]
        assert values(one, filled, 2, 1) == [b"2"]
    lender.close()
    for reader in (one, other):
        with pytest.raises(RuntimeError, match="closed"):
            reader.poll(0)


def test_a_consumer_that_failed_is_not_lent_again(cluster: "Cluster", filled: str) -> None:
    lender = LentConsumer(cluster.settings())
    with pytest.raises(ValueError, match="of the reader"), lender.lent(filled) as first:
        raise ValueError("of the reader")
    with lender.lent(filled) as second:
        assert second is not first
    lender.close()


def test_a_reading_that_is_left_early_gives_it_back(cluster: "Cluster", filled: str) -> None:
    lender = LentConsumer(cluster.settings())

    def reading():
        with lender.lent(filled) as reader:
            yield reader

    steps = reading()
    first = next(steps)
    steps.close()
    with lender.lent(filled) as second:
        assert second is first
    lender.close()


def test_each_topic_is_looked_up_once(
    cluster: "Cluster", filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Asked(Consumer):
        def list_topics(self, topic: str, timeout: float = -1) -> object:  # type: ignore[override]
            asked.append(topic)
            return super().list_topics(topic, timeout)

    monkeypatch.setattr(
        lending, "consumer", lambda _: Asked({"bootstrap.servers": cluster.bootstrap, "group.id": "g"})
    )
    other = cluster.topic(1)
    lender = LentConsumer(cluster.settings())
    for topic in (filled, filled, other, filled, other):
        with lender.lent(topic):
            pass
    lender.close()
    assert asked == [filled, other]
