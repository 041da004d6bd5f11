"""Columns of records in the structures that librdkafka reads: addresses of Arrow's
buffers; nothing is copied here.

The results hold addresses only: the columns must live longer than every call that gets the results.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from resources.kafka.batches.murmur2 import kafka_partitions
from resources.kafka.batches.rows import Rows
from resources.kafka.native.library import (
    MESSAGE,
    MSG_F_COPY,
    PROPERTY,
    VTYPE_HEADER,
    VTYPE_KEY,
    VTYPE_MSGFLAGS,
    VTYPE_RKT,
    VTYPE_TIMESTAMP,
    VTYPE_VALUE,
)

# The address of an empty value or key: librdkafka reads a null address as no value or key at all.
_SOMEWHERE = np.zeros(8, np.uint8)

_WORTH_GROUPING = 1024

_Places = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]


def messages(rows: Rows, order: npt.NDArray[np.intp] | None = None) -> npt.NDArray[Any]:
    """One rd_kafka_message_t for each row, in `order` if it is given; headers and
    timestamps are not included."""
    filled = np.zeros(len(rows), MESSAGE)
    columns = (*_places(rows.keys, np.int32), *_places(rows.values, np.int64))
    for name, column in zip(("key", "key_len", "payload", "len"), columns, strict=True):
        filled[name] = column if order is None else column[order]
    return filled


def grouped(rows: Rows, kafka_partitions_: int) -> npt.NDArray[np.intp] | None:
    """An order of the rows that puts the rows of one kafka_partition together, in their
    own order. None: as they are."""
    if len(rows) < _WORTH_GROUPING or rows.keys.null_count or not 1 < kafka_partitions_ < 2**16:
        return None
    # 16 bits, because numpy sorts these by radix sort, in linear time.
    return np.argsort(kafka_partitions(rows.keys, kafka_partitions_).astype(np.uint16), kind="stable")


@dataclass(frozen=True)
class PropertyLists:
    """For each row a list of rd_kafka_vu_t, for records that have headers or timestamps of their own."""

    lists: npt.NDArray[Any]
    counts: npt.NDArray[np.int64]
    # Memory that the lists point to, in addition to the columns.
    kept: tuple[object, ...]

    @property
    def addresses(self) -> npt.NDArray[np.int64]:
        """The address of each row's list."""
        return self.lists.ctypes.data + np.arange(len(self.lists), dtype=np.int64) * self.lists.strides[0]


def properties(rows: Rows, topic: int) -> PropertyLists:
    """The properties of each row: topic (a handle), flags, key, value, timestamp, headers."""
    headers = [()] * len(rows) if rows.headers is None else [list(pairs) for pairs in rows.headers]
    widths = np.fromiter(map(len, headers), np.int64, len(headers))
    lists = np.zeros((len(rows), 5 + int(widths.max(initial=0))), PROPERTY)
    lists["vtype"][:, :5] = VTYPE_RKT, VTYPE_MSGFLAGS, VTYPE_KEY, VTYPE_VALUE, VTYPE_TIMESTAMP
    lists["vtype"][:, 5:] = VTYPE_HEADER
    lists["first"][:, 0] = topic
    lists["first"][:, 1] = MSG_F_COPY
    lists["first"][:, 2], lists["second"][:, 2] = _places(rows.keys, np.int32)
    lists["first"][:, 3], lists["second"][:, 3] = _places(rows.values, np.int64)
    if rows.timestamps_ms is not None:
        lists["first"][:, 4] = rows.timestamps_ms.view(np.uint64)
    names, values = _headers([pair for pairs in headers for pair in pairs])
    is_header = np.arange(lists.shape[1] - 5) < widths[:, None]
    lists["first"][:, 5:][is_header] = names[0]
    lists["second"][:, 5:][is_header], lists["third"][:, 5:][is_header] = values[0]
    return PropertyLists(lists, 5 + widths, (names, values))


def _headers(
    pairs: list[tuple[str, bytes]],
) -> tuple[tuple[npt.NDArray[np.uint64], object], tuple[_Places, object]]:
    """The addresses of the names, each of which ends with a zero byte, and the places of the values; each of
    the two with the object that holds its memory."""
    distinct = sorted({name for name, _ in pairs})
    texts = [name.encode() + b"\0" for name in distinct]
    blob = np.frombuffer(b"".join(texts) or b"\0", np.uint8)
    starts = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    start_of = dict(zip(distinct, starts.tolist(), strict=False))
    found = np.fromiter((start_of[name] for name, _ in pairs), np.int64, len(pairs))
    values = pa.array([value for _, value in pairs], pa.large_binary())
    names = (found + blob.ctypes.data).astype(np.uint64)
    return (names, blob), (_places(values, np.int64), values)


def _places(column: pa.Array, offset_type: type[np.signedinteger[Any]]) -> _Places:
    """The address and the length of each value; a null has the address 0."""
    validity, offsets, data = column.buffers()
    if len(column) == 0 or offsets is None:
        return np.zeros(len(column), np.uint64), np.zeros(len(column), np.uint64)
    ends = np.frombuffer(offsets, offset_type)[column.offset : column.offset + len(column) + 1]
    ends = ends.astype(np.int64, copy=False)
    base = data.address if data is not None and data.address else _SOMEWHERE.ctypes.data
    addresses = (ends[:-1] + base).astype(np.uint64)
    lengths = np.diff(ends).astype(np.uint64)
    if validity is not None and column.null_count:
        null = pc.is_null(column).to_numpy(zero_copy_only=False)
        addresses[null] = lengths[null] = 0
    return addresses, lengths
