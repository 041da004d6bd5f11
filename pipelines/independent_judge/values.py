"""Values of Arrow arrays, read from their buffers in plain Python: no Arrow kernel reads them.

`as_py` would be enough for most types. But it ends at the year 9999, wraps times of day, and shares code with
the kernels that are judged. Here, temporal values are integer counts, so every value can be read.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable
from decimal import Context, Decimal
from typing import TypeAlias, cast

import pyarrow as pa

PlainValue: TypeAlias = (
    "bool | int | float | str | bytes | Decimal | list[PlainValue] | list[tuple[PlainValue, PlainValue]]"
    " | dict[str, PlainValue] | None"
)
"""A value as `reader_of` reads it: temporal values are counts in the type's unit; a map is a list of pairs."""
Read = Callable[[int], PlainValue]
"""Returns the value of a row."""
# What `reader_of` returns for an array of whole numbers that is part of another array's layout: its values are
# ints. Only an index may be null.
_Offset = Callable[[int], int]
_Index = Callable[[int], int | None]

# Wide enough for every decimal256.
_WIDE = Context(prec=100)
_NUMBERS = {
    "int8": "<b", "int16": "<h", "int32": "<i", "int64": "<q",
    "uint8": "<B", "uint16": "<H", "uint32": "<I", "uint64": "<Q",
    "halffloat": "<e", "float": "<f", "double": "<d",
}  # fmt: skip


class UnreadableType(Exception):
    """A type that the judge does not read; its column is not judged."""


def decimal_of(unscaled: int, scale: int) -> Decimal:
    """`unscaled` x 10^-scale, exactly."""
    return _WIDE.scaleb(Decimal(unscaled), -scale)


def reader_of(array: pa.Array) -> Read:
    """A function from a row of `array` (sliced or not) to its value.

    Null is None. Values are bool, int, float, str, bytes; Decimal for decimals; an int for temporal values,
    counted in the type's unit; a list for lists, a dict for structs, a list of pairs for maps. Text that is
    not UTF-8 is returned as bytes. Raises UnreadableType.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _extension(array)
    if pa.types.is_dictionary(kind):
        # The values and the indices are separate arrays, each with its own offset.
        codes, values = cast(_Index, reader_of(array.indices)), reader_of(array.dictionary)
        return lambda row: None if (code := codes(row)) is None else values(code)
    if pa.types.is_run_end_encoded(kind):
        return _run_ends(array)
    if pa.types.is_null(kind):
        return lambda _: None
    valid = _validity(array)
    read = _present(array)
    if valid is None:
        return read
    return lambda row: read(row) if valid(row) else None


def _extension(array: pa.Array) -> Read:
    read = reader_of(array.storage)
    if array.type.extension_name == "arrow.bool8":
        return lambda row: None if (value := read(row)) is None else value != 0
    if array.type.extension_name in ("arrow.uuid", "arrow.json"):
        return read
    raise UnreadableType(str(array.type))


def _run_ends(array: pa.Array) -> Read:
    # The buffers are those of the whole array; the slice is only in the offset.
    ends, values, offset = array.run_ends, reader_of(array.values), array.offset
    end_at = cast(_Offset, reader_of(ends))
    listed = [end_at(run) for run in range(len(ends))]
    return lambda row: values(bisect_right(listed, row + offset))


def _validity(array: pa.Array) -> Callable[[int], bool] | None:
    bitmap = array.buffers()[0] if array.null_count else None
    if bitmap is None:
        return None
    bits, offset = memoryview(bitmap), array.offset
    return lambda row: bool(bits[row + offset >> 3] >> (row + offset & 7) & 1)


def _present(array: pa.Array) -> Read:
    """The reader of values that are not null."""
    kind, offset = array.type, array.offset
    types = pa.types
    if types.is_boolean(kind):
        bits = _data(array, 1)
        return lambda row: bool(bits[row + offset >> 3] >> (row + offset & 7) & 1)
    if types.is_decimal(kind):
        return _decimals(array)
    if types.is_string(kind) or types.is_large_string(kind):
        return _text(_bytes(array))
    if types.is_binary(kind) or types.is_large_binary(kind):
        return _bytes(array)
    if types.is_string_view(kind):
        return _text(_views(array))
    if types.is_binary_view(kind):
        return _views(array)
    if types.is_fixed_size_binary(kind):
        data, width = _data(array, 1), kind.byte_width
        return lambda row: bytes(data[(row + offset) * width : (row + offset + 1) * width])
    if types.is_struct(kind):
        # `field` returns the child with the struct's own slice applied.
        children = [(child.name, reader_of(array.field(n))) for n, child in enumerate(kind)]
        return lambda row: {name: read(row) for name, read in children}
    if types.is_nested(kind):
        return _items(array)
    name = str(kind)
    if types.is_temporal(kind) and not types.is_interval(kind):
        name = f"int{kind.bit_width}"
    if name not in _NUMBERS:
        raise UnreadableType(name)
    unpack, data = struct.Struct(_NUMBERS[name]), _data(array, 1)
    return lambda row: unpack.unpack_from(data, (row + offset) * unpack.size)[0]


def _data(array: pa.Array, place: int) -> memoryview:
    buffer = array.buffers()[place]
    return memoryview(b"" if buffer is None else buffer)


def _decimals(array: pa.Array) -> Read:
    kind, offset = array.type, array.offset
    data, width, scale = _data(array, 1), kind.byte_width, kind.scale

    def read(row: int) -> Decimal:
        start = (row + offset) * width
        return decimal_of(int.from_bytes(data[start : start + width], "little", signed=True), scale)

    return read


def _bytes(array: pa.Array) -> Callable[[int], bytes]:
    ends, data = _offsets(array), _data(array, 2)
    return lambda row: bytes(data[ends(row) : ends(row + 1)])


def _offsets(array: pa.Array) -> _Offset:
    kind, offset = array.type, array.offset
    wide = any(
        check(kind) for check in (pa.types.is_large_string, pa.types.is_large_binary, pa.types.is_large_list)
    )
    places = _data(array, 1)
    if not len(places):
        return lambda _: 0
    unpack = struct.Struct("<q" if wide else "<i")
    return lambda row: int(unpack.unpack_from(places, (row + offset) * unpack.size)[0])


def _text(read: Callable[[int], bytes]) -> Read:
    def text(row: int) -> str | bytes:
        raw = read(row)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw

    return text


def _views(array: pa.Array) -> Callable[[int], bytes]:
    # Arrow, "Variable-size Binary View Layout": length, then 12 bytes of data, or a prefix, a buffer and an offset.
    offset, buffers = array.offset, array.buffers()
    views, parts = memoryview(buffers[1]), [memoryview(part) for part in buffers[2:]]

    def read(row: int) -> bytes:
        start = (row + offset) * 16
        length, _, part, place = struct.unpack_from("<iiii", views, start)
        if length <= 12:
            return bytes(views[start + 4 : start + 4 + length])
        return bytes(parts[part][place : place + length])

    return read


def _items(array: pa.Array) -> Read:
    """A reader of lists of every layout, and of maps. `values` is the child as
    stored, without the list's slice."""
    kind, types = array.type, pa.types
    if types.is_map(kind):
        ends, keys, items = _offsets(array), reader_of(array.keys), reader_of(array.items)
        return lambda row: [(keys(n), items(n)) for n in range(ends(row), ends(row + 1))]
    values = reader_of(array.values)
    if types.is_list(kind) or types.is_large_list(kind):
        ends = _offsets(array)
        return lambda row: [values(n) for n in range(ends(row), ends(row + 1))]
    if types.is_fixed_size_list(kind):
        size, offset = kind.list_size, array.offset
        return lambda row: [values(n) for n in range((row + offset) * size, (row + offset + 1) * size)]
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        starts, sizes = cast(_Offset, reader_of(array.offsets)), cast(_Offset, reader_of(array.sizes))
        return lambda row: [values(n) for n in range(starts(row), starts(row) + sizes(row))]
    raise UnreadableType(str(kind))


def same(one: object, other: object) -> bool:
    """Whether two values are the same. Floats must have equal bits, or both be NaN; a dict may have any
    order; True is not equal to 1."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("<d", one) == struct.pack("<d", other) or (one != one and other != other)
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
