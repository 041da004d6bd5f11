"""What a transactional producer needs from librdkafka, and the public way to get
it: confluent-kafka's Producer.

Producer and client, in both ways, use confluent-kafka's errors: `KafkaException` around a `KafkaError`.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from resources.kafka.batches.deliveries import Deliveries
from resources.kafka.batches.rows import Headers, Rows
from resources.kafka.connecting.logins import Login
from resources.kafka.connecting.throttle import Throttle
from resources.kafka.errors import kafka_error

# Serve acknowledgements once per so many records. Each acknowledgement is a
# callback, so not after every record.
_SERVE_EVERY = 512
SLICE_SECONDS = 1.0
# After so many answers from a bootstrap address, assume that its connection is not dropped.
_DROPPED_AT_MOST = 50


class TooLarge(Exception):
    """A record is larger than the client accepts. Neither this record nor the ones after it were queued."""

    def __init__(self, record_bytes: int) -> None:
        self.record_bytes = record_bytes
        super().__init__(record_bytes)


class Client(Protocol):
    """One transactional client. It reports the outcome of its records to the `Deliveries` that it was created
    with, while it is served; every queued record is reported there.

    All methods but `close` raise KafkaException. The public way also raises SystemError, if callbacks ran
    while a KafkaException was raised.
    """

    login: Login
    """What the brokers report about its login, updated while the client is served."""
    throttle: Throttle
    """How long the brokers throttle it, updated while the client is served."""

    @property
    def way(self) -> str:
        """`native` or `public`."""

    def connect(self, topics: Sequence[str], seconds: float) -> bool:
        """Connect to a broker and look up the topics, before they are used. Writes nothing and fences nobody.

        False if no broker answered in time.
        """

    def init_transactions(self, timeout: float) -> None:
        """Fence predecessors. After a retriable error, call it again."""

    def begin_transaction(self) -> None:
        """Open a transaction."""

    def produce_rows(self, topic: str, rows: Rows, serve: Callable[[float], None]) -> None:
        """Queue all rows in their order; each is counted when it is acknowledged.

        While the queue is full, calls `serve` with the seconds to wait. Raises TooLarge.
        """

    def produce_uncounted(self, topic: str, kafka_partition: int, key: bytes, value: bytes | None) -> bool:
        """Queue a record that is not counted when it is acknowledged. False if the
        queue is full. Raises TooLarge."""

    def poll(self, seconds: float) -> None:
        """Serve the events that have happened; if there are none, wait up to `seconds` for one."""

    def flush(self, seconds: float) -> int:
        """Send the queued records; returns how many records are still not acknowledged after `seconds`."""

    def commit_transaction(self, timeout: float) -> None:
        """Send the queued records, and commit. After a retriable error, call it again."""

    def abort_transaction(self, timeout: float) -> None:
        """Drop the transaction."""

    def close(self) -> None:
        """Drop the queued records and free the client; never raises."""


def patiently(call: Callable[[float], object], timeout: float, first_seconds: float = SLICE_SECONDS) -> None:
    """Repeat a call for a transaction in slices until it is done or the time is up. librdkafka continues the
    earlier call, and between two slices a request to stop is noticed."""
    deadline, seconds = time.monotonic() + timeout, first_seconds
    while True:
        left = deadline - time.monotonic()
        try:
            call(max(0.001, min(seconds, left)))
            return
        except KafkaException as error:
            inner = kafka_error(error)
            if not (inner.code() == KafkaError._TIMED_OUT and inner.retriable()) or left <= seconds:
                raise
        seconds = SLICE_SECONDS


def reach(asked: Callable[[float], int], seconds: float) -> bool:
    """Ask for metadata until a broker of the cluster answers. `asked` takes the seconds to
    wait and returns the broker's id.

    The first answer comes from a bootstrap address, with id -1, and librdkafka (2.16) then drops that
    connection. A request for a transaction's coordinator before there is another connection waits half a
    second, because nothing wakes that timer. If no broker is connected, librdkafka connects to one when it
    gets a request, but not twice within 11 ms. So the request is repeated soon, with a longer time-out each
    time for brokers that are far away.
    """
    deadline, patience, dropped = time.monotonic() + seconds, 0.015, 0
    while (left := deadline - time.monotonic()) > 0 and dropped < _DROPPED_AT_MOST:
        try:
            if asked(min(patience, left)) >= 0:
                return True
            dropped += 1
            time.sleep(0.001)
        except KafkaException:
            patience = min(patience * 2, SLICE_SECONDS)
    return False


class PublicClient:
    """confluent-kafka's Producer: one call and one callback for each record."""

    way = "public"

    def __init__(self, producer: Producer, deliveries: Deliveries, login: Login, throttle: Throttle) -> None:
        self._producer, self._deliveries, self.login = producer, deliveries, login
        self.throttle = throttle
        self.begin_transaction = producer.begin_transaction
        self.abort_transaction = producer.abort_transaction

    def connect(self, topics: Sequence[str], seconds: float) -> bool:
        def asked(patience: float) -> int:
            return min(
                int(self._producer.list_topics(topic, timeout=patience).orig_broker_id) for topic in topics
            )

        return reach(asked, seconds)

    def init_transactions(self, timeout: float) -> None:
        patiently(self._producer.init_transactions, timeout)

    def commit_transaction(self, timeout: float) -> None:
        patiently(self._producer.commit_transaction, timeout)

    def produce_rows(self, topic: str, rows: Rows, serve: Callable[[float], None]) -> None:
        keys, values = rows.keys.to_pylist(), rows.values.to_pylist()
        stamps = [0] * len(rows) if rows.timestamps_ms is None else rows.timestamps_ms.tolist()
        headers: Any = [()] * len(rows) if rows.headers is None else rows.headers
        for row, (key, value, pairs, stamp) in enumerate(zip(keys, values, headers, stamps, strict=True), 1):
            while not self._queue(topic, key, value, self._acknowledge, **_more(pairs, stamp)):
                serve(0.05)
            if row % _SERVE_EVERY == 0:
                serve(0)

    def produce_uncounted(self, topic: str, kafka_partition: int, key: bytes, value: bytes | None) -> bool:
        return self._queue(topic, key, value, self._acknowledge_uncounted, partition=kafka_partition)

    def _queue(
        self, topic: str, key: bytes | None, value: bytes | None, on_delivery: Any, **more: Any
    ) -> bool:
        try:
            self._producer.produce(topic, value, key, on_delivery=on_delivery, **more)
        except BufferError:
            return False
        except KafkaException as error:
            if kafka_error(error).code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise TooLarge(_record_bytes(key, value)) from None
            raise
        return True

    def poll(self, seconds: float) -> None:
        self._producer.poll(seconds)

    def flush(self, seconds: float) -> int:
        waiting: int = self._producer.flush(seconds)
        return waiting

    def close(self) -> None:
        try:
            self._producer.purge()
            self._producer.flush(1.0)
        except (KafkaException, SystemError):
            pass  # a fenced producer has nothing left to flush

    def _acknowledge(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._fail(error, message)
        else:
            # The acknowledgement of a batch that was sent again may have no offsets.
            offset = message.offset()
            offset = -1 if offset is None else offset
            self._deliveries.acknowledge(message.partition() or 0, offset, offset)

    def _acknowledge_uncounted(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._fail(error, message)

    def _fail(self, error: KafkaError, message: Message) -> None:
        self._deliveries.fail(
            error, lambda: (message.topic() or "", _record_bytes(message.key(), message.value()))
        )


def _more(headers: Headers, timestamp_ms: int) -> dict[str, Any]:
    more: dict[str, Any] = {"timestamp": timestamp_ms} if timestamp_ms else {}
    if headers:
        more["headers"] = list(headers)
    return more


def _record_bytes(key: Any, value: Any) -> int:
    # Headers are not included: a refused record comes back without them.
    return len(key or b"") + len(value or b"")
