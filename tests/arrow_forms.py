"""The same values in every layout that Arrow has for them:
the result of a kernel must not depend on the layout."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

# How many rows are before the values: none, a few, and more than a byte has bits.
_BEFORE = (1, 3, 8, 11)


def decimals(unscaled: Sequence[int | None], kind: pa.DataType) -> pa.Array:
    """Decimals from their unscaled numbers, of every scale,
    also if Arrow cannot make them from Python's Decimal."""
    width = kind.byte_width
    data = b"".join((number or 0).to_bytes(width, "little", signed=True) for number in unscaled)
    return pa.Array.from_buffers(
        kind, len(unscaled), [_bits([number is not None for number in unscaled]), pa.py_buffer(data)]
    )


def made(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A plain array, built from the values alone."""
    if pa.types.is_decimal(kind):
        return decimals([None if value is None else _unscaled(value, kind.scale) for value in values], kind)
    return pa.array(values, kind)


def forms(values: Sequence[Any], kind: pa.DataType, filler: Any) -> Iterator[tuple[str, pa.Array]]:
    """`values` as arrays of `kind` in every layout. `filler`: another value of `kind`, for the rows around
    the values and for the slots of nulls."""
    length = len(values)
    yield "plain", made(values, kind)
    for before in _BEFORE:
        around = made([*[filler] * before, *values, filler, filler], kind)
        yield f"slice from {before}", around.slice(before, length)
        nulls = made([*[None] * before, *values, None], kind)
        yield f"slice behind {before} nulls", nulls.slice(before, length)
        twice = around.slice(before - 1)
        yield f"slice of a slice from {before}", twice.slice(1, length)
    yield (
        "chunks put together",
        pa.concat_arrays([made(part, kind) for part in (values[: length // 2], values[length // 2 :])]),
    )
    if length:
        part = made([filler, *values], kind).slice(1)
        yield "slice through the C interface", pa.Array._import_from_c_capsule(*part.__arrow_c_array__())
    flat = not pa.types.is_nested(kind)
    if flat:
        yield "values beneath nulls", _beneath(values, kind, filler)
        yield "a slice of them", _beneath([filler, None, *values], kind, filler).slice(2)
        yield "null count not known", _uncounted(made([filler, *values], kind)).slice(1)
    if flat and _is_variable(kind):
        yield "first offset not 0", _shifted(values, kind, filler)
        yield "a slice of it", _shifted([filler, *values], kind, filler).slice(1)
    if length == 0:
        yield "empty behind rows", made([filler] * 3, kind).slice(3)


def encodings(values: Sequence[Any], kind: pa.DataType, filler: Any) -> Iterator[tuple[str, pa.Array]]:
    """`values` in every layout and in every encoding: dictionaries, runs, views."""
    yield from forms(values, kind, filler)
    yield from _dictionaries(values, kind, filler)
    yield from _runs(values, kind, filler)
    views = {pa.string(): pa.string_view(), pa.binary(): pa.binary_view()}
    if kind in views:
        for name, array in forms(values, views[kind], filler):
            yield f"view, {name}", array
        wide = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}[kind]
        for name, array in forms(values, wide, filler):
            yield f"large, {name}", array


def _dictionaries(values: Sequence[Any], kind: pa.DataType, filler: Any) -> Iterator[tuple[str, pa.Array]]:
    own = {repr(value): value for value in [filler, *values]}
    entries = made([filler, *own.values(), None], kind).slice(1)  # the dictionary is a slice too
    listed = {text: place for place, text in enumerate(own)}
    for index in (pa.int8(), pa.uint32(), pa.int64()):
        # A null is a missing index, or, if it is among the values, a null in the dictionary.
        for named, name in ((True, "null index"), (False, "null in the dictionary")):
            indices = [
                None if value is None and named else listed[repr(value)]
                for value in [filler, *values, filler]
            ]
            encoded = pa.DictionaryArray.from_arrays(pa.array(indices, index), entries)
            yield f"dictionary of {index}, {name}, sliced", encoded.slice(1, len(values))


def _runs(values: Sequence[Any], kind: pa.DataType, filler: Any) -> Iterator[tuple[str, pa.Array]]:
    for ends_kind in (pa.int16(), pa.int32(), pa.int64()):
        rows = [filler, *values]
        ends = [place + 1 for place in range(len(rows)) if place + 1 == len(rows) or not _same(rows, place)]
        runs = made([rows[end - 1] for end in ends], kind)
        encoded = pa.RunEndEncodedArray.from_arrays(pa.array(ends, ends_kind), runs)
        yield f"runs of {ends_kind}, sliced", encoded.slice(1)
        # The runs are a slice too.
        behind = made([filler, *(rows[end - 1] for end in ends)], kind).slice(1)
        yield (
            f"runs of {ends_kind} of a slice",
            pa.RunEndEncodedArray.from_arrays(pa.array(ends, ends_kind), behind).slice(1),
        )


def _same(rows: Sequence[Any], place: int) -> bool:
    one, other = rows[place], rows[place + 1]
    return (one is None) == (other is None) and bool(one == other) and repr(one) == repr(other)


def lists(items: pa.Array, counts: Sequence[int | None]) -> Iterator[tuple[str, pa.Array]]:
    """Lists of every kind over `items`, cut by `counts` (None: a null list)."""
    # Arrow cannot concatenate runs, nor dictionaries if one holds a null.
    joined = not isinstance(items, (pa.RunEndEncodedArray, pa.DictionaryArray))
    for kind in (pa.ListArray, pa.LargeListArray, pa.ListViewArray, pa.LargeListViewArray):
        built = _listed(kind, items, counts)
        yield kind.__name__, built
        yield f"{kind.__name__} sliced", _listed(kind, items, [None, 0, *counts]).slice(2)
        if joined:
            thrice = pa.concat_arrays([built, built, built])
            yield f"{kind.__name__} of a middle slice", thrice.slice(len(built), len(built))
    for kind in (pa.ListViewArray, pa.LargeListViewArray):
        # The lists are not in the order of their items.
        order = list(range(len(counts)))[::-1]
        yield (
            f"{kind.__name__} out of order",
            _listed(kind, items, counts, order).take(pa.array(order, pa.int64())),
        )


def _listed(
    kind: Any, items: pa.Array, counts: Sequence[int | None], order: Sequence[int] | None = None
) -> pa.Array:
    sizes = [count or 0 for count in counts]
    ends = [0, *np.cumsum(sizes).tolist()]
    missing = pa.array([count is None for count in counts], pa.bool_())
    offsets = pa.int64() if "Large" in kind.__name__ else pa.int32()
    if "View" not in kind.__name__:
        return kind.from_arrays(pa.array(ends, offsets), items, mask=missing)
    order = order if order is not None else range(len(counts))
    starts, own = [ends[place] for place in order], [sizes[place] for place in order]
    return kind.from_arrays(
        pa.array(starts, offsets),
        pa.array(own, offsets),
        items,
        mask=missing.take(pa.array(order, pa.int64())),
    )


def _unscaled(value: Decimal | int, scale: int) -> int:
    sign, digits, exponent = Decimal(value).as_tuple()
    assert isinstance(exponent, int)
    number = int("".join(map(str, digits)))
    shift = exponent + scale
    scaled = number * 10**shift if shift >= 0 else number // 10**-shift
    return -scaled if sign else scaled


def _is_variable(kind: pa.DataType) -> bool:
    checks = ("is_string", "is_binary", "is_large_string", "is_large_binary")
    return any(getattr(pa.types, check)(kind) for check in checks)


def _bits(valid: Sequence[bool]) -> pa.Buffer | None:
    if all(valid):
        return None
    return pa.py_buffer(np.packbits(np.array(valid, bool), bitorder="little").tobytes())


def _beneath(values: Sequence[Any], kind: pa.DataType, filler: Any) -> pa.Array:
    """The array, with a value in the slot of each null, where nothing should read it."""
    full = made([filler if value is None else value for value in values], kind)
    return pa.Array.from_buffers(
        kind, len(values), [_bits([value is not None for value in values]), *full.buffers()[1:]]
    )


def _uncounted(array: pa.Array) -> pa.Array:
    return pa.Array.from_buffers(array.type, len(array), array.buffers(), null_count=-1, offset=array.offset)


def _shifted(values: Sequence[Any], kind: pa.DataType, filler: Any) -> pa.Array:
    """An array with offset 0 whose first text begins in the middle of the data,
    as a cast of a slice returns it."""
    full = made([filler, filler, *values, filler], kind)
    _, offsets, data = full.buffers()
    width = 8 if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind) else 4
    return pa.Array.from_buffers(
        kind,
        len(values),
        [_bits([value is not None for value in values]), offsets.slice(2 * width), data],
    )
