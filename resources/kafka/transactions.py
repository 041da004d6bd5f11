"""A transactional producer that says what happened.

Order of use: `claim()` fences every other producer of the same transactional.id, then any number of
`begin()`, `produce(...)`, `commit()`. Every record's acknowledgement is counted; nothing is delivered in
silence, and nothing fails in silence. A fenced producer raises `TakenOver`.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from resources.kafka.clients import producer
from resources.kafka.errors import (
    DeliveryFailed,
    KafkaUnavailable,
    TakenOver,
    explain,
    is_fenced,
    kafka_error,
)
from resources.settings import Settings

Headers = Sequence[tuple[str, bytes]]

_CLAIM_SECONDS = 60.0
_COMMIT_SECONDS = 90.0
# Serve acknowledgements this often; each is a callback, so not on every record.
_POLL_EVERY = 512


@dataclass
class Delivered:
    """What the brokers acknowledged: records, and first and last offset of each kafka_partition."""

    records: int = 0
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, kafka_partition: int, offset: int) -> None:
        """Count one acknowledged record."""
        self.records += 1
        first, last = self.offsets.get(kafka_partition, (offset, offset))
        self.offsets[kafka_partition] = (min(first, offset), max(last, offset))

    def merge(self, other: "Delivered") -> None:
        """Add what another transaction delivered."""
        self.records += other.records
        for kafka_partition, (first, last) in other.offsets.items():
            known = self.offsets.get(kafka_partition, (first, last))
            self.offsets[kafka_partition] = (min(first, known[0]), max(last, known[1]))


class TransactionalProducer:
    """One producer for one window of one event. Not for use by several threads."""

    def __init__(self, settings: Settings, transactional_id: str, *, event: str, window: str, topic: str) -> None:
        self._event, self._window, self._topic = event, window, topic
        self._where = f"{event} {window}"
        self._producer = producer(settings, transactional_id)
        self._open = False
        self._since_poll = 0
        self._failed = 0
        self._first_failure = ""
        self._delivered = Delivered()

    def claim(self) -> None:
        """Take over the window: finish or abort what a predecessor left, and fence it."""
        deadline = time.monotonic() + _CLAIM_SECONDS
        while True:
            try:
                self._producer.init_transactions(max(1.0, deadline - time.monotonic()))
                return
            except KafkaException as error:
                if kafka_error(error).retriable() and time.monotonic() < deadline:
                    time.sleep(0.2)
                    continue
                raise self._raised(error) from None

    def begin(self) -> None:
        """Open a transaction."""
        try:
            self._producer.begin_transaction()
        except KafkaException as error:
            raise self._raised(error) from None
        self._open = True
        self._delivered = Delivered()

    def produce(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers = (), timestamp_ms: int = 0
    ) -> None:
        """Queue a record of the event's topic; waits while the queue is full."""
        more: dict[str, Any] = {"timestamp": timestamp_ms} if timestamp_ms else {}
        if headers:
            more["headers"] = list(headers)
        self._queue(topic, key, value, on_delivery=self._acknowledge, **more)

    def record(self, topic: str, kafka_partition: int, key: bytes, value: bytes) -> None:
        """Queue the ledger's record of this transaction."""
        self._queue(topic, key, value, partition=kafka_partition, on_delivery=self._acknowledge_ledger)

    def _queue(self, topic: str, key: bytes, value: bytes | None, **more: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, **more)
                break
            except BufferError:
                self._serve(0.05)
            except KafkaException as error:
                raise self._raised(error) from None
        self._since_poll += 1
        if self._since_poll >= _POLL_EVERY:
            self._serve(0)

    def _serve(self, seconds: float) -> None:
        self._since_poll = 0
        self._producer.poll(seconds)
        if self._failed:
            raise DeliveryFailed(self._topic, self._failed, self._first_failure)

    def _acknowledge(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure(error)
        else:
            self._delivered.add(message.partition(), message.offset())

    def _acknowledge_ledger(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failure(error)

    def _failure(self, error: KafkaError) -> None:
        self._failed += 1
        self._first_failure = self._first_failure or f"{error.str()} ({error.name()})"

    def settle(self) -> Delivered:
        """Wait until every record queued so far is acknowledged; returns what the brokers acknowledged in
        this transaction. Raises DeliveryFailed, or KafkaUnavailable when they stay silent."""
        deadline = time.monotonic() + _COMMIT_SECONDS
        while time.monotonic() < deadline:
            try:
                waiting = self._producer.flush(1.0)
            except KafkaException as error:
                raise self._raised(error) from None
            self._serve(0)
            if not waiting:
                return self._delivered
        raise KafkaUnavailable(self._where, f"records were not acknowledged within {_COMMIT_SECONDS:.0f} s")

    def commit(self) -> Delivered:
        """Make the transaction visible; returns what the brokers acknowledged in it.

        A commit that times out may have happened: it is asked again, never aborted.
        """
        deadline = time.monotonic() + _COMMIT_SECONDS
        while True:
            try:
                self._producer.commit_transaction(max(1.0, deadline - time.monotonic()))
                break
            except KafkaException as error:
                inner = kafka_error(error)
                if inner.retriable() and time.monotonic() < deadline:
                    continue
                if self._failed and not is_fenced(inner):
                    raise DeliveryFailed(self._topic, self._failed, self._first_failure) from None
                if inner.retriable():
                    self._open = False
                    raise KafkaUnavailable(
                        self._where,
                        "the commit was not answered in time, so it may or may not have happened",
                        next_step="launch the window again: the ledger tells, and it continues exactly there",
                    ) from None
                raise self._raised(error) from None
        self._open = False
        return self._delivered

    def abort(self) -> None:
        """Drop the open transaction, if any; never raises, for a broker drops it later by itself."""
        if not self._open:
            return
        self._open = False
        try:
            self._producer.abort_transaction(10.0)
        except KafkaException:
            return

    def close(self) -> None:
        """Abort what is open and free the client."""
        self.abort()
        with suppress(KafkaException):  # a fenced producer has nothing left to flush
            self._producer.purge()
            self._producer.flush(1.0)

    def _raised(self, error: KafkaException) -> Exception:
        inner = kafka_error(error)
        if is_fenced(inner):
            self._open = False
            return TakenOver(self._event, self._window)
        return explain(f"{self._where}, topic {self._topic}", error)

    def __enter__(self) -> "TransactionalProducer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def headers_of(pairs: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Text headers as Kafka carries them."""
    return [(name, value.encode()) for name, value in pairs.items()]
