"""Encodes whole columns at once with the compiled library: the same bytes as fastavro,
about a hundred times as fast."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.encoding.columns.assembly import Bytes, byte_view
from pipelines.encoding.columns.leaves import Column
from pipelines.encoding.columns.refusals import (
    decimal_bytes,
    not_36_characters,
    not_hexadecimal,
    not_utf8,
    too_many_digits,
)
from pipelines.encoding.columns.symbols import symbol_places
from resources.c_library import library

STRATEGY = "compiled"

_BRANCH, _TEXT, _BYTES, _INT32, _INT64, _BLOCK, _SHORTEST, _SIZED, _UUID, _ITEMS = range(10)

# struct field of resources/c_library/encoding.c.
_FIELD = np.dtype(
    [
        *((name, np.int32) for name in ("kind", "width", "size", "digits")),
        *((name, np.uint8) for name in ("nullable", "branch", "null_branch")),
        *((name, np.uint64) for name in ("present", "valid", "data", "offsets", "counts")),
    ],
    align=True,
)
_REFUSALS = {1: too_many_digits, 2: not_36_characters, 3: not_hexadecimal, 4: not_utf8}
_VARINT = 10
# Bytes that may be written after the last byte, because a whole word is faster than a part of it.
_BEYOND = 8


def usable() -> bool:
    """Whether the library is loaded, and its struct of a field has the same size as `_FIELD`."""
    found = library()
    return found is not None and int(found.sluice_field_bytes()) == _FIELD.itemsize


@dataclass
class _Field:
    """One field in the C program's list: its numbers, the most bytes that it writes, and the
    objects that own its memory."""

    column: Column
    kind: int
    most_bytes: int
    width: int = 0
    size: int = 0
    digits: int = 0
    data: npt.NDArray[np.generic] | None = None
    offsets: npt.NDArray[np.integer] | None = None
    counts: npt.NDArray[np.int64] | None = None


class CompiledWriter:
    """Writes a group of fields as an Avro record body, without a frame."""

    strategy = STRATEGY

    def bodies(self, columns: Sequence[Column], length: int, prefix: bytes = b"") -> pa.LargeBinaryArray:
        """`length` bodies, each with `prefix` before it."""
        fields = [field for column in columns for field in _fields(column)]
        listed = np.zeros(len(fields), _FIELD)
        for entry, field in zip(listed, fields, strict=True):
            _fill(entry, field)
        room = length * (len(prefix) + len(fields)) + sum(field.most_bytes for field in fields) + _BEYOND
        ends, refused = np.zeros(length + 1, np.int64), np.zeros(3, np.int64)
        out = pa.allocate_buffer(room, resizable=True)
        found = library()
        assert found is not None
        written = found.sluice_encode(
            listed.ctypes.data,
            len(fields),
            length,
            prefix,
            len(prefix),
            ends.ctypes.data,
            out.address,
            refused.ctypes.data,
        )
        if written < 0:
            place, _, reason = refused.tolist()
            raise _REFUSALS[reason](fields[place].column.node)
        out.resize(written, shrink_to_fit=False)
        return pa.Array.from_buffers(pa.large_binary(), length, [None, pa.py_buffer(ends), out])


def _fields(column: Column) -> Iterator[_Field]:
    node, length = column.node, column.length
    match node.kind:
        case "record":
            if node.avro.nullable:
                yield _Field(column, _BRANCH, 0)
            for child in column.children:
                yield from _fields(child)
        case "array" | "map":
            yield _items(column)
        case "string" | "bytes" if node.avro.logical != "decimal":
            yield _text(column, _TEXT if node.kind == "string" else _BYTES, length * _VARINT)
        case "fixed" | "bytes" if node.avro.logical == "decimal":
            yield _decimal(column)
        case "fixed" if node.avro.logical == "uuid":
            yield _text(column, _UUID, length * 16)
        case "fixed":
            yield _block(column, node.avro.size)
        case "enum":
            yield _Field(column, _INT32, length * _VARINT, data=symbol_places(column))
        case "int" | "long":
            width = int(column.leaf.type.bit_width) // 8
            yield _numbers(column, _INT64 if width == 8 else _INT32, width, length * _VARINT)
        case "float" | "double":
            yield _block(column, 8 if node.kind == "double" else 4)
        case "boolean":
            array = column.leaf
            flags = (array.fill_null(False) if array.null_count else array).to_numpy(zero_copy_only=False)
            yield _Field(column, _BLOCK, length, width=1, data=np.ascontiguousarray(flags.view(np.uint8)))


def _items(column: Column) -> _Field:
    """Avro 1.12, "Arrays", "Maps": the items of all rows are encoded first, then each row gets its own."""
    counts = column.counts
    assert counts is not None
    items = CompiledWriter().bodies(column.children, column.children[0].length)
    steps = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=steps[1:])
    ends, data = byte_view(items)
    most = column.length * (_VARINT + 1) + int(ends[-1] - ends[0])
    counts = np.ascontiguousarray(counts, np.int64)
    return _Field(column, _ITEMS, most, width=8, data=data, offsets=ends[steps], counts=counts)


def _text(column: Column, kind: int, most_besides: int) -> _Field:
    array = column.leaf
    _, offsets, data = array.buffers()
    wide = pa.types.is_large_binary(array.type) or pa.types.is_large_string(array.type)
    if offsets is None or offsets.size == 0:
        places: npt.NDArray[np.integer] = np.zeros(len(array) + 1, np.int32)
    else:
        # For two possible types, numpy's stubs give the type of any array.
        places = cast(
            "npt.NDArray[np.integer]", np.frombuffer(offsets, np.int64 if wide else np.int32)[array.offset :]
        )
    content = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    most = most_besides + int(places[len(array)]) - int(places[0])
    return _Field(column, kind, most, width=places.itemsize, data=content, offsets=places)


def _decimal(column: Column) -> _Field:
    avro, width = column.node.avro, int(column.leaf.type.byte_width)
    digits = decimal_bytes(column.node)
    kind = _SHORTEST if avro.kind == "bytes" else _SIZED
    most = column.length * max(1 + digits, avro.size or 0)
    found = _numbers(column, kind, width, most)
    found.digits, found.size = digits, avro.size or 0
    return found


def _block(column: Column, width: int) -> _Field:
    return _numbers(column, _BLOCK, width, column.length * width)


def _numbers(column: Column, kind: int, width: int, most: int) -> _Field:
    """Values of `width` bytes, as they are in the buffer (also under nulls)."""
    array = column.leaf
    data = array.buffers()[1]
    if data is None:
        values: Bytes = np.zeros(column.length * width, np.uint8)
    else:
        values = np.frombuffer(data, np.uint8)[array.offset * width :]
    return _Field(column, kind, most, width=width, data=values)


def _fill(entry: np.void, field: _Field) -> None:
    column, avro = field.column, field.column.node.avro
    entry["kind"], entry["width"], entry["size"], entry["digits"] = (
        field.kind,
        field.width,
        field.size,
        field.digits,
    )
    if avro.nullable:
        node = column.node
        entry["nullable"], entry["branch"], entry["null_branch"] = 1, node.branch[0], node.null_branch[0]
    entry["present"], entry["valid"] = _address(column.present), _address(column.valid)
    entry["data"], entry["offsets"], entry["counts"] = (
        _address(field.data),
        _address(field.offsets),
        _address(field.counts),
    )


def _address(values: npt.NDArray[np.generic] | None) -> int:
    return 0 if values is None else int(values.ctypes.data)
