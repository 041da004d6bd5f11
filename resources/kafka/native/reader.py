"""The native way to read: our own librdkafka consumer. One call takes a batch of messages; the compiled
library copies them into columns and frees each message as it goes.

A client belongs to the process that created it: after a fork, the child neither uses nor frees it. Every
message is freed before the next call of the client; otherwise closing the client would wait for ever.
"""

import ctypes
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from weakref import finalize

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException

from resources.kafka.batches.batch_reader import Batch
from resources.kafka.connecting.throttle import Throttle
from resources.kafka.native.handle import opened, say
from resources.kafka.native.library import CONSUMER, EVENT_LOG, Library

# `struct told` and `struct column` of resources/c_library/reading.c.
_TOLD = np.dtype([(name, "i8") for name in ("records", "ends", "key_bytes", "value_bytes", "first_error")])
_COLUMN = np.dtype([("offsets", "u8"), ("data", "u8"), ("valid", "u8"), ("nulls", "i8"), ("at", "i8")])


class NativeReader:
    """Our own consumer of librdkafka. `config` holds its properties as text; `loops` is the compiled library.
    Raises KafkaException for a property that librdkafka refuses."""

    way = "native"

    def __init__(
        self,
        library: Library,
        loops: ctypes.CDLL,
        config: Mapping[str, str],
        log: logging.Logger,
        *,
        stamps: bool = False,
    ) -> None:
        self._library, self._log = library, log
        self._messages = Messages(library, loops, stamps=stamps)
        self.throttle = Throttle()
        self._client, self._callback = opened(library, CONSUMER, config, self.throttle)
        # This queue holds records only; all other events come to the main queue.
        self._queue: int = library.queue_get_consumer(self._client)
        self._main: int = library.queue_get_main(self._client)
        # Freed also if nobody closes it, as confluent-kafka does with its own clients; but
        # not at the interpreter's exit.
        queues, self._process = (self._queue, self._main), os.getpid()
        self._freed = finalize(self, _free, library, self._client, queues, self._process)
        self._freed.atexit = False

    def look_up(self, topic: str, seconds: float) -> None:
        self._serve()  # this may fetch a token for the login
        handle = self._library.topic_new(self._client, topic.encode(), None)
        if not handle:
            return
        answer = ctypes.c_void_p()
        if not self._library.metadata(self._client, 0, handle, answer, int(seconds * 1000)):
            self._library.metadata_destroy(answer)
        self._library.topic_destroy(handle)

    def assign(self, topic: str, first: Mapping[int, int]) -> None:
        with self._places(topic, first) as places:
            self._check(self._library.assign(self._client, places))

    def drop(self, topic: str, kafka_partitions: Iterable[int]) -> None:
        with self._places(topic, dict.fromkeys(kafka_partitions)) as places:
            self._library.check(self._library.incremental_unassign(self._client, places))

    def unassign(self) -> None:
        # Not in a forked child, where this is called too when a generator that was reading ends.
        if self._process == os.getpid():
            self._check(self._library.assign(self._client, None))

    @contextmanager
    def _places(self, topic: str, wanted: Mapping[int, int | None]) -> Iterator[int]:
        """A list of Kafka partitions, with an offset for each that has one."""
        places: int = self._library.topic_partition_list_new(len(wanted))
        try:
            for p, offset in wanted.items():
                self._library.topic_partition_list_add(places, topic.encode(), p)
                if offset is not None:
                    self._library.topic_partition_list_set_offset(places, topic.encode(), p, offset)
            yield places
        finally:
            self._library.topic_partition_list_destroy(places)

    def _check(self, code: int) -> None:
        if code:
            raise KafkaException(self._library.kafka_error(code))

    def next(self, most: int, seconds: float) -> Batch:
        self._serve()
        return self._messages.take(self._queue, most, seconds)

    def _serve(self) -> None:
        """Serve librdkafka's events other than records: log lines, throttle
        times, requests for login tokens."""
        while event := self._library.queue_poll(self._main, 0):
            if self._library.event_type(event) == EVENT_LOG:
                say(self._library, event, self._log)
            self._library.event_destroy(event)

    def close(self) -> None:
        if self._freed.alive and self._process == os.getpid():
            self._serve()  # the last log lines
        self._freed()


def _free(library: Library, client: int, queues: Iterable[int], process: int) -> None:
    if os.getpid() != process:
        return  # freeing the client waits for its threads, which a forked child does not have
    library.consumer_close(client)
    for queue in queues:
        library.queue_destroy(queue)
    library.destroy(client)


class Messages:
    """Takes the messages of a queue as columns."""

    def __init__(self, library: Library, loops: ctypes.CDLL, *, stamps: bool = False) -> None:
        self._library, self._loops = library, loops
        self._consume, self._destroy, stamp = (
            ctypes.cast(function, ctypes.c_void_p)
            for function in (library.consume_batch_queue, library.message_destroy, library.message_timestamp)
        )
        self._stamp = stamp if stamps else None
        self._taken = np.empty(0, np.uint64)

    def take(self, queue: int, most: int, seconds: float) -> Batch:
        """The messages in `queue`, at most `most`; waits up to `seconds` for the first one. Raises
        KafkaException for the first message that is an error."""
        if len(self._taken) < most:
            self._taken = np.empty(most, np.uint64)
        told, taken = np.zeros(1, _TOLD), self._taken.ctypes.data
        wait_ms = int(seconds * 1000)
        count = self._loops.sluice_take_messages(self._consume, queue, wait_ms, taken, most, told.ctypes.data)
        if count < 0:
            raise KafkaException(self._library.kafka_error(self._library.last_error()))
        try:
            self._refuse(int(told["first_error"][0]))
            batch, count = self._gathered(told[0], count), 0
        finally:
            # After an error, all messages must still be freed. `count` is 0 after success:
            # gathered messages are already freed.
            self._loops.sluice_free_messages(self._destroy, taken, count)
        return batch

    def _refuse(self, place: int) -> None:
        if place < 0:
            return
        message = int(self._taken[place])
        code = ctypes.c_int32.from_address(message).value
        text = self._library.message_errstr(message) or b""
        raise KafkaException(KafkaError(code, text.decode(errors="replace")))

    def _gathered(self, told: np.void, count: int) -> Batch:
        records, ends = int(told["records"]), int(told["ends"])
        kafka_partitions, offsets = np.empty(records, np.int32), np.empty(records, np.int64)
        end_partitions, end_offsets = np.empty(ends, np.int32), np.empty(ends, np.int64)
        keys, values = (_Column(records, int(told[size])) for size in ("key_bytes", "value_bytes"))
        stamps = np.empty(records, np.int64) if self._stamp is not None else None
        self._loops.sluice_gather_messages(
            self._destroy,
            self._taken.ctypes.data,
            count,
            kafka_partitions.ctypes.data,
            offsets.ctypes.data,
            keys.laid_out.ctypes.data,
            values.laid_out.ctypes.data,
            end_partitions.ctypes.data,
            end_offsets.ctypes.data,
            self._stamp,
            None if stamps is None else stamps.ctypes.data,
        )
        reached = dict(zip(end_partitions.tolist(), end_offsets.tolist(), strict=True))
        return Batch(kafka_partitions, offsets, keys.array(), values.array(), reached, stamps)


class _Column:
    """Memory for the keys, or for the values, of records."""

    def __init__(self, records: int, size: int) -> None:
        self._ends = np.empty(records + 1, np.int64)
        self._data = np.empty(size, np.uint8)
        self._valid: npt.NDArray[np.uint8] = np.zeros((records + 7) // 8, np.uint8)
        self.laid_out = np.zeros(1, _COLUMN)
        parts = (self._ends, self._data, self._valid)
        self.laid_out[["offsets", "data", "valid"]] = tuple(part.ctypes.data for part in parts)

    def array(self) -> pa.Array:
        nulls = int(self.laid_out["nulls"][0])
        buffers = [
            pa.py_buffer(self._valid) if nulls else None,
            pa.py_buffer(self._ends),
            pa.py_buffer(self._data),
        ]
        return pa.Array.from_buffers(pa.large_binary(), len(self._ends) - 1, buffers, null_count=nulls)
