"""The transactional producer: it counts what happened, and describes errors in terms of the window."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import urandom
from statistics import median
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, KafkaException

from resources.errors import TransientError
from resources.kafka.batches.rows import Rows
from resources.kafka.errors import (
    KafkaRefused,
    KafkaUnavailable,
    ProducerFenced,
    RecordTooLarge,
    TransactionExpired,
    explain,
)
from resources.kafka.transactions import TransactionalProducer
from resources.settings import Settings

if TYPE_CHECKING:
    from tests.resources.kafka.conftest import Cluster


@pytest.fixture(params=["native", "public"])
def way(request: pytest.FixtureRequest) -> str:
    """Every promise applies to both."""
    chosen: str = request.param
    return chosen


@contextmanager
def claimed(settings: Settings, topic: str, name: str = "id", **more: Any) -> Iterator[TransactionalProducer]:
    with TransactionalProducer(
        settings, f"{topic} {name}", event="flights/departed", window="2013-01-01", topic=topic, **more
    ) as made:
        made.claim()
        yield made


def test_what_is_committed_is_counted_by_kafka_partition(any_cluster: "Cluster") -> None:
    topic = any_cluster.topic(3)
    with claimed(any_cluster.settings(), topic) as producer:
        for first in (0, 100):
            producer.begin()
            for n in range(first, first + 100):
                producer.produce(topic, f"k{n}".encode(), b"v%d" % n)
            producer.await_acknowledgements()
            delivered = producer.commit()
            assert delivered.records == 100
            assert set(delivered.offsets) == {0, 1, 2}
    assert sorted(any_cluster.committed(topic)) == sorted((f"k{n}".encode(), b"v%d" % n) for n in range(200))


def test_a_record_that_is_waited_for_does_not_wait_for_others(cluster: "Cluster") -> None:
    """It may be sent only after the brokers have added its Kafka partition;
    later nothing triggers a send, except linger.ms."""
    topic, took = cluster.topic(1), []
    with claimed(cluster.settings(linger_ms="5000"), topic) as producer:
        for n in range(15):
            producer.begin()
            producer.produce(topic, b"k", b"%d" % n)
            began = time.monotonic()
            producer.await_acknowledgements()
            took.append(time.monotonic() - began)
            producer.commit()
    assert median(took) < 5  # otherwise the producer waits at least for linger.ms


def test_few_records_wait_for_no_others_and_nobody_has_to_ask_for_them(
    cluster: "Cluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them may be left unsent:
    records that are sent as they come are acknowledged without a flush."""
    topic = cluster.topic(3)
    with claimed(cluster.settings(), topic, few=True) as producer:
        if producer.way == "native":
            library = producer._client._library  # type: ignore[attr-defined]
            monkeypatch.setattr(library, "flush", lambda *_: pytest.fail("there is nothing to hurry"))
        for first in range(0, 3000, 1000):
            producer.begin()
            for n in range(first, first + 1000):
                producer.produce(topic, b"k%d" % n, b"v%d" % n)
            producer.await_acknowledgements()
            assert producer.commit().records == 1000
    assert sorted(cluster.committed(topic)) == sorted((b"k%d" % n, b"v%d" % n) for n in range(3000))


def test_rows_in_columns_become_the_same_records(any_cluster: "Cluster") -> None:
    topic = any_cluster.topic(3)
    keys = pa.array([b"gone", *(b"k%d" % n for n in range(5000))], pa.binary())
    values = pa.array([b"", b"not yet", *(b"v%d" % n for n in range(4998)), None], pa.large_binary())
    rows = Rows(keys, values)
    with claimed(any_cluster.settings(), topic) as producer:
        producer.begin()
        producer.produce_rows(topic, rows.slice(1, 3000))
        producer.produce_rows(topic, rows.slice(3001, 2000))
        producer.await_acknowledgements()
        delivered = producer.commit()
    assert delivered.records == 5000
    expected = zip(keys[1:].to_pylist(), values[1:].to_pylist(), strict=True)
    assert sorted(any_cluster.committed(topic)) == sorted((key, value or b"") for key, value in expected)


def test_a_transaction_left_open_is_dropped(any_cluster: "Cluster") -> None:
    topic = any_cluster.topic(1)
    with claimed(any_cluster.settings(), topic) as producer:
        producer.begin()
        producer.produce(topic, b"k", b"v")
        producer.await_acknowledgements()
    assert any_cluster.committed(topic, 1) == []


@pytest.mark.parametrize("when", ["before begin", "after begin", "in flight", "before commit"])
def test_whoever_is_fenced_is_told_that_another_run_took_over(cluster: "Cluster", when: str) -> None:
    """librdkafka reports it as _FENCED, as _FATAL,
    inside a SystemError or not at all, depending on the moment."""
    topic, settings = cluster.topic(3), cluster.settings()
    with claimed(settings, topic) as loser:
        if when != "before begin":
            loser.begin()
        if when in ("in flight", "before commit"):
            for n in range(50):
                loser.produce(topic, b"k%d" % n, b"lost")
            loser.await_acknowledgements()
        with claimed(settings, topic) as winner:
            with pytest.raises(ProducerFenced) as caught:
                if when == "before begin":
                    loser.begin()
                while when != "before commit":
                    loser.produce(topic, b"k", b"lost")
                    time.sleep(0.001)
                loser.commit()
            winner.begin()
            winner.produce(topic, b"k", b"won")
            winner.await_acknowledgements()
            winner.commit()
        # Every later request to it has the same answer.
        with pytest.raises(ProducerFenced):
            loser.begin()
            loser.produce(topic, b"k", b"lost")
            loser.await_acknowledgements()
    assert (caught.value.event, caught.value.window) == ("flights/departed", "2013-01-01")
    assert not isinstance(caught.value, TransientError)
    assert cluster.committed(topic) == [(b"k", b"won")]


def test_a_transaction_older_than_the_brokers_allow_is_a_passing_fault(cluster: "Cluster") -> None:
    """For its producer this looks exactly like being fenced."""
    topic = cluster.topic(1)
    with claimed(cluster.settings(), topic) as loser:
        loser.begin()
        loser.produce(topic, b"k", b"lost")
        loser.await_acknowledgements()
        loser._began -= 100
        with (
            claimed(cluster.settings(), topic),
            pytest.raises(TransactionExpired, match=r"open for 1\d\d s and the brokers end it after 45 s"),
        ):
            loser.commit()
    assert issubclass(TransactionExpired, TransientError)


def test_a_record_larger_than_the_topic_is_refused_by_its_size(cluster: "Cluster") -> None:
    topic = cluster.topic(1, max_message_bytes="2000")
    for limit in (2000, None):  # None: the topic's settings may not be read, so the broker itself refuses
        with claimed(cluster.settings(), topic, max_message_bytes=limit) as producer:
            producer.begin()
            with pytest.raises(RecordTooLarge) as caught:
                producer.produce(topic, b"key", urandom(5000), [("h", b"12")])
                producer.await_acknowledgements()
        assert (caught.value.topic, caught.value.record_bytes) == (topic, 5003)
        assert caught.value.topic_limit == limit
        assert not isinstance(caught.value, TransientError)
        assert "SLUICE_KAFKA_MESSAGE_MAX_BYTES" in str(caught.value)
    assert cluster.committed(topic, 1) == []


def test_a_record_that_compresses_below_the_limit_of_its_topic_is_published(any_cluster: "Cluster") -> None:
    topic = any_cluster.topic(1)
    with claimed(any_cluster.settings(), topic, max_message_bytes=1_048_588) as producer:
        producer.begin()
        producer.produce(topic, b"key", b"a" * 5_000_000)
        producer.await_acknowledgements()
        assert producer.commit().records == 1
    assert [len(value) for _, value in any_cluster.committed(topic, 1)] == [5_000_000]


@pytest.mark.parametrize(
    ("kafka", "limit", "side"),
    [
        ({}, 33_554_432, 40_000_000),
        ({"compression_type": "none"}, 1_048_588, 2_000_000),
        ({"message_max_bytes": "1500000"}, 1_500_000, 2_000_000),
    ],
)
def test_a_record_that_the_client_refuses_names_the_client_and_its_setting(
    embedded_cluster: "Cluster", kafka: dict[str, str], limit: int, side: int
) -> None:
    topic = embedded_cluster.topic(1)
    with claimed(embedded_cluster.settings(**kafka), topic, max_message_bytes=1_048_588) as producer:  # type: ignore[arg-type]
        producer.begin()
        with pytest.raises(RecordTooLarge, match="refuses it before compression") as caught:
            producer.produce(topic, b"key", b"a" * side)
    assert caught.value.client_limit == limit
    assert f"{limit:,} bytes before compression" in str(caught.value)
    setting = (
        "raise max.message.bytes of the topic"
        if kafka.get("compression_type")
        else "SLUICE_KAFKA_MESSAGE_MAX_BYTES="
    )
    assert setting in str(caught.value)


def test_a_refused_record_is_named_and_not_the_state_it_leaves_behind(cluster: "Cluster") -> None:
    """After a refusal, produce() reports "Erroneous state" and nothing else."""
    topic = cluster.topic(1, max_message_bytes="2000")
    with claimed(cluster.settings(), topic) as producer:
        producer.begin()
        producer.produce(topic, b"key", urandom(5000))
        producer._client.flush(5)
        with pytest.raises(RecordTooLarge):
            producer.produce(topic, b"key", b"small")


def test_a_large_topic_takes_large_records_without_another_setting(cluster: "Cluster") -> None:
    topic = cluster.topic(1, max_message_bytes="3000000")
    with claimed(cluster.settings(), topic, max_message_bytes=3_000_000) as producer:
        producer.begin()
        producer.produce(topic, b"key", urandom(2_500_000))
        producer.await_acknowledgements()
        assert producer.commit().records == 1


def test_a_record_refused_for_another_reason_is_no_passing_fault(cluster: "Cluster") -> None:
    topic = cluster.topic(1, cleanup_policy="compact")
    with claimed(cluster.settings(), topic) as producer:
        producer.begin()
        producer.produce_rows(topic, Rows(pa.array([None], pa.binary()), pa.array([b"v"], pa.large_binary())))
        with pytest.raises(KafkaRefused, match=r"1 record: .*INVALID_RECORD"):
            producer.await_acknowledgements()


def test_brokers_that_fall_silent_are_a_passing_fault(cluster: "Cluster") -> None:
    topic = cluster.topic(1)
    settings = cluster.settings(transaction_timeout_ms="8000")
    with claimed(settings, topic) as producer:
        producer.begin()
        producer.produce(topic, b"k", b"v")
        producer.await_acknowledgements()
        cluster.server.pause()
        try:
            with pytest.raises(TransientError):
                producer.produce(topic, b"k", b"v")
                producer.await_acknowledgements()
        finally:
            cluster.server.resume()
    with claimed(cluster.settings(), topic) as again:
        again.begin()
        again.produce(topic, b"k", b"later")
        again.await_acknowledgements()
        again.commit()
    assert cluster.committed(topic, 1) == [(b"k", b"later")]


class Answering:
    """A client whose commits time out a few times before they are sent, or after they have happened."""

    def __init__(self, real: Any, *, times: int, really: bool) -> None:
        self._real, self._times, self._really = real, times, really
        self.asked = self.aborted = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def commit_transaction(self, timeout: float) -> None:
        self.asked += 1
        if self.asked <= self._times:
            if self._really and self.asked == 1:
                self._real.commit_transaction(timeout)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer", retriable=True))
        if not self._really:
            self._real.commit_transaction(timeout)

    def abort_transaction(self, timeout: float) -> None:
        self.aborted += 1
        self._real.abort_transaction(timeout)


@pytest.mark.parametrize("really", [False, True])
def test_a_commit_that_times_out_is_asked_again_and_never_aborted(
    embedded_cluster: "Cluster", really: bool
) -> None:
    topic = embedded_cluster.topic(1)
    with claimed(embedded_cluster.settings(), topic) as producer:
        producer.begin()
        producer.produce(topic, b"k", b"v")
        producer.await_acknowledgements()
        client = Answering(producer._client, times=3, really=really)
        producer._client = client
        assert producer.commit().records == 1
    assert (client.asked, client.aborted) == (4, 0)
    assert embedded_cluster.committed(topic, 1) == [(b"k", b"v")]


def test_a_commit_never_answered_is_in_doubt_and_not_aborted(
    embedded_cluster: "Cluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.kafka.transactions._COMMIT_SECONDS", 0.05)
    topic = embedded_cluster.topic(1)
    with claimed(embedded_cluster.settings(), topic) as producer:
        producer.begin()
        producer.produce(topic, b"k", b"v")
        producer._client.flush(5)
        client = Answering(producer._client, times=1_000_000, really=True)
        producer._client = client
        with pytest.raises(KafkaUnavailable, match=r"may or may not have happened.*the ledger tells"):
            producer.commit()
    assert client.aborted == 0
    assert embedded_cluster.committed(topic, 1) == [(b"k", b"v")]


class Failing:
    """A client whose commit fails in the brokers, after it has happened or before."""

    def __init__(self, real: Any, *, really: bool) -> None:
        self._real, self._really = real, really

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def commit_transaction(self, timeout: float) -> None:
        if self._really:
            self._real.commit_transaction(timeout)
        raise KafkaException(KafkaError(KafkaError.UNKNOWN, "EndTxn commit failed: Unknown broker error"))


@pytest.mark.parametrize("really", [False, True])
def test_a_commit_that_the_brokers_fail_within_is_in_doubt(cluster: "Cluster", really: bool) -> None:
    topic = cluster.topic(1)
    with claimed(cluster.settings(), topic) as producer:
        producer.begin()
        producer.produce(topic, b"k", b"v")
        producer.await_acknowledgements()
        producer._client = Failing(producer._client, really=really)
        with pytest.raises(
            KafkaUnavailable, match=r"Unknown broker error, so it may or may not have happened"
        ):
            producer.commit()
    assert cluster.committed(topic, 1) == [(b"k", b"v")] * really


def test_brokers_that_fail_within_a_commit_may_say_that_another_run_took_over(cluster: "Cluster") -> None:
    """Seen on Apache Kafka 4.3 if another run claimed the window at that moment."""
    topic = cluster.topic(1)
    with claimed(cluster.settings(), topic) as producer:
        producer.begin()
        producer.produce(topic, b"k", b"v")
        producer.await_acknowledgements()
        producer._client = Failing(producer._client, really=False)
        with claimed(cluster.settings(), topic), pytest.raises(ProducerFenced):
            producer.commit()
    assert cluster.committed(topic, 1) == []


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (KafkaError._ALL_BROKERS_DOWN, KafkaUnavailable, "is security.protocol missing"),
        (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaUnavailable, "did not answer"),
        (KafkaError._AUTHENTICATION, KafkaRefused, "refused the login"),
        (KafkaError._SSL, KafkaRefused, "ssl.ca.location"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaRefused, "lacks a right"),
        (KafkaError._INVALID_ARG, KafkaRefused, "refused a setting"),
        (KafkaError.POLICY_VIOLATION, KafkaRefused, "POLICY_VIOLATION"),
    ],
)
def test_errors_are_explained(code: int, kind: type[Exception], told: str) -> None:
    found = explain("topic t", KafkaError(code))
    assert type(found) is kind
    assert told in str(found)
    assert isinstance(found, TransientError) == (kind is KafkaUnavailable)
