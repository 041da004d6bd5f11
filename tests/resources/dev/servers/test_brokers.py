"""Both brokers, as clients see them: transactions hide aborted records and fence a second producer."""

import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from resources.dev.servers.kinds.apache_kafka import ApacheKafka
from tests.fixtures_servers import KafkaServer, own_server
from tests.matrix import one_of


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """Not the session's broker:
    with the hundreds of topics that other tests left, its restart takes much longer."""
    with own_server(KafkaServer, ApacheKafka(), tmp_path_factory) as handle:
        yield handle


@pytest.fixture(params=one_of("embedded_broker", "kafka"))
def broker(request: pytest.FixtureRequest) -> KafkaServer:
    handle: KafkaServer = request.getfixturevalue(request.param)
    return handle


@pytest.fixture
def topic(broker: KafkaServer) -> str:
    return new_topic(broker)


def new_topic(broker: KafkaServer) -> str:
    name = f"servers-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(60)
    return name


def producer(broker: KafkaServer, transactional_id: str) -> Producer:
    made = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": transactional_id})
    made.init_transactions(60)
    return made


def committed(broker: KafkaServer, topic: str) -> list[bytes]:
    """What a read_committed consumer sees after every current record is decided.

    Reads up to the read_uncommitted end: a commit is acknowledged before the coordinator has written its
    markers, and until then the topic seems to end before it.
    """
    settings = {"bootstrap.servers": broker.bootstrap, "group.id": uuid.uuid4().hex, "log_level": 0}
    settings["fetch.wait.max.ms"] = 20
    partition = TopicPartition(topic, 0, 0)
    undecided = Consumer({**settings, "isolation.level": "read_uncommitted"})
    _, end = undecided.get_watermark_offsets(partition, timeout=60)
    undecided.close()
    consumer = Consumer({**settings, "isolation.level": "read_committed", "enable.partition.eof": True})
    consumer.assign([partition])
    values: list[bytes] = []
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                values.append(message.value())  # type: ignore[arg-type]
            [position] = consumer.position([partition])
            if position.offset >= end:
                return values
    finally:
        consumer.close()
    raise AssertionError(f"{topic}: not read up to {end} within 60 s; read {values}")


def test_committed_records_are_read_and_aborted_ones_are_not(broker: KafkaServer, topic: str) -> None:
    writer = producer(broker, f"t-{topic}")
    writer.begin_transaction()
    writer.produce(topic, b"aborted")
    writer.flush(60)
    writer.abort_transaction(60)
    writer.begin_transaction()
    writer.produce(topic, b"kept")
    writer.commit_transaction(60)
    assert committed(broker, topic) == [b"kept"]


def test_a_second_producer_of_the_same_id_fences_the_first(broker: KafkaServer, topic: str) -> None:
    first = producer(broker, f"t-{topic}")
    first.begin_transaction()
    first.produce(topic, b"first")
    second = producer(broker, f"t-{topic}")
    with pytest.raises(KafkaException):
        first.flush(60)
        first.commit_transaction(60)
    second.begin_transaction()
    second.produce(topic, b"second")
    second.commit_transaction(60)
    assert committed(broker, topic) == [b"second"]


def test_records_survive_a_restart_at_the_same_address(broker: KafkaServer, topic: str) -> None:
    writer = producer(broker, f"t-{topic}")
    writer.begin_transaction()
    writer.produce(topic, b"before")
    writer.commit_transaction(60)
    address = broker.bootstrap
    broker.restart()
    assert broker.bootstrap == address
    assert committed(broker, topic) == [b"before"]


def test_a_paused_broker_answers_nobody_until_resumed(broker: KafkaServer, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    broker.pause()
    try:
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=1)
    finally:
        broker.resume()
    assert topic in admin.list_topics(timeout=60).topics


@pytest.mark.kafka
def test_a_committed_record_survives_a_kill(kafka: KafkaServer) -> None:
    # Only the real Kafka: the embedded broker may lose the last second.
    topic = new_topic(kafka)
    writer = producer(kafka, f"t-{topic}")
    writer.begin_transaction()
    writer.produce(topic, b"committed")
    writer.commit_transaction(60)
    assert committed(kafka, topic) == [b"committed"]  # its markers are written: see ServerHandle.kill
    kafka.kill()
    kafka.restart()
    assert committed(kafka, topic) == [b"committed"]


def test_a_topic_that_nobody_created_is_an_error(kafka: KafkaServer) -> None:
    # Only the real Kafka: the embedded broker creates topics by itself.
    missing = f"never-created-{uuid.uuid4().hex[:8]}"
    outcome: list[KafkaError | None] = []
    writer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "message.timeout.ms": 4000,
            "topic.metadata.propagation.max.ms": 500,
            "log_level": 0,
        }
    )
    writer.produce(missing, b"x", on_delivery=lambda error, _message: outcome.append(error))
    writer.flush(60)
    assert outcome and outcome[0] is not None
