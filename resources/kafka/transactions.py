"""A transactional producer that says what happened.

Order of use: `claim()` fences every other producer of the same transactional.id, then any number of
`begin()`, `produce(...)`, `commit()`. Every record's acknowledgement is counted; nothing is delivered in
silence, and nothing fails in silence. A fenced producer raises `TakenOver`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message

from resources.kafka.clients import producer, transaction_timeout_ms
from resources.kafka.errors import (
    DeliveryFailed,
    KafkaUnavailable,
    RecordTooLarge,
    TakenOver,
    TransactionExpired,
    explain,
    is_fenced,
    is_passing,
    kafka_error,
)
from resources.kafka.rows import Headers as Headers
from resources.kafka.rows import Rows
from resources.settings import Settings

T = TypeVar("T")

_CLAIM_SECONDS = 60.0
_COMMIT_SECONDS = 90.0
# Serve acknowledgements this often; each is a callback, so not on every record.
_POLL_EVERY = 512
_FAILURES_KEPT = 1000


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
    """One producer for one window of one event. Not for use by several threads.

    `max_message_bytes`: what the topic takes at once, where it is known.
    """

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        *,
        event: str,
        window: str,
        topic: str,
        max_message_bytes: int | None = None,
    ) -> None:
        self._event, self._window, self._topic = event, window, topic
        self._where = f"{event} {window}"
        self._max_message_bytes = max_message_bytes
        self._timeout_seconds = transaction_timeout_ms(settings) / 1000
        self._producer = producer(settings, transactional_id, max_message_bytes=max_message_bytes)
        self._open = False
        self._began = 0.0
        self._since_poll = 0
        self._failures = _Failures()
        self._delivered = Delivered()

    def claim(self) -> None:
        """Take over the window: finish or abort what a predecessor left, and fence it."""
        deadline = time.monotonic() + _CLAIM_SECONDS
        while True:
            try:
                self._producer.init_transactions(max(1.0, deadline - time.monotonic()))
                return
            except (KafkaException, SystemError) as error:
                inner = self._inner(error)
                if inner.retriable() and time.monotonic() < deadline:
                    time.sleep(0.2)
                    continue
                raise self._raised(inner) from None

    def begin(self) -> None:
        """Open a transaction."""
        self._ask(self._producer.begin_transaction)
        self._open = True
        self._began = time.monotonic()
        self._delivered = Delivered()

    def produce(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers = (), timestamp_ms: int = 0
    ) -> None:
        """Queue a record of the event's topic; waits while the queue is full. Raises RecordTooLarge."""
        more: dict[str, Any] = {"timestamp": timestamp_ms} if timestamp_ms else {}
        if headers:
            more["headers"] = list(headers)
        self._queue(topic, key, value, on_delivery=self._acknowledge, **more)

    def produce_rows(self, topic: str, rows: Rows) -> None:
        """Queue records of the event's topic, in their order; as `produce` for each of them."""
        keys, values = rows.keys.to_pylist(), rows.values.to_pylist()
        stamps = [0] * len(rows) if rows.timestamps_ms is None else rows.timestamps_ms.tolist()
        headers: Sequence[Headers] = [()] * len(rows) if rows.headers is None else rows.headers
        for key, value, pairs, stamp in zip(keys, values, headers, stamps, strict=True):
            self.produce(topic, key, value, pairs, stamp)

    def record(self, topic: str, kafka_partition: int, key: bytes, value: bytes | None) -> None:
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
                inner = self._inner(error)
                if inner.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    size = _record_bytes(key, value)
                    raise RecordTooLarge(topic, size, self._max_message_bytes) from None
                raise self._raised(inner) from None
        self._since_poll += 1
        if self._since_poll >= _POLL_EVERY:
            self._serve(0)

    def _serve(self, seconds: float) -> None:
        self._since_poll = 0
        self._ask(self._producer.poll, seconds)
        if self._failures.count:
            raise self._not_delivered()

    def _acknowledge(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.add(error, message)
        else:
            # Both are known of an acknowledged record.
            self._delivered.add(message.partition() or 0, message.offset() or 0)

    def _acknowledge_ledger(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.add(error, message)

    def settle(self) -> Delivered:
        """Wait until every record queued so far is acknowledged; returns what the brokers acknowledged in
        this transaction. Raises DeliveryFailed, or KafkaUnavailable when they stay silent."""
        deadline = time.monotonic() + _COMMIT_SECONDS
        while time.monotonic() < deadline:
            waiting = self._ask(self._producer.flush, 1.0)
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
            except (KafkaException, SystemError) as error:
                inner = self._inner(error)
                if inner.txn_requires_abort() or inner.fatal() or not inner.retriable():
                    raise self._raised(inner) from None
                if time.monotonic() < deadline:
                    continue
                self._open = False
                raise KafkaUnavailable(
                    self._where,
                    "the commit was not answered in time, so it may or may not have happened",
                    next_step="launch the window again: the ledger tells, and it continues exactly there",
                ) from None
        self._open = False
        return self._delivered

    def abort(self) -> None:
        """Drop the open transaction, if any; never raises, for a broker drops it later by itself."""
        if not self._open:
            return
        self._open = False
        with suppress(KafkaException, SystemError):
            self._producer.abort_transaction(10.0)

    def close(self) -> None:
        """Abort what is open and free the client."""
        self.abort()
        with suppress(KafkaException, SystemError):  # a fenced producer has nothing left to flush
            self._producer.purge()
            self._producer.flush(1.0)

    def _ask(self, function: Callable[..., T], *arguments: object) -> T:
        try:
            return function(*arguments)
        except (KafkaException, SystemError) as error:
            raise self._raised(self._inner(error)) from None

    def _inner(self, error: KafkaException | SystemError) -> KafkaError:
        """The KafkaError behind an exception of the client.

        It raises a fatal one within poll, flush and commit. Where delivery callbacks run on top of that, Python wraps
        it in SystemErrors, or loses it ("returned NULL without setting an exception").
        """
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, KafkaException):
            cause = cause.__cause__
        if cause is not None:
            return kafka_error(cause)
        found = self._fatal()
        if found is None:
            raise error
        return found

    def _raised(self, error: KafkaError) -> Exception:
        """What the user is told about `error`."""
        if error.code() == KafkaError._FATAL:
            error = self._fatal() or error
        if is_fenced(error):
            self._open = False
            open_seconds = time.monotonic() - self._began
            # The brokers' own end of a transaction looks the same to its producer as a successor's claim.
            if self._began and open_seconds >= self._timeout_seconds:
                return TransactionExpired(self._event, self._window, open_seconds, self._timeout_seconds)
            return TakenOver(self._event, self._window)
        if not self._failures.count:
            # "Erroneous state" follows a failed delivery that may not have been told yet.
            with suppress(KafkaException, SystemError):
                self._producer.poll(0)
        if self._failures.count:
            return self._not_delivered()
        return explain(f"{self._where}, topic {self._topic}", error)

    def _fatal(self) -> KafkaError | None:
        """Why this producer is dead; None when it is not. An abort is refused with the reason."""
        try:
            self._producer.abort_transaction(1.0)
        except KafkaException as refused:
            return kafka_error(refused)
        except SystemError:
            return self._fatal()  # once more: callbacks of purged records ran on top of the reason
        self._open = False
        return None

    def _not_delivered(self) -> Exception:
        failures = self._failures
        error, topic = failures.first()
        if is_fenced(error):
            self._failures = _Failures()
            return self._raised(error)
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return RecordTooLarge(topic, failures.largest_bytes(), self._max_message_bytes)
        if is_passing(error):
            return DeliveryFailed(topic, failures.count, f"{error.str()} ({error.name()})")
        return explain(f"topic {topic}, {failures.count} records", error)

    def __enter__(self) -> "TransactionalProducer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Failures:
    """Deliveries that failed: how many, and the ones that tell why."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[tuple[KafkaError, Message]] = []

    def add(self, error: KafkaError, message: Message) -> None:
        """Count a failure. Asks neither of them anything: a callback may run while the client raises, and then
        every call into it fails."""
        self.count += 1
        if self.count <= _FAILURES_KEPT:
            self._kept.append((error, message))

    def first(self) -> tuple[KafkaError, str]:
        """The error that tells why, and its topic: records purged from the queue fail only because another did."""
        purged = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
        told = next((pair for pair in self._kept if pair[0].code() not in purged), self._kept[0])
        return told[0], told[1].topic() or ""

    def largest_bytes(self) -> int:
        """Size of the largest record that was refused for its size."""
        return max(
            _record_bytes(message.key(), message.value())
            for error, message in self._kept
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE
        )


def _record_bytes(key: Any, value: Any) -> int:
    # Without headers: a refused record comes back without them.
    return len(key or b"") + len(value or b"")


def headers_of(pairs: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Text headers as Kafka carries them."""
    return [(name, value.encode()) for name, value in pairs.items()]
