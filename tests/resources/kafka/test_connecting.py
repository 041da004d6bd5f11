"""A client prepared for its claim:
the claim then queries its coordinator once, and fences nobody before it."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from resources.kafka.batches import producer_client as client
from resources.kafka.errors import ProducerFenced
from resources.kafka.transactions import TransactionalProducer
from resources.settings import Settings
from tests.matrix import one_of

if TYPE_CHECKING:
    from tests.resources.kafka.conftest import Cluster


@pytest.fixture(params=one_of("native", "public"))
def way(request: pytest.FixtureRequest) -> str:
    """Every promise applies to both."""
    chosen: str = request.param
    return chosen


def made(settings: Settings, topic: str, name: str = "id") -> TransactionalProducer:
    return TransactionalProducer(
        settings, f"{topic} {name}", event="flights/departed", window="w", topic=topic
    )


@pytest.mark.parametrize("connected_before", [False, True])
def test_a_claim_never_asks_for_its_coordinator_before_a_broker_is_connected(
    cluster: "Cluster", caplog: pytest.LogCaptureFixture, connected_before: bool
) -> None:
    """Otherwise it waits half a second before it queries again. Measured without this: ten of eleven claims
    query too early, and one of three waits."""
    topic, settings = cluster.topic(3), cluster.settings(debug="eos")
    with caplog.at_level(logging.DEBUG, "sluice.kafka"):
        for n in range(6):
            with made(settings, topic, str(n)) as producer:
                if connected_before:
                    assert producer.connect()
                producer.claim()
                producer._client.poll(0)
    told = [record.getMessage() for record in caplog.records]
    assert sum("Querying for transaction coordinator" in line for line in told) >= 6
    assert not [line for line in told if "Unable to query for transaction coordinator" in line]


def test_whoever_is_only_connected_fences_nobody(cluster: "Cluster") -> None:
    topic, settings = cluster.topic(3), cluster.settings()
    with made(settings, topic) as owner, made(settings, topic) as beside:
        owner.claim()
        owner.begin()
        owner.produce(topic, b"k", b"first")
        assert beside.connect()
        owner.await_acknowledgements()
        owner.commit()
        owner.begin()
        owner.produce(topic, b"k", b"second")
        owner.await_acknowledgements()
        beside.claim()
        with pytest.raises(ProducerFenced):
            owner.commit()
    assert cluster.committed(topic) == [(b"k", b"first")]


def noted(cluster: "Cluster") -> bytes:
    """The transactional ids that the brokers keep: the keys of the log that they have for them."""
    reader = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "g", "enable.partition.eof": True})
    try:
        log = reader.list_topics("__transaction_state", timeout=60).topics["__transaction_state"]
        reader.assign([TopicPartition(log.topic, p, 0) for p in log.partitions])
        keys, ended = b"", 0
        while ended < len(log.partitions):
            message = reader.poll(60)
            assert message is not None
            if message.error():
                ended += 1
            else:
                keys += message.key() or b""
        return keys
    finally:
        reader.close()


def test_brokers_note_nothing_of_a_client_that_is_connected(cluster: "Cluster") -> None:
    topic, settings = cluster.topic(3), cluster.settings()
    with made(settings, topic, "claims") as claims, made(settings, topic, "waits") as waits:
        assert waits.connect()
        claims.claim()
        assert f"{topic} claims".encode() in noted(cluster)
        assert f"{topic} waits".encode() not in noted(cluster)


@pytest.mark.parametrize(("age_seconds", "again"), [(0, 0), (100, 1)])
def test_a_connection_that_was_made_long_ago_is_looked_at_again(
    cluster: "Cluster", monkeypatch: pytest.MonkeyPatch, age_seconds: int, again: int
) -> None:
    """Brokers close a connection that nothing uses."""
    asked: list[bool] = []
    with made(cluster.settings(), cluster.topic(3)) as producer:
        assert producer.connect()
        producer._connected_at -= age_seconds
        connect = producer._client.connect
        monkeypatch.setattr(producer._client, "connect", lambda *a: asked.append(connect(*a)) or asked[-1])
        producer.claim()
    assert asked == [True] * again


def test_brokers_out_of_reach_are_not_told_before_the_claim(cluster: "Cluster") -> None:
    with made(cluster.settings(bootstrap_servers="127.0.0.1:1"), "away.v1") as producer:
        assert not producer.connect(0.2)


class Answers:
    """Metadata one by one: the id of the broker that answers, or an error."""

    def __init__(self, *answers: int | KafkaError) -> None:
        self.left, self.patience = list(answers), list[float]()

    def __call__(self, patience: float) -> int:
        self.patience.append(patience)
        answer = self.left.pop(0)
        if isinstance(answer, KafkaError):
            raise KafkaException(answer)
        return answer


def test_only_a_broker_under_its_own_id_counts() -> None:
    late = KafkaError(KafkaError._TRANSPORT)
    asked = Answers(late, -1, late, late, 7)
    assert client.reach(asked, 5.0)
    assert asked.left == []
    assert asked.patience == sorted(asked.patience)
    assert asked.patience[-1] == 8 * asked.patience[0]


@pytest.mark.parametrize("answer", [-1, KafkaError(KafkaError._TRANSPORT)])
def test_whoever_is_never_reached_is_not_waited_for_longer(answer: int | KafkaError) -> None:
    forever: Callable[[float], int] = Answers(*[answer] * 100_000)
    assert not client.reach(forever, 0.05)
