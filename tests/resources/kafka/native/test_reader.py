"""Messages into columns with the compiled library:
the same as Python would make from them, and each is freed once."""

import ctypes
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    KafkaError,
    KafkaException,
)
from hypothesis import given
from hypothesis import strategies as st

from resources import c_library
from resources.kafka import factory as clients
from resources.kafka.batches.batch_reader import BROKERS_TIME
from resources.kafka.errors import KafkaRefused, explain
from resources.kafka.factory import batch_reader
from resources.kafka.native.library import MESSAGE
from resources.kafka.native.reader import Messages, NativeReader, _free
from resources.settings import load_settings

CONSUME = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_uint64), ctypes.c_size_t
)
DESTROY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
TIMESTAMP = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))
END = KafkaError._PARTITION_EOF


@dataclass(frozen=True)
class One:
    """A message, in a consumer's queue."""

    key: bytes | None = b"k"
    value: bytes | None = b"v"
    kafka_partition: int = 0
    offset: int = 0
    code: int = 0
    stamp_ms: int = 0
    stamp_kind: int = 1  # set by the producer


class Queue:
    """The part of librdkafka that a reader of a queue uses."""

    def __init__(self, messages: list[One], *, broken: bool = False) -> None:
        self.laid_out = np.zeros(len(messages), MESSAGE)
        self.freed: list[int] = []
        self._kept = [ctypes.create_string_buffer(part or b"") for m in messages for part in (m.key, m.value)]
        for n, one in enumerate(messages):
            row = self.laid_out[n]
            row["err"], row["partition"], row["offset"] = one.code, one.kafka_partition, one.offset
            for name, size, part, kept in (
                ("key", "key_len", one.key, self._kept[2 * n]),
                ("payload", "len", one.value, self._kept[2 * n + 1]),
            ):
                if part is not None:
                    row[name], row[size] = ctypes.addressof(kept), len(part)
        self._next = 0
        self._broken = broken
        self.waited: list[tuple[int, int]] = []
        self.consume_batch_queue = CONSUME(self._consume)
        self.message_destroy = DESTROY(self.freed.append)
        self.message_timestamp = TIMESTAMP(self._timestamp)
        self._messages = messages
        self.last_error = lambda: KafkaError._INVALID_ARG

    def _consume(self, _: int, wait_ms: int, messages: Any, most: int) -> int:
        self.waited.append((wait_ms, most))
        if self._broken:
            return -1
        count = min(most, len(self.laid_out) - self._next)
        for n in range(count):
            messages[n] = self.address(self._next + n)
        self._next += count
        return count

    def _timestamp(self, address: int, kind: Any) -> int:
        one = self._messages[(address - self.laid_out.ctypes.data) // MESSAGE.itemsize]
        kind[0] = one.stamp_kind
        return one.stamp_ms

    def address(self, n: int) -> int:
        return int(self.laid_out.ctypes.data + n * MESSAGE.itemsize)

    def message_errstr(self, address: int) -> bytes | None:
        row = self.laid_out[(address - self.laid_out.ctypes.data) // MESSAGE.itemsize]
        return ctypes.string_at(int(row["payload"]), int(row["len"])) if row["payload"] else None

    def kafka_error(self, code: int) -> KafkaError:
        return KafkaError(code)


@pytest.fixture(scope="module")
def loops() -> ctypes.CDLL:
    found = c_library.library()
    if found is None:
        pytest.skip("the compiled library is not there")
    return found


PART = st.one_of(st.none(), st.binary(max_size=40), st.just(b""))
ONE = st.builds(
    One,
    PART,
    PART,
    st.integers(0, 5),
    st.integers(0, 2**62),
    st.sampled_from([0, 0, 0, 0, 0, END]),
    st.integers(-(2**62), 2**62),
    st.sampled_from([TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, TIMESTAMP_NOT_AVAILABLE]),
)


@given(st.lists(ONE, max_size=60), st.integers(1, 70), st.booleans())
def test_columns_are_what_the_messages_say(
    loops: ctypes.CDLL, messages: list[One], most: int, stamps: bool
) -> None:
    queue: Any = Queue(messages)
    taken = Messages(queue, loops, stamps=stamps)
    for at in range(0, len(messages) + 1, most):
        part = messages[at : at + most]
        batch = taken.take(1, most, 0.2)
        records = [one for one in part if one.code == 0]
        batch.keys.validate(full=True)
        batch.values.validate(full=True)
        assert batch.keys.to_pylist() == [one.key for one in records]
        assert batch.values.to_pylist() == [one.value for one in records]
        assert batch.keys.null_count == sum(one.key is None for one in records)
        assert batch.offsets.tolist() == [one.offset for one in records]
        assert batch.kafka_partitions.tolist() == [one.kafka_partition for one in records]
        told = [one.stamp_ms if one.stamp_kind == TIMESTAMP_CREATE_TIME else BROKERS_TIME for one in records]
        assert (batch.stamps_ms.tolist() if stamps else batch.stamps_ms) == (told if stamps else None)
        assert batch.ends == {one.kafka_partition: one.offset for one in part if one.code}
        assert len(queue.freed) == min(at + most, len(messages))
    assert queue.freed == [queue.address(n) for n in range(len(messages))]


def test_it_waits_for_the_first_message_only(loops: ctypes.CDLL) -> None:
    queue: Any = Queue([One()] * 3)
    assert len(Messages(queue, loops).take(1, 10, 0.2)) == 3
    assert queue.waited == [(200, 1), (0, 9)]
    assert len(Messages(queue, loops).take(1, 10, 0.1)) == 0
    assert queue.waited[2:] == [(100, 1)]


@pytest.mark.parametrize("text", [b"not authorized", None])
@pytest.mark.parametrize("place", [0, 1, 4])
def test_an_error_among_the_messages_is_raised_and_all_are_freed(
    loops: ctypes.CDLL, place: int, text: bytes | None
) -> None:
    messages = [One()] * 2 + [One(code=END)] * 2
    messages.insert(place, One(None, text, code=KafkaError.TOPIC_AUTHORIZATION_FAILED))
    messages.append(One(None, None, code=KafkaError._ALL_BROKERS_DOWN))
    queue: Any = Queue(messages)
    with pytest.raises(KafkaException) as raised:
        Messages(queue, loops).take(1, 10, 0.2)
    assert sorted(queue.freed) == [queue.address(n) for n in range(6)]
    told = explain("topic t", raised.value)
    assert isinstance(told, KafkaRefused) and "the login lacks a right" in str(told)
    assert text is None or text.decode() in str(told)


def test_what_fails_while_columns_are_made_leaves_nothing_behind(
    loops: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is not freed would prevent the end of closing."""
    queue: Any = Queue([One()] * 5)
    messages = Messages(queue, loops)
    with monkeypatch.context() as short:
        short.setattr("resources.kafka.native.reader._Column", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            messages.take(1, 3, 0)
    assert sorted(queue.freed) == [queue.address(n) for n in range(3)]
    assert len(messages.take(1, 3, 0)) == 2


def test_an_error_of_the_queue_itself_is_raised(loops: ctypes.CDLL) -> None:
    queue: Any = Queue([], broken=True)
    with pytest.raises(KafkaException, match="_INVALID_ARG"):
        Messages(queue, loops).take(1, 3, 0)


def test_a_child_frees_nothing_of_its_parent_s() -> None:
    freed: list[str] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            return lambda *_: freed.append(name)

    library: Any = Noting()
    _free(library, 1, (2, 3), os.getpid() + 1)
    assert freed == []
    _free(library, 1, (2, 3), os.getpid())
    assert freed == ["consumer_close", "queue_destroy", "queue_destroy", "destroy"]


@pytest.mark.usefixtures("loops")
def test_reading_goes_the_way_of_producing_where_the_compiled_library_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_PRODUCING": "native"})
    found = replace(found, kafka={"bootstrap.servers": "127.0.0.1:9"})

    def way() -> str:
        reader = batch_reader(found, **{"fetch.wait.max.ms": 1})  # type: ignore[arg-type]
        reader.close()
        return reader.way

    assert way() == "native"
    found = replace(found, producing="public")
    assert way() == "public"
    found = replace(found, producing="auto")
    assert way() == "native"
    monkeypatch.setattr(clients.c_library, "library", lambda: None)  # type: ignore[attr-defined]
    assert way() == "public"


def test_a_closed_reader_is_not_closed_again(loops: ctypes.CDLL) -> None:
    reader = NativeReader(
        clients.native_library(),  # type: ignore[attr-defined]
        loops,
        {"group.id": "g", "bootstrap.servers": "127.0.0.1:9"},
        clients.log,
    )
    assert len(reader.next(10, 0.0)) == 0
    reader.close()
    reader.close()
