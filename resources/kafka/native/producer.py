"""The native way to produce: our own librdkafka client, one call for a batch, one
event for many acknowledgements.

Every call uses librdkafka's public C interface. Three rules make sure that it never waits for ever:

- No record is queued with MSG_F_BLOCK; if the queue is full, this class waits. The event's records do not
  name a kafka_partition: librdkafka's partitioner chooses it when it knows the topic.
- Acknowledgements arrive as events. librdkafka's own flush, commit and abort wait for acknowledgements but do
  not serve the events. So this class serves all events before each of these calls and gives each call at most
  a second.
- A client belongs to the process that created it: after a fork, the child neither uses nor frees it.
"""

import ctypes
import itertools
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import KafkaError, KafkaException

from resources.kafka.batches.deliveries import Deliveries
from resources.kafka.batches.producer_client import TooLarge, patiently, reach
from resources.kafka.batches.rows import Rows
from resources.kafka.connecting.logins import Login
from resources.kafka.connecting.throttle import Throttle
from resources.kafka.errors import kafka_error
from resources.kafka.native.handle import opened, say
from resources.kafka.native.library import (
    EVENT_DR,
    EVENT_ERROR,
    EVENT_LOG,
    MESSAGE,
    METADATA,
    MSG_F_COPY,
    PARTITION_UNASSIGNED,
    PRODUCER,
    PROPERTY,
    PURGE_IN_FLIGHT,
    PURGE_QUEUE,
    VTYPE_KEY,
    VTYPE_MSGFLAGS,
    VTYPE_OPAQUE,
    VTYPE_PARTITION,
    VTYPE_RKT,
    VTYPE_VALUE,
    Library,
)
from resources.kafka.native.records import grouped, messages, properties

_UNCOUNTED = 1
# A flush checks for acknowledgements so many times, a millisecond apart, before it waits for longer.
_EAGER_TURNS = 100
_LINGER = ("linger.ms", "queue.buffering.max.ms")


class NativeClient:
    """Our own client of librdkafka. `config` holds its properties as text. `kafka_partitions` is
    how many Kafka partitions its topic has, if that is known. Raises KafkaException for a
    property that librdkafka refuses."""

    way = "native"

    def __init__(
        self,
        library: Library,
        config: Mapping[str, str],
        deliveries: Deliveries,
        login: Login,
        log: logging.Logger,
        *,
        kafka_partitions: int | None = None,
    ) -> None:
        self._library, self._deliveries, self._log = library, deliveries, log
        self.login, self.throttle = login, Throttle()
        self._kafka_partitions = kafka_partitions or 0
        events = EVENT_DR | EVENT_ERROR
        self._client, self._callback = opened(library, PRODUCER, config, self.throttle, events)
        # After the client is created: librdkafka refuses a value that is no number and names the property.
        self._lingers = any(float(config.get(name, 0)) > 0 for name in _LINGER)
        self._queue: int = library.queue_get_main(self._client)
        self._topics: dict[str, int] = {}
        # Only `close` frees the client, after the transaction was aborted. If a client is destroyed
        # while its transaction is being opened, an assertion of librdkafka can end the process
        # (2.16, AddPartitionsToTxn). A client that nobody closes lives until its process ends; the
        # brokers then end its transaction.
        self._process: int | None = os.getpid()

    def connect(self, topics: Sequence[str], seconds: float) -> bool:
        for topic in topics:
            self._topic(topic)
        return reach(self._asked, seconds)

    def _asked(self, seconds: float) -> int:
        """Ask for the topics that this client knows by name; returns the id of the broker that answered."""
        answer = ctypes.c_void_p()
        code = self._library.metadata(self._client, 0, None, answer, max(1, int(seconds * 1000)))
        if code:
            raise KafkaException(self._library.kafka_error(code))
        try:
            return int(_structure(answer.value, METADATA)["orig_broker_id"])
        finally:
            self._library.metadata_destroy(answer)

    def init_transactions(self, timeout: float) -> None:
        patiently(self._served(self._library.init_transactions), timeout)

    def begin_transaction(self) -> None:
        self._library.check(self._library.begin_transaction(self._client))

    def commit_transaction(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        waiting = self.flush(timeout)
        if waiting:
            told = f"{waiting} records are not acknowledged yet"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, told, retriable=True))
        patiently(self._served(self._library.commit_transaction), deadline - time.monotonic())

    def abort_transaction(self, timeout: float) -> None:
        # The first call drops the records. They become events, which must be served before the abort can end.
        patiently(self._served(self._library.abort_transaction), timeout, first_seconds=0.02)

    def _served(self, call: Callable[[int, int], int | None]) -> Callable[[float], None]:
        """The call; all events are served before it."""

        def served(seconds: float) -> None:
            self._serve(0)
            self._library.check(call(self._client, max(1, int(seconds * 1000))))

        return served

    def produce_rows(self, topic: str, rows: Rows, serve: Callable[[float], None]) -> None:
        if rows.headers is None and rows.timestamps_ms is None:
            self._produce_batch(self._topic(topic), rows, serve)
        else:
            self._produce_each(self._topic(topic), rows, serve)
        serve(0)

    def _produce_batch(self, topic: int, rows: Rows, serve: Callable[[float], None]) -> None:
        # Records of one kafka_partition are sent and freed together. If their memory is also allocated
        # together, they cost half as much (cache misses). This only sorts the records: librdkafka's own
        # partitioner still chooses the kafka_partition.
        batch = messages(rows, grouped(rows, self._kafka_partitions))
        while len(batch):
            taken = self._library.produce_batch(
                topic, PARTITION_UNASSIGNED, MSG_F_COPY, batch.ctypes.data, len(batch)
            )
            batch = self._not_taken(batch, taken)
            if len(batch):
                serve(0.05)

    def _not_taken(self, batch: npt.NDArray[Any], taken: int) -> npt.NDArray[Any]:
        """The rest of a batch whose first `taken` records were queued: the record that found
        the queue full, and all after it.

        Raises for every other outcome, because no record may overtake an earlier record that was refused.
        """
        refused = np.flatnonzero(batch["err"])
        if len(refused) == 0 and taken == len(batch):
            return batch[:0]
        errors = np.unique(batch["err"][refused])
        if errors.tolist() == [KafkaError._QUEUE_FULL] and taken == len(batch) - len(refused) == refused[0]:
            rest = batch[taken:]
            rest["err"] = 0
            return rest
        others = refused[batch["err"][refused] != KafkaError._QUEUE_FULL]
        if len(others) == 0:
            raise RuntimeError(f"librdkafka took {taken} of {len(batch)} records, and not the first of them")
        first = batch[others[0]]
        if first["err"] == KafkaError.MSG_SIZE_TOO_LARGE:
            raise TooLarge(int(first["len"] + first["key_len"]))
        raise KafkaException(self._library.kafka_error(int(first["err"])))

    def _produce_each(self, topic: int, rows: Rows, serve: Callable[[float], None]) -> None:
        prepared = properties(rows, topic)
        places = zip(prepared.addresses.tolist(), prepared.counts.tolist(), strict=True)
        for row, (address, count) in enumerate(places):
            while not self._enqueue(address, count, lambda row: rows.slice(row, 1).total_bytes, row):
                serve(0.05)

    def produce_uncounted(self, topic: str, kafka_partition: int, key: bytes, value: bytes | None) -> bool:
        held = (ctypes.create_string_buffer(key), ctypes.create_string_buffer(value or b""))
        listed = np.zeros(6, PROPERTY)
        listed["vtype"] = (
            VTYPE_RKT,
            VTYPE_MSGFLAGS,
            VTYPE_PARTITION,
            VTYPE_OPAQUE,
            VTYPE_KEY,
            VTYPE_VALUE,
        )
        listed["first"][:4] = self._topic(topic), MSG_F_COPY, kafka_partition, _UNCOUNTED
        listed["first"][4], listed["second"][4] = ctypes.addressof(held[0]), len(key)
        if value is not None:
            listed["first"][5], listed["second"][5] = ctypes.addressof(held[1]), len(value)
        return self._enqueue(listed.ctypes.data, 6, lambda _: len(key) + len(value or b""))

    def _enqueue(self, address: int, count: int, record_bytes: Callable[[int], int], row: int = 0) -> bool:
        error = self._library.produceva(self._client, address, count)
        if not error:
            return True
        try:
            self._library.check(error)
        except KafkaException as refused:
            code = kafka_error(refused).code()
            if code == KafkaError._QUEUE_FULL:
                return False
            if code == KafkaError.MSG_SIZE_TOO_LARGE:
                raise TooLarge(record_bytes(row)) from None
            raise
        return True

    def poll(self, seconds: float) -> None:
        self._serve(int(seconds * 1000))

    def flush(self, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        for turn in itertools.count():
            self._serve(0)
            left_ms = int((deadline - time.monotonic()) * 1000)
            waiting: int = self._library.outq_len(self._client)
            if not waiting or left_ms <= 0:
                return waiting
            # flush() makes librdkafka's threads send at once, without linger.ms, but only while
            # flush() waits. The records of a transaction can be sent only some milliseconds from
            # here, after the brokers have noted their kafka_partition; without this call they would
            # then wait for linger.ms. flush() itself uses its whole millisecond: it does not serve
            # acknowledgements, they are served below.
            if self._lingers:
                self._library.flush(self._client, 1)
            if turn >= _EAGER_TURNS or not self._lingers:
                self._serve(min(left_ms, 50))
        raise AssertionError

    def close(self) -> None:
        if self._process is None:
            return
        try:
            self._library.purge(self._client, PURGE_QUEUE | PURGE_IN_FLIGHT)
            self.flush(1.0)
        except KafkaException:
            pass  # a fenced producer has nothing left to flush
        process, self._process = self._process, None
        _free(self._library, self._client, self._queue, self._topics, process)

    def _topic(self, name: str) -> int:
        if name not in self._topics:
            handle = self._library.topic_new(self._client, name.encode(), None)
            if not handle:
                raise KafkaException(self._library.kafka_error(KafkaError._INVALID_ARG))
            self._topics[name] = handle
        return self._topics[name]

    def _serve(self, wait_ms: int) -> None:
        """Take all events, and wait for the first one up to `wait_ms`. Raises the client's fatal error."""
        while event := self._library.queue_poll(self._queue, wait_ms):
            try:
                self._take(event)
            finally:
                self._library.event_destroy(event)
            wait_ms = 0
        # Checked after every call: a fatal error drops records, and their events may come
        # before the event of the error.
        text = ctypes.create_string_buffer(512)
        if code := self._library.fatal_error(self._client, text, len(text)):
            raise KafkaException(KafkaError(code, text.value.decode(errors="replace"), fatal=True))

    def _take(self, event: int) -> None:
        kind = self._library.event_type(event)
        if kind == EVENT_DR:
            self._delivered(event)
        elif kind == EVENT_LOG:
            say(self._library, event, self._log)
        elif kind == EVENT_ERROR:
            # Also an unreachable broker, which may pass, and fatal errors;
            # `_serve` checks for those after this.
            told = self._library.event_error_string(event) or b""
            self.login(KafkaError(self._library.event_error(event), told.decode(errors="replace")))

    def _delivered(self, event: int) -> None:
        """Count the records of one event: usually one batch of one
        kafka_partition, with consecutive offsets."""
        library = self._library
        count = library.event_message_count(event)
        pointers = (ctypes.c_void_p * count)()
        count = library.event_message_array(event, pointers, count)
        if not count:
            return
        first, last = _record(pointers[0]), _record(pointers[count - 1])
        whole = (
            library.event_error(event) == 0
            and first["err"] == last["err"] == 0
            and first["partition"] == last["partition"]
            and first["opaque"] == last["opaque"] == 0
            and first["offset"] >= 0
            and last["offset"] - first["offset"] == count - 1
        )
        if whole:
            self._deliveries.acknowledge(
                int(first["partition"]), int(first["offset"]), int(last["offset"]), count
            )
            return
        for index in range(count):
            self._delivered_one(_record(pointers[index]))

    def _delivered_one(self, record: np.void) -> None:
        code = int(record["err"])
        if code:
            topic = self._library.topic_name(int(record["rkt"])).decode()
            size = int(record["len"] + record["key_len"])
            self._deliveries.fail(self._library.kafka_error(code), lambda: (topic, size))
        elif record["opaque"] != _UNCOUNTED:
            offset = int(record["offset"])
            self._deliveries.acknowledge(int(record["partition"]), offset, offset)


def _record(address: int | None) -> np.void:
    return _structure(address, MESSAGE)


def _structure(address: int | None, kind: np.dtype[np.void]) -> np.void:
    raw: Any = (ctypes.c_char * kind.itemsize).from_address(address or 0)
    found: np.void = np.frombuffer(raw, kind)[0]
    return found


def _free(library: Library, client: int, queue: int, topics: dict[str, int], process: int) -> None:
    if os.getpid() != process:
        return  # freeing the client waits for its threads, which a forked child does not have
    for topic in topics.values():
        library.topic_destroy(topic)
    library.queue_destroy(queue)
    library.destroy(client)
