"""If a client quota throttles a window's transactions,
the window is sent to its end in smaller ones; readers wait."""

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import KafkaError

from pipelines.ledger.entry import read_entry
from pipelines.publishing.sending.flow import Flow
from pipelines.publishing.sending.sender import Progress, Sender, Unlimited
from pipelines.reconciling.records.event_reader import EventReader
from resources.errors import TransientError
from resources.kafka.batches.rows import Rows
from resources.kafka.connecting.throttle import Throttle
from resources.kafka.errors import DeliveryFailed, KafkaUnavailable, ProducerThrottled
from resources.kafka.topics.ledger_topic import LedgerBlocked, LedgerLog
from resources.kafka.transactions import Delivered
from resources.settings import Settings, load_settings
from tests.hearing import into
from tests.pipelines.publishing.test_entry_and_decision import HALF


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds; it does not advance by itself."""
    now = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


class Quota:
    """A producer whose transactions of more than `most_bytes` are throttled. `committed` are the values on
    the topic."""

    def __init__(self, clock: list[float], most_bytes: int) -> None:
        self._clock, self._most_bytes = clock, most_bytes
        self.throttled_seconds = 0.0
        self.committed: list[bytes] = []
        self.ledger: list[int] = []
        self.taken_back = 0

    def begin(self) -> None:
        self._open: list[bytes] = []

    def produce_rows(self, _: str, rows: Rows) -> None:
        self._open += rows.values.to_pylist()

    def await_acknowledgements(self) -> Delivered:
        self._clock[0] += 3.0
        if sum(map(len, self._open)) > self._most_bytes:
            raise ProducerThrottled("t", len(self._open) // 2, 3.0, "a client quota")
        first = len(self.committed)
        return Delivered(len(self._open), {0: (first, first + len(self._open) - 1)})

    def take_back(self) -> None:
        self.taken_back += 1

    def record(self, _topic: str, _partition: int, key: bytes, value: bytes) -> None:
        self.ledger.append(read_entry(key.decode(), value).rows_done)

    def commit(self) -> None:
        self.committed += self._open


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    return load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})


def publish(settings: Settings, producer: Quota, values: list[bytes], flow: Flow) -> list[Progress]:
    entry = replace(HALF, rows_total=len(values), rows_done=0, offsets={})
    parts: list[Progress] = []
    while not entry.complete:
        sender = Sender(settings, producer, pace=Unlimited(), flow=flow)  # type: ignore[arg-type]
        left = values[entry.rows_done :]
        rows = Rows(pa.array([b""] * len(left), pa.binary()), pa.array(left, pa.large_binary()))
        parts.append(sender.send(entry, iter([rows])))
        entry = parts[-1].entry
    return parts


def test_a_throttled_window_is_published_once_in_smaller_transactions(
    settings: Settings, clock: list[float]
) -> None:
    said: list[str] = []
    values = [b"%06d" % n + b"x" * 1_000 for n in range(1_000)]
    producer = Quota(clock, most_bytes=300_000)
    parts = publish(settings, producer, values, Flow(into(said)))
    assert producer.committed == values
    assert producer.ledger == sorted(set(producer.ledger)) and producer.ledger[-1] == 1_000
    assert producer.taken_back == len(parts) - 1 > 0
    assert len(said) == 1 and "quota" in said[0]


def test_a_window_that_no_transaction_is_small_enough_for_fails_with_the_quota(
    settings: Settings, clock: list[float]
) -> None:
    producer = Quota(clock, most_bytes=0)
    with pytest.raises(ProducerThrottled, match="quota") as failed:
        publish(settings, producer, [b"x" * 1_000] * 1_000, Flow(lambda _: None))
    assert "--max-bytes-per-second" in str(failed.value)
    assert producer.committed == []


def test_a_transaction_that_cannot_be_taken_back_fails_with_the_quota(
    settings: Settings, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = Quota(clock, most_bytes=0)

    def silent() -> None:
        raise KafkaUnavailable("t", "did not answer")

    monkeypatch.setattr(producer, "take_back", silent)
    with pytest.raises(ProducerThrottled):
        publish(settings, producer, [b"x"] * 10, Flow(lambda _: None))


def test_a_long_wait_for_a_quota_is_said(settings: Settings, clock: list[float]) -> None:
    said: list[str] = []
    producer = Quota(clock, most_bytes=300_000)
    producer.throttled_seconds = 40.0
    publish(settings, producer, [b"x"] * 10, Flow(into(said)))
    assert said == [
        "2013-01-01: waiting 40 s for a client quota of the brokers; with --max-bytes-per-second below the quota no "
        "record is sent twice"
    ]


def _message(partition: int, offset: int, error: int | None = None) -> Any:
    told = None if error is None else KafkaError(error)
    return SimpleNamespace(
        partition=lambda: partition,
        offset=lambda: offset,
        error=lambda: told,
        key=lambda: b"k",
        value=lambda: b"v",
    )


class Polled:
    """A consumer that returns these messages, one a poll; None: no message in that time."""

    def __init__(self, clock: list[float], messages: list[Any], throttle_ms: int = 0) -> None:
        self._clock, self._messages = clock, messages
        self.throttle = Throttle()
        self.throttle.hold(throttle_ms)

    def poll(self, seconds: float) -> Any:
        self._clock[0] += seconds
        return self._messages.pop(0) if self._messages else None

    def consume(self, *_: object, **__: object) -> list[Any]:
        return []


@pytest.mark.parametrize(("throttle_ms", "found"), [(60_000, 1), (0, 0), (5_000, 0)])
def test_events_behind_a_quota_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], throttle_ms: int, found: int
) -> None:
    monkeypatch.setattr(EventReader, "decode", lambda *_: "event")
    messages = [None] * 50 + [_message(0, 7), _message(0, 8, KafkaError._PARTITION_EOF)]
    reader: Any = Polled(clock, messages, throttle_ms)
    events = EventReader(SimpleNamespace()).fetched(reader, "t", {0: 7})  # type: ignore[arg-type]
    assert len(list(events)) == found


def test_a_reader_that_a_quota_never_lets_read_gives_up(clock: list[float]) -> None:
    reader: Any = Polled(clock, [], 10**9)
    assert list(EventReader(SimpleNamespace()).fetched(reader, "t", {0: 7})) == []  # type: ignore[arg-type]
    assert clock[0] == pytest.approx(1_120, abs=1)


def log_of(reader: Polled, said: list[str]) -> LedgerLog:
    log = object.__new__(LedgerLog)
    log._consumer, log._topic, log._say = reader, "ledger", said.append  # type: ignore[assignment]
    log._values, log._misplaced, log._read_to, log.partitions = {}, {}, {}, 2
    log._watermarks = lambda *_: {}  # type: ignore[method-assign]
    return log


def test_a_ledger_that_is_read_slowly_is_read_to_its_end(clock: list[float]) -> None:
    messages = [message for n in range(100) for message in (None, _message(0, n))]
    log = log_of(Polled(clock, messages), [])
    log._read({0: 100}, 2.0)
    assert log._read_to == {0: 100}


@pytest.mark.parametrize(
    ("throttle_ms", "why"), [(0, "a transaction stays open"), (60_000, "a client quota of the brokers")]
)
def test_a_ledger_that_is_not_read_to_its_end_says_why(
    clock: list[float], throttle_ms: int, why: str
) -> None:
    """Even if other partitions advance: what is after their end marks is not waited for."""
    said: list[str] = []
    log = log_of(Polled(clock, [_message(1, n) for n in range(10_000)], throttle_ms), said)
    with pytest.raises(LedgerBlocked, match=why):
        log._read({0: 100}, 90.0)
    assert len(said) == 1 and ("quota" in said[0]) == bool(throttle_ms)


def test_records_that_time_out_behind_a_quota_name_it(settings: Settings, clock: list[float]) -> None:
    from resources.kafka.transactions import TransactionalProducer

    producer = TransactionalProducer(settings, "id", event="e", window="w", topic="t")
    try:
        producer._began = clock[0]
        producer._deliveries.fail(KafkaError(KafkaError._MSG_TIMED_OUT), lambda: ("t", 5))
        assert "quota" not in str(producer._not_delivered())
        producer._client.throttle.hold(700)
        failed = producer._not_delivered()
    finally:
        producer.close()
    assert isinstance(failed, DeliveryFailed) and isinstance(failed, TransientError)
    assert "a client quota of the brokers throttles this client (throttle time 700 ms)" in str(failed)
