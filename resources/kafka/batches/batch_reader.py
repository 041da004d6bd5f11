"""What reading many records needs from librdkafka, and the public way to get it:
confluent-kafka's Consumer."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from resources.kafka.connecting.throttle import Throttle

# Each message is an object that the garbage collector counts. After 700 new objects it scans all
# objects of the process; with more messages at a time, that took longer than reading them. It does not
# count the values kept of a message.
_AT_A_TIME = 500
# No timestamp from the producer: message.timestamp.type=LogAppendTime, or a record older than timestamps.
BROKERS_TIME = -(2**63)


@dataclass(frozen=True)
class Batch:
    """Records in the order in which they came; each row is a record. Keys and values are
    large_binary, null if the record has none.

    `ends`: kafka_partition -> offset, for the Kafka partitions that ended for now; the last records before
    that end may come in a later batch. `stamps_ms`, if requested: the timestamp that the producer gave each
    record; BROKERS_TIME if the brokers wrote their own.
    """

    kafka_partitions: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    keys: pa.Array
    values: pa.Array
    ends: dict[int, int] = field(default_factory=dict)
    stamps_ms: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.offsets)


class BatchReader(Protocol):
    """A consumer of the Kafka partitions that are assigned to it. All methods but `look_up` and `close` raise
    KafkaException. Not for use by several threads."""

    throttle: Throttle
    """How long brokers throttle it, updated while it is read."""

    @property
    def way(self) -> str:
        """`native` or `public`."""

    def look_up(self, topic: str, seconds: float) -> None:
        """Look up the topic, so that the client knows it when it is read; never raises."""

    def assign(self, topic: str, first: Mapping[int, int]) -> None:
        """Read these Kafka partitions from these offsets, and no others."""

    def drop(self, topic: str, kafka_partitions: Iterable[int]) -> None:
        """Stop reading these Kafka partitions."""

    def unassign(self) -> None:
        """Read nothing more."""

    def next(self, most: int, seconds: float) -> Batch:
        """The records that are here, about `most` at most. Waits up to `seconds` for the first
        one; the batch may be empty."""

    def close(self) -> None:
        """Free the client."""


class PublicReader:
    """confluent-kafka's Consumer: one object for each record."""

    way = "public"

    def __init__(self, consumer: Consumer, throttle: Throttle, *, stamps: bool = False) -> None:
        self._consumer, self._stamps = consumer, stamps
        self.throttle = throttle

    def look_up(self, topic: str, seconds: float) -> None:
        with suppress(KafkaException):
            self._consumer.list_topics(topic, timeout=seconds)

    def assign(self, topic: str, first: Mapping[int, int]) -> None:
        self._consumer.assign([TopicPartition(topic, p, offset) for p, offset in first.items()])

    def drop(self, topic: str, kafka_partitions: Iterable[int]) -> None:
        self._consumer.incremental_unassign([TopicPartition(topic, p) for p in kafka_partitions])

    def unassign(self) -> None:
        self._consumer.unassign()

    def next(self, most: int, seconds: float) -> Batch:
        columns, ends = _Columns(self._stamps), dict[int, int]()
        first = self._consumer.poll(seconds)
        # Not `if first`: a message is true if its value has bytes, and a tombstone has none.
        messages = [] if first is None else [first]
        while messages:
            if any(map(Message.error, messages)):
                ends |= _ended(messages)
                messages = [message for message in messages if message.error() is None]
            columns.add(messages)
            del messages  # freed before the next ones are created
            if len(columns) >= most:
                break
            messages = self._consumer.consume(_AT_A_TIME, timeout=0)
        return columns.batch(ends)

    def close(self) -> None:
        self._consumer.close()


def _ended(messages: list[Message]) -> dict[int, int]:
    ends: dict[int, int] = {}
    for message in messages:
        error = message.error()
        if error is None:
            continue
        if error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        ends[message.partition() or 0] = message.offset() or 0
    return ends


class _Columns:
    """The requested fields of messages, as columns."""

    def __init__(self, stamps: bool) -> None:
        self._stamps: list[int] | None = [] if stamps else None
        self._kafka_partitions: list[int | None] = []
        self._offsets: list[int | None] = []
        self._keys: list[str | bytes | None] = []
        self._values: list[str | bytes | None] = []

    def add(self, messages: list[Message]) -> None:
        self._kafka_partitions += map(Message.partition, messages)
        self._offsets += map(Message.offset, messages)
        self._keys += map(Message.key, messages)
        self._values += map(Message.value, messages)
        if self._stamps is not None:
            self._stamps += [
                stamp if kind == TIMESTAMP_CREATE_TIME else BROKERS_TIME
                for kind, stamp in map(Message.timestamp, messages)
            ]

    def __len__(self) -> int:
        return len(self._offsets)

    def batch(self, ends: dict[int, int]) -> Batch:
        return Batch(
            np.array(self._kafka_partitions, np.int32),
            np.array(self._offsets, np.int64),
            pa.array(self._keys, pa.large_binary()),
            pa.array(self._values, pa.large_binary()),
            ends,
            None if self._stamps is None else np.array(self._stamps, np.int64),
        )
