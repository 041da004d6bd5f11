"""A transactional producer that reports what happened.

Order of use: `claim()` fences every other producer of the same transactional.id; then any number of
`begin()`, `produce(...)`, `commit()`. Every record's acknowledgement is counted; no record is delivered, and
none fails, without a report. A fenced producer raises `ProducerFenced`.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TypeVar

import numpy as np
import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException

from resources.kafka.batches.deliveries import PURGED, Deliveries
from resources.kafka.batches.deliveries import Delivered as Delivered
from resources.kafka.batches.producer_client import TooLarge
from resources.kafka.batches.rows import Headers as Headers
from resources.kafka.batches.rows import Rows
from resources.kafka.connecting.logins import Admin
from resources.kafka.errors import (
    NO_ANSWER,
    DeliveryFailed,
    KafkaUnavailable,
    ProducerFenced,
    ProducerThrottled,
    RecordTooLarge,
    TransactionExpired,
    explain,
    is_fenced,
    is_passing,
    kafka_error,
)
from resources.kafka.factory import admin, transaction_timeout_ms, transactional_client
from resources.kafka.record_sizes import largest_record
from resources.process.waiting import waiting_for
from resources.settings import Settings
from resources.wording import counted

T = TypeVar("T")

_CONNECT_SECONDS = 5.0
# Connect again after this long: brokers close a connection that is not used.
_CONNECTED_SECONDS = 5.0
_CLAIM_SECONDS = 60.0
# The claim is tried again after this long; in between, the reason why there is no answer is looked up.
_LOOK_SECONDS = 5.0
_COMMIT_SECONDS = 90.0
# Pace shows whether a throttled transaction can end in time. It is checked first after 3 s, then every 0.5 s.
_PACE_AFTER_SECONDS, _PACE_SECONDS = 3.0, 0.5
# A throttled transaction must fit into this part of the time for which the brokers leave it open.
_IN_TIME = 0.5


class TransactionalProducer:
    """One producer for one window of one event. Not for use by several threads.

    `max_message_bytes`: the largest batch that the topic accepts; None if it is not known.
    `kafka_partitions`: how many Kafka partitions the topic has; None if it is not known. `few`: so few
    records are expected that none should wait for others.
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
        kafka_partitions: int | None = None,
        few: bool = False,
    ) -> None:
        self._settings = settings
        self._event, self._window, self._topic = event, window, topic
        self._where = f"{event} {window}"
        self._max_message_bytes = max_message_bytes
        self._largest_record = largest_record(settings, max_message_bytes)
        self._timeout_seconds = transaction_timeout_ms(settings) / 1000
        self._deliveries = Deliveries()
        self._client = transactional_client(
            settings,
            transactional_id,
            self._deliveries,
            max_message_bytes=max_message_bytes,
            kafka_partitions=kafka_partitions,
            few=few,
        )
        self._ledger_topic = settings.ledger_topic
        self._connected_at = float("-inf")
        self._open = False
        self._began = 0.0
        self._queued, self._look_at = 0, 0.0

    @property
    def way(self) -> str:
        """How records reach the client: `native` or `public`."""
        return self._client.way

    def connect(self, seconds: float = _CONNECT_SECONDS) -> bool:
        """Connect and look up the topics, so that the claim takes less time. Fences
        nobody; brokers store nothing.

        False if the brokers did not answer in time; the claim then says why.
        """
        with suppress(KafkaException, SystemError):
            if self._client.connect((self._topic, self._ledger_topic), seconds):
                self._connected_at = time.monotonic()
                self._client.login.refused = None
                return True
        return False

    def claim(self) -> None:
        """Take over the window: end a predecessor's open transaction (commit or
        abort), and fence the predecessor.

        Raises KafkaRefused, KafkaUnavailable, ProducerFenced.
        """
        with waiting_for(f"Kafka to hand over {self._where}, whose last transaction it ends first"):
            self._claim()

    def _claim(self) -> None:
        deadline = time.monotonic() + _CLAIM_SECONDS
        if time.monotonic() - self._connected_at > _CONNECTED_SECONDS and not self.connect():
            self._assert_let_in()
        while True:
            try:
                self._client.init_transactions(max(1.0, min(_LOOK_SECONDS, deadline - time.monotonic())))
                return
            except (KafkaException, SystemError) as error:
                inner = self._inner(error)
                if inner.retriable() and time.monotonic() < deadline:
                    self._assert_let_in()
                    if inner.code() in NO_ANSWER and self._why.hopeless():
                        raise self._why.explained(self._where, inner) from None
                    time.sleep(0.2)
                    continue
                if inner.code() in NO_ANSWER:
                    raise self._why.named(self._raised(inner)) from None
                raise self._raised(inner) from None

    @cached_property
    def _why(self) -> Admin:
        """The client that finds out why brokers do not answer."""
        return admin(self._settings)

    def _assert_let_in(self) -> None:
        self._ask(self._client.poll, 0)
        if refused := self._client.login.refused:
            raise self._why.explained(f"{self._where}, topic {self._topic}", refused)

    @property
    def throttled_seconds(self) -> float:
        """For how many seconds `begin` waits because of a client quota of the brokers."""
        return self._client.throttle.seconds_left

    def begin(self) -> None:
        """Open a transaction. If the brokers throttle this client, first wait until the throttle time is
        over: an open transaction holds readers back and has a time-out."""
        while (seconds := self.throttled_seconds) > 0:
            self._ask(self._client.poll, min(seconds, _PACE_SECONDS))
        self._ask(self._client.begin_transaction)
        self._open = True
        self._began = time.monotonic()
        self._queued, self._look_at = 0, self._began + _PACE_AFTER_SECONDS
        self._deliveries.begin()

    def produce_rows(self, topic: str, rows: Rows) -> None:
        """Queue records of the event's topic in their order; wait while the queue is full.

        Records with their own headers or timestamps are queued one by one, others in one call. Raises
        RecordTooLarge, ProducerThrottled, and DeliveryFailed for earlier records.
        """
        self._queued += len(rows)
        try:
            with waiting_for(f"Kafka to take records of {self._where}"):
                self._ask(self._client.produce_rows, topic, rows, self._serve)
        except TooLarge as refused:
            raise self._too_large(topic, refused) from None

    def produce(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers = (), timestamp_ms: int = 0
    ) -> None:
        """Queue a single record of the event's topic; as `produce_rows`."""
        self.produce_rows(
            topic,
            Rows(
                pa.array([key], pa.binary()),
                pa.array([value], pa.large_binary()),
                [headers] if headers else None,
                np.array([timestamp_ms], np.int64) if timestamp_ms else None,
            ),
        )

    def record(self, topic: str, kafka_partition: int, key: bytes, value: bytes | None) -> None:
        """Queue the ledger's record of this transaction; it is not counted as delivered."""
        try:
            while not self._ask(self._client.produce_uncounted, topic, kafka_partition, key, value):
                self._serve(0.05)
        except TooLarge as refused:
            raise self._too_large(topic, refused) from None

    def _too_large(self, topic: str, refused: TooLarge) -> RecordTooLarge:
        return RecordTooLarge(
            topic, refused.record_bytes, self._max_message_bytes, client_limit=self._largest_record
        )

    def _serve(self, seconds: float) -> None:
        self._ask(self._client.poll, seconds)
        if self._deliveries.failed:
            raise self._not_delivered()
        if time.monotonic() >= self._look_at:
            self._require_pace()

    def _require_pace(self) -> None:
        """Raise ProducerThrottled if a client quota throttles the open transaction and the transaction would
        not end in time at the pace of its acknowledgements so far."""
        now = time.monotonic()
        self._look_at = now + _PACE_SECONDS
        done = self._deliveries.delivered.records + self._deliveries.unplaced
        throttle, seconds = self._client.throttle, now - self._began
        if not self._open or done >= self._queued or throttle.until < self._began:
            return
        needed = seconds * self._queued / done if done else seconds
        if max(needed, throttle.until - self._began) > self._timeout_seconds * _IN_TIME:
            raise ProducerThrottled(self._topic, done, seconds, throttle.told(self._began))

    def await_acknowledgements(self) -> Delivered:
        """Wait until every record queued so far is acknowledged; return what the brokers acknowledged in
        this transaction. Raises DeliveryFailed, ProducerThrottled, or KafkaUnavailable if
        acknowledgements do not come in time."""
        deadline = time.monotonic() + _COMMIT_SECONDS
        started = time.monotonic()
        while time.monotonic() < deadline:
            with waiting_for(f"Kafka to acknowledge records of {self._where}", since=started):
                waiting = self._ask(self._client.flush, 1.0)
            self._serve(0)
            if not waiting:
                return self._settled()
        raise KafkaUnavailable(self._where, f"records were not acknowledged within {_COMMIT_SECONDS:.0f} s")

    def _settled(self) -> Delivered:
        if self._deliveries.unplaced:
            # Reading back needs the offsets; after a retry of the transaction they are known.
            told = "they were acknowledged without their offsets, after they had to be sent again"
            raise DeliveryFailed(self._topic, self._deliveries.unplaced, told)
        return self._deliveries.delivered

    def commit(self) -> Delivered:
        """Make the transaction visible; return what the brokers acknowledged in it.

        A commit that times out may have happened. So it is requested again until the deadline, and not
        aborted. Raises KafkaUnavailable if the outcome stays unknown.
        """
        deadline = time.monotonic() + _COMMIT_SECONDS
        while True:
            try:
                with waiting_for(f"Kafka to commit a transaction of {self._where}"):
                    self._client.commit_transaction(max(1.0, deadline - time.monotonic()))
                break
            except (KafkaException, SystemError) as error:
                inner = self._inner(error)
                if inner.code() == KafkaError.UNKNOWN:
                    raise self._failed_within(inner) from None
                if inner.txn_requires_abort() or inner.fatal() or not inner.retriable():
                    raise self._raised(inner) from None
                if time.monotonic() < deadline:
                    continue
                self._open = False
                raise self._uncertain("the commit was not answered in time") from None
        self._open = False
        return self._deliveries.delivered

    def _failed_within(self, error: KafkaError) -> Exception:
        """The error to raise if the brokers failed during a commit.

        A coordinator may fail like this if a successor ends the transaction at that moment (Apache Kafka
        4.3); a request to abort then reports that this producer is fenced.
        """
        fatal = self._fatal()
        if fatal is not None and is_fenced(fatal):
            return self._raised(fatal)
        self._open = False
        return self._uncertain(f"the brokers failed within the commit: {error.str()}")

    def _uncertain(self, what: str) -> KafkaUnavailable:
        return KafkaUnavailable(
            self._where,
            f"{what}, so it may or may not have happened",
            next_step="launch the window again: the ledger tells, and it continues exactly there",
        )

    def abort(self) -> None:
        """Drop the open transaction, if any. Never raises: a broker drops the transaction later by itself."""
        if not self._open:
            return
        self._open = False
        with suppress(KafkaException, SystemError):
            self._client.abort_transaction(10.0)

    def take_back(self) -> None:
        """Abort the open transaction, to begin another one with this producer.
        Raises if that takes too long."""
        self._ask(self._client.abort_transaction, self._timeout_seconds)
        self._open = False
        self._ask(self._client.flush, 1.0)
        # All of the aborted records are sent again.
        self._deliveries.forget_failures()

    def close(self) -> None:
        """Abort the open transaction and free the client."""
        self.abort()
        self._client.close()

    def _ask(self, function: Callable[..., T], *arguments: object) -> T:
        try:
            return function(*arguments)
        except (KafkaException, SystemError) as error:
            raise self._raised(self._inner(error)) from None

    def _inner(self, error: KafkaException | SystemError) -> KafkaError:
        """The KafkaError behind an exception of the client.

        The client raises a fatal error in poll, flush and commit. If delivery callbacks run at the same time,
        Python wraps the error in SystemErrors, or loses it ("returned NULL without setting an exception").
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
        """The error that the user gets for `error`."""
        if error.code() == KafkaError._FATAL:
            error = self._fatal() or error
        if is_fenced(error):
            self._open = False
            open_seconds = time.monotonic() - self._began
            # If the brokers end a transaction because of its time-out, the producer gets the same
            # error as after a successor's claim.
            if self._began and open_seconds >= self._timeout_seconds:
                return TransactionExpired(self._event, self._window, open_seconds, self._timeout_seconds)
            return ProducerFenced(self._event, self._window)
        if not self._deliveries.failed:
            # "Erroneous state" follows a failed delivery whose report may not have arrived yet.
            with suppress(KafkaException, SystemError):
                self._client.poll(0)
        if self._deliveries.failed:
            return self._not_delivered()
        return explain(f"{self._where}, topic {self._topic}", error)

    def _fatal(self) -> KafkaError | None:
        """Why this producer is dead; None if it is not. The client refuses to abort and gives the reason."""
        try:
            self._client.abort_transaction(1.0)
        except KafkaException as refused:
            return kafka_error(refused)
        except SystemError:
            return self._fatal()  # once more: callbacks of purged records ran and hid the reason
        self._open = False
        return None

    def _not_delivered(self) -> Exception:
        deliveries = self._deliveries
        error, topic = deliveries.first_failure()
        if error.code() in PURGED:
            error = self._fatal() or error
        if is_fenced(error):
            deliveries.forget_failures()
            return self._raised(error)
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return RecordTooLarge(topic, deliveries.largest_refused_bytes(), self._max_message_bytes)
        if is_passing(error):
            told = self._client.throttle.told(self._began)
            reason = f"{error.str()} ({error.name()})" + (f"; {told}" if told else "")
            return DeliveryFailed(topic, deliveries.failed, reason)
        return explain(f"topic {topic}, {counted(deliveries.failed, 'record')}", error)

    def __enter__(self) -> "TransactionalProducer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def headers_of(pairs: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Text headers in the form that Kafka carries."""
    return [(name, value.encode()) for name, value in pairs.items()]
