"""A client quota of the brokers throttles a producer and a reader, and is named; on a real Apache Kafka."""

import subprocess
import time
from collections.abc import Callable
from os import urandom
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import ThrottleEvent

from pipelines.reconciling.log import LogReader
from resources.dev.servers import maven
from resources.dev.servers.kinds.java import java_program
from resources.kafka import transactions
from resources.kafka.batches.batch_reader import Batch
from resources.kafka.batches.rows import Rows
from resources.kafka.connecting.throttle import Throttle
from resources.kafka.errors import KafkaUnavailable, ProducerThrottled
from resources.kafka.reading.range_reader import RangeReader
from resources.settings import load_settings
from tests.matrix import one_of
from tests.resources.kafka.test_transactions import claimed

if TYPE_CHECKING:
    from tests.resources.kafka.conftest import Cluster


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds; only sleeping advances it."""
    now = [1_000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return now


def test_a_throttle_time_holds_until_it_is_over(clock: list[float]) -> None:
    throttle = Throttle()
    assert (throttle.seconds_left, throttle.told(0.0)) == (0.0, "")
    throttle(ThrottleEvent("broker", 1, 0.7))
    assert throttle.seconds_left == pytest.approx(0.7)
    throttle.hold(200)  # by another broker
    throttle.hold(0)
    assert throttle.seconds_left == pytest.approx(0.7)
    clock[0] += 2
    assert throttle.seconds_left == 0
    assert "quota" in throttle.told(since=clock[0] - 2) and "200 ms" in throttle.told(since=clock[0] - 2)
    assert throttle.told(since=clock[0] - 1) == ""
    assert throttle.reader_waits(clock[0] - 1, "why", "step") == ("why", "step")
    assert "consumer_byte_rate" in throttle.reader_waits(clock[0] - 2, "why", "step")[1]


Quota = Callable[[str, float], str]


@pytest.fixture
def quota(cluster: "Cluster", tmp_path: Path) -> Quota:
    """Sets a quota for a separate client.id; returns the client.id."""
    libraries = maven.fetch("kafka", server="kafka", progress=lambda _: None)
    client = f"c{uuid4().hex[:8]}"

    def made(name: str, value: float) -> str:
        command = [java_program("kafka"), "-cp", f"{libraries}/*", "kafka.admin.ConfigCommand"]
        command += ["--bootstrap-server", cluster.bootstrap, "--alter", "--add-config", f"{name}={value}"]
        command += ["--entity-type", "clients", "--entity-name", client]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
        return client

    return made


@pytest.mark.parametrize("way", one_of("native", "public"))
def test_a_transaction_that_cannot_end_in_time_is_given_up_and_smaller_ones_pass(
    cluster: "Cluster", quota: Quota, way: str
) -> None:
    settings = cluster.settings(client_id=quota("producer_byte_rate", 100_000))
    topic = cluster.topic(1)
    many = Rows(
        pa.array([b"k"] * 8_000, pa.binary()),
        pa.array([urandom(500) for _ in range(8_000)], pa.large_binary()),
    )
    with claimed(settings, topic, kafka_partitions=1) as producer:
        assert producer.way == way
        producer.begin()
        with pytest.raises(
            ProducerThrottled, match="a client quota of the brokers throttles this client"
        ) as slow:
            producer.produce_rows(topic, many)
            producer.await_acknowledgements()
        assert slow.value.records < 8_000
        assert "--max-bytes-per-second" in str(slow.value)
        producer.take_back()
        producer.begin()
        assert producer.throttled_seconds == 0
        producer.produce_rows(topic, many.slice(0, 200))
        assert producer.await_acknowledgements().records == 200
        assert producer.commit().records == 200
    assert len(cluster.committed(topic, 1, seconds=30)) == 200


@pytest.mark.parametrize("way", one_of("native", "public"))
def test_a_reader_hears_of_a_quota_and_reads_to_the_end(cluster: "Cluster", quota: Quota, way: str) -> None:
    topic = cluster.topic(1)
    values = [urandom(1_000) for _ in range(400)]
    # Batches that the quota lets through one by one.
    with claimed(cluster.settings(batch_size="20000"), topic) as producer:
        producer.begin()
        producer.produce_rows(
            topic, Rows(pa.array([b"k"] * 400, pa.binary()), pa.array(values, pa.large_binary()))
        )
        producer.await_acknowledgements()
        producer.commit()
    settings = cluster.settings(client_id=quota("consumer_byte_rate", 30_000))
    reader = LogReader(settings)
    try:
        assert reader._reader.way == way
        (low, high) = reader.bounds(topic, [0])[0]
        found = sum(len(batch) for batch in reader.read(topic, {0: (low, high)}))
        assert reader._reader.throttle.milliseconds > 0
    finally:
        reader.close()
    assert found == 400


class Silent:
    """A reader that receives nothing for `seconds`, and then one record, unless it was unassigned in the
    meantime: then its requests are discarded and sent again."""

    def __init__(self, clock: list[float], seconds: float, throttle_ms: int) -> None:
        self._clock, self._seconds, self._throttle_ms = clock, seconds, throttle_ms
        self.throttle = Throttle()
        self.assign()

    def assign(self, *_: object) -> None:
        self._answer_at = self._clock[0] + self._seconds
        self.throttle.hold(self._throttle_ms)

    def next(self, *_: object) -> Batch:
        self._clock[0] += 0.2
        data = pa.array([b"x"] if self._clock[0] > self._answer_at else [], pa.large_binary())
        places = np.arange(len(data))
        return Batch(places.astype(np.int32), places.astype(np.int64), data, data)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def log_of(monkeypatch: pytest.MonkeyPatch, reader: Silent) -> LogReader:
    log = object.__new__(LogReader)
    log._known, log._reader = {"t": 1}, reader
    monkeypatch.setattr(log, "_require_there", lambda *_: None)
    return log


def test_a_throttled_fetch_is_waited_for_and_not_asked_for_anew(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    log = log_of(monkeypatch, Silent(clock, seconds=9.0, throttle_ms=9_000))
    assert [len(batch) for batch in log.read("t", {0: (0, 1)})] == [1]


def test_a_reader_that_a_quota_stops_names_the_quota(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    log = log_of(monkeypatch, Silent(clock, seconds=500.0, throttle_ms=400_000))
    with pytest.raises(KafkaUnavailable, match="a client quota") as stopped:
        list(log.read("t", {0: (0, 1)}))
    assert "consumer_byte_rate" in str(stopped.value)
    log = log_of(monkeypatch, Silent(clock, seconds=500.0, throttle_ms=0))
    with pytest.raises(KafkaUnavailable, match="a transaction stays open"):
        list(log.read("t", {0: (0, 1)}))


def test_a_tail_says_that_it_waits_for_a_quota(cluster: "Cluster", quota: Quota) -> None:
    topic = cluster.topic(1)
    with claimed(cluster.settings(batch_size="20000"), topic) as producer:
        producer.begin()
        for _ in range(20):
            producer.produce(topic, b"k", urandom(15_000))
        producer.await_acknowledgements()
        producer.commit()
    said: list[str] = []
    tail = RangeReader(
        cluster.settings(client_id=quota("consumer_byte_rate", 3_000)), topic, committed=True, say=said.append
    )
    try:
        read = sum(len(messages) for messages in tail.read({0: 0}, {0: 2}))
    finally:
        tail.close()
    assert read == 2
    assert all("a client quota" in line for line in said)


class Slow:
    """A client that acknowledges some records, is throttled, and counts how often it was polled."""

    way = "native"

    def __init__(self, clock: list[float]) -> None:
        self.throttle, self._clock, self.polled = Throttle(), clock, 0

    def poll(self, seconds: float) -> None:
        self.polled += 1
        self._clock[0] += seconds

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.fixture
def slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> tuple[transactions.TransactionalProducer, Slow]:
    client = Slow(clock)
    monkeypatch.setattr(transactions, "transactional_client", lambda *_, **__: client)
    settings = load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_KAFKA_BOOTSTRAP_SERVERS": "nowhere:1"})
    return transactions.TransactionalProducer(settings, "id", event="e", window="w", topic="t"), client


def test_a_throttle_time_is_waited_out_before_a_transaction_is_opened(
    slow: tuple[transactions.TransactionalProducer, Slow], clock: list[float]
) -> None:
    producer, client = slow
    client.throttle.hold(30_000)
    producer.begin()
    assert clock[0] == pytest.approx(1_030.0)
    assert producer._began == clock[0] and client.polled > 30, "a request to stop is seen meanwhile"


@pytest.mark.parametrize(
    ("milliseconds", "done", "seconds", "given_up"),
    [
        (500, 1_000, 4.0, True),  # of 100,000: 400 s left
        (500, 30_000, 4.0, False),  # in 13 s
        (500, 1_000, 2.0, False),  # too early to tell
        (500, 0, 4.0, False),  # no rate is known yet
        (500, 0, 23.0, True),
        (30_000, 30_000, 4.0, True),  # nothing more is accepted for 30 s
        (30_000, 100_000, 4.0, False),  # and nothing more is needed
        (0, 1_000, 20.0, False),  # no broker reports throttling: the client's timeouts decide
    ],
)
def test_when_a_transaction_is_given_up(
    slow: tuple[transactions.TransactionalProducer, Slow],
    clock: list[float],
    milliseconds: int,
    done: int,
    seconds: float,
    given_up: bool,
) -> None:
    producer, client = slow
    producer.begin()
    client.throttle.hold(milliseconds)
    producer._queued = 100_000
    if done:
        producer._deliveries.acknowledge(0, 0, done - 1, done)
    clock[0] += seconds
    if given_up:
        with pytest.raises(ProducerThrottled, match="quota"):
            producer._serve(0)
    else:
        producer._serve(0)


def test_an_earlier_throttle_time_is_no_reason_to_give_up_a_transaction(
    slow: tuple[transactions.TransactionalProducer, Slow], clock: list[float]
) -> None:
    producer, client = slow
    client.throttle.hold(500)
    clock[0] += 1
    producer.begin()
    producer._queued = 100_000
    producer._deliveries.acknowledge(0, 0, 0)
    clock[0] += 20
    producer._serve(0)
