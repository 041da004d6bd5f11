"""Columns as librdkafka's structures:
each address points to the bytes of its row, however the columns are cut."""

import ctypes
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.kafka.batches.murmur2 import kafka_partitions
from resources.kafka.batches.rows import Rows
from resources.kafka.native.library import VTYPE_HEADER, VTYPE_KEY, VTYPE_TIMESTAMP, VTYPE_VALUE
from resources.kafka.native.records import grouped, messages, properties

texts = st.one_of(st.none(), st.just(b""), st.binary(max_size=40))
headers = st.lists(st.tuples(st.text("abc-é", max_size=5), st.binary(max_size=9)), max_size=3)


def at(address: Any, length: Any) -> bytes | None:
    return ctypes.string_at(int(address), int(length)) if address else None


@st.composite
def some_rows(draw: st.DrawFn, *, more: bool = False) -> Rows:
    """Rows that are a slice of longer columns."""
    pairs = draw(st.lists(st.tuples(texts, texts), max_size=12))
    whole = Rows(
        pa.array([key for key, _ in pairs], pa.binary()), pa.array([v for _, v in pairs], pa.large_binary())
    )
    if more:
        stamps = np.array(draw(st.lists(st.integers(0, 2**62), min_size=len(pairs), max_size=len(pairs))))
        listed = draw(st.lists(headers, min_size=len(pairs), max_size=len(pairs)))
        whole = Rows(whole.keys, whole.values, listed, stamps.astype(np.int64))
    first = draw(st.integers(0, len(pairs)))
    return whole.slice(first, draw(st.integers(0, len(pairs))))


@given(rows=some_rows())
def test_messages_lead_to_the_bytes_of_their_rows(rows: Rows) -> None:
    filled = messages(rows)
    assert [at(row["key"], row["key_len"]) for row in filled] == rows.keys.to_pylist()
    assert [at(row["payload"], row["len"]) for row in filled] == rows.values.to_pylist()
    for rest in ("err", "rkt", "partition", "offset", "opaque"):
        assert not filled[rest].any()


@given(some_rows(more=True))
def test_property_lists_lead_to_the_bytes_of_their_rows(rows: Rows) -> None:
    prepared = properties(rows, topic=77)
    listed = prepared.lists
    assert (listed["first"][:, 0] == 77).all()
    for column, kind, expected in ((2, VTYPE_KEY, rows.keys), (3, VTYPE_VALUE, rows.values)):
        assert (listed["vtype"][:, column] == kind).all()
        found = [at(row["first"], row["second"]) for row in listed[:, column]]
        assert found == expected.to_pylist()
    assert rows.headers is not None and rows.timestamps_ms is not None
    assert (listed["vtype"][:, 4] == VTYPE_TIMESTAMP).all()
    assert listed["first"][:, 4].tolist() == rows.timestamps_ms.tolist()
    for row, count, pairs in zip(listed, prepared.counts, rows.headers, strict=True):
        told = row[5:count]
        assert (told["vtype"] == VTYPE_HEADER).all()
        names = [ctypes.string_at(int(header["first"])).decode() for header in told]
        values = [at(header["second"], header["third"]) for header in told]
        assert list(zip(names, values, strict=True)) == list(pairs)


def test_values_beyond_two_gigabytes_are_found() -> None:
    """Offsets of large_binary have 64 bits;
    the buffer here claims to begin long before the part that is read."""
    held = pa.py_buffer(b"onetwo")
    far = 5 * 2**31
    data = pa.foreign_buffer(held.address - far, far + 6, held)
    offsets = pa.py_buffer(np.array([far, far + 3, far + 6], np.int64).tobytes())
    values = pa.Array.from_buffers(pa.large_binary(), 2, [None, offsets, data])
    filled = messages(Rows(pa.array([b"a", b"b"], pa.binary()), values))
    assert [at(row["payload"], row["len"]) for row in filled] == [b"one", b"two"]


@pytest.mark.parametrize("count", [2, 7, 300])
def test_grouping_keeps_the_order_within_a_kafka_partition(count: int) -> None:
    keys = pa.array([b"k%d" % (n * 31 % 500) for n in range(3000)], pa.binary())
    values = pa.array([b"%d" % n for n in range(3000)], pa.large_binary())
    rows = Rows(keys, values).slice(5, 2900)
    order = grouped(rows, count)
    assert order is not None and sorted(order.tolist()) == list(range(2900))
    places = kafka_partitions(rows.keys, count)[order]
    assert (np.diff(places) >= 0).all()
    assert all((np.diff(order[places == place]) > 0).all() for place in np.unique(places))
    filled = messages(rows, order)
    assert [at(row["payload"], row["len"]) for row in filled] == rows.values.take(pa.array(order)).to_pylist()
    assert [at(row["key"], row["key_len"]) for row in filled] == rows.keys.take(pa.array(order)).to_pylist()


def test_rows_are_left_as_they_are_where_grouping_does_not_pay_or_is_not_known() -> None:
    many = Rows(pa.array([b"k"] * 2000, pa.binary()), pa.array([b"v"] * 2000, pa.large_binary()))
    without = Rows(pa.array([None] * 2000, pa.binary()), many.values)
    assert grouped(many, 3) is not None
    assert [grouped(many.slice(0, 10), 3), grouped(many, 0), grouped(many, 1), grouped(without, 3)] == [
        None
    ] * 4
