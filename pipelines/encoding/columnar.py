"""Whole columns at once: every type a contract can hold, byte for byte what the row by row way gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.encoding.assembly import Bytes, binary_of, byte_view
from pipelines.encoding.columns import Column
from pipelines.encoding.integers import add_shortest, add_sized, add_varint
from pipelines.encoding.level import Level
from pipelines.encoding.refusals import not_36_characters, not_hexadecimal, too_many_digits
from pipelines.encoding.symbols import symbol_places

STRATEGY = "columnar"

# Longer fixed values are copied as texts, not as byte columns.
_LARGEST_BLOCK = 32
_HEX = np.full(256, 255, np.uint8)
_HEX[list(b"0123456789abcdef")] = np.arange(16)
_HEX[list(b"ABCDEF")] = np.arange(10, 16)
_UUID_DIGITS = [place for place in range(36) if place not in (8, 13, 18, 23)]


class ColumnarWriter:
    """Writes a group of fields as one Avro record body without its frame."""

    strategy = STRATEGY

    def bodies(self, columns: Sequence[Column], length: int, prefix: bytes = b"") -> pa.LargeBinaryArray:
        """`length` bodies, each after `prefix`."""
        if length == 0:
            return binary_of(np.zeros(1, np.int64), np.empty(0, np.uint8))
        level = Level(length, prefix)
        for column in columns:
            _add(level, column)
        return level.finish()


def _add(level: Level, column: Column) -> None:
    node, present, valid = column.node, column.present, column.valid
    if node.avro.nullable:
        if valid is present:
            level.constant(node.branch, present)
        else:
            assert valid is not None
            level.byte(np.where(valid, np.uint8(node.branch[0]), np.uint8(node.null_branch[0])), present)
    match node.kind:
        case "record":
            for child in column.children:
                _add(level, child)
        case "array" | "map":
            _add_items(level, column)
        case "string" | "bytes" if node.avro.logical != "decimal":
            _add_text(level, column)
        case "fixed" | "bytes":
            _add_bytes(level, column)
        case "enum":
            add_varint(level, symbol_places(column), valid)
        case "int" | "long":
            add_varint(level, _numbers(column, np.int64 if _bits(column) == 64 else np.int32), valid)
        case "float" | "double":
            kind = np.dtype("<f8" if node.kind == "double" else "<f4")
            level.block(_numbers(column, kind).view(np.uint8).reshape(column.length, kind.itemsize), valid)
        case "boolean":
            array = column.leaf
            flags = (array.fill_null(False) if array.null_count else array).to_numpy(zero_copy_only=False)
            level.byte(flags.view(np.uint8), valid)


def _add_items(level: Level, column: Column) -> None:
    """Avro 1.12, "Arrays", "Maps": one block (count, items) unless empty, then a zero count."""
    counts = column.counts
    assert counts is not None
    items = ColumnarWriter().bodies(column.children, column.children[0].length)
    some = counts > 0
    if some.any():
        add_varint(level, counts, None if some.all() else some)
        # The items of one place stand side by side already: wider steps over the same bytes.
        steps = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=steps[1:])
        offsets, data = byte_view(items)
        level.text(binary_of(offsets[steps], data))
    level.constant(b"\x00", column.valid)


def _add_text(level: Level, column: Column) -> None:
    valid = column.valid
    offsets, data = byte_view(column.leaf)
    lengths = np.diff(offsets)
    if valid is not None and lengths[~valid].any():
        offsets, data = byte_view(_shown(column))
        lengths = np.diff(offsets)
    add_varint(level, lengths, valid)
    level.text(binary_of(offsets, data))


def _shown(column: Column) -> pa.LargeBinaryArray:
    """The byte strings, empty where none is written (what hides under a null is not)."""
    array = column.leaf.cast(pa.binary()).cast(pa.large_binary())
    if column.valid is None:
        return array
    return pc.if_else(pa.array(column.valid), array, pa.scalar(b"", pa.large_binary()))


def _add_bytes(level: Level, column: Column) -> None:
    """Fixed, with or without a logical type, and decimals on bytes."""
    avro, valid = column.node.avro, column.valid
    if avro.logical == "decimal":
        words = _words(column)
        if avro.kind == "bytes":
            add_shortest(level, words, valid)
        else:
            add_sized(level, words, avro.size, valid)
    elif avro.logical == "uuid":
        level.block(_uuids(column), valid)
    else:
        if avro.size > _LARGEST_BLOCK:
            level.text(_shown(column))
        else:
            level.block(_matrix(column, avro.size), valid)


def _words(column: Column) -> Bytes:
    """Unscaled values as little-endian two's complement, in as many bytes as the precision can need (which a
    contract's fixed always has)."""
    width = int(column.leaf.type.byte_width)
    precision = column.node.avro.precision
    needed = (10**precision - 1).bit_length() // 8 + 1
    words = _matrix(column, width)
    sign = np.where(words[:, needed - 1] & 0x80, np.uint8(0xFF), np.uint8(0))
    for place in range(needed, width):
        beyond = words[:, place] != sign
        if beyond.any() and (column.valid is None or (beyond & column.valid).any()):
            raise too_many_digits(column.node)
    return words[:, :needed]


def _matrix(column: Column, width: int) -> Bytes:
    array = column.leaf
    data = array.buffers()[1]
    if data is None:
        return np.zeros((column.length, width), np.uint8)
    start = array.offset * width
    return np.frombuffer(data, np.uint8)[start : start + column.length * width].reshape(-1, width)


def _uuids(column: Column) -> Bytes:
    array = column.leaf
    if column.valid is not None:
        array = pc.if_else(pa.array(column.valid), array, "0" * 36)
    offsets, data = byte_view(array)
    if (np.diff(offsets) != 36).any():
        raise not_36_characters(column.node)
    digits = _HEX[data[offsets[0] : offsets[-1]].reshape(-1, 36)[:, _UUID_DIGITS]]
    if (digits > 15).any():
        raise not_hexadecimal(column.node)
    uuids: Bytes = digits[:, 0::2] << np.uint8(4) | digits[:, 1::2]
    return uuids


def _numbers(column: Column, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """The underlying numbers, as they stand in the buffer (also under nulls)."""
    array = column.leaf
    data = array.buffers()[1]
    if data is None:
        return np.zeros(column.length, kind)
    return np.frombuffer(data, kind)[array.offset : array.offset + column.length]


def _bits(column: Column) -> int:
    return int(column.leaf.type.bit_width)
