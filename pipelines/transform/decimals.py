"""Converts decimals and whole numbers to decimal or integer types: with Arrow if a proof
allows it, else digit by digit.

Arrow's checked cast multiplies the unscaled number in the width of the type, and reports an overflow only if
the product is smaller than the number. If an overflow gives a larger number, Arrow takes it as correct. So
Arrow does a cast only if the extremes of the column prove that no product leaves the width:

- a value that fits the target has at most as many digits as the target holds, and these fit the target's own
  bits;
- the power of ten is one that Arrow has in its table for the width (10^38 in 128 bits, 10^76 in 256 bits).

The unscaled numbers are read from the buffers: Arrow cannot format a decimal whose
scale is far from its precision.
"""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.transform.value_rules import INTEGER_RANGE

_DIGITS = {128: 38, 256: 76}


def cast_exactly(array: pa.Array, target: pa.DataType) -> pa.Array | None:
    """`array`, decimals or whole numbers of any width, as `target`, a decimal128, decimal256, int32 or int64.

    None if a value does not fit, or if Arrow's answer is not reliable: then the
    values must be checked one by one.
    """
    kind = array.type
    if kind == target and not (pa.types.is_decimal(kind) and kind.precision == _DIGITS[kind.bit_width]):
        # Every operation that produces a decimal type of fewer digits checks them. A type of the most digits
        # (38, 76) is not checked, so its bits may hold a larger number.
        return array
    extremes = _unscaled_extremes(array)
    if extremes is None:
        return pa.nulls(len(array), target)
    source_scale, (scale, low, high) = _scale(kind), _range(target)
    shift = scale - source_scale
    width = max(kind.bit_width, target.bit_width, 128)
    if abs(shift) > _DIGITS[width]:
        return None
    # If digits are cut, a bound is rounded towards zero. Arrow itself finds digits
    # that are lost, by the remainder.
    least, most = (
        bound * 10**shift if shift >= 0 else abs(bound) // 10**-shift * (1 if bound > 0 else -1)
        for bound in extremes
    )
    if least < low or most > high:
        return None
    try:
        return _widened(array).cast(target)
    except pa.ArrowInvalid:
        return None


def exact_values(array: pa.Array) -> list[int | Decimal | None]:
    """The values of an array of decimals or whole numbers as Python numbers, whatever their scale."""
    if pa.types.is_integer(array.type):
        whole: list[int | Decimal | None] = array.to_pylist()
        return whole
    scale = array.type.scale
    return [None if number is None else _decimal(number, scale) for number in _unscaled(array)]


def exact_decimal(scalar: pa.Scalar) -> Decimal | None:
    """The value of one Arrow decimal, whatever its scale."""
    (number,) = _unscaled(pa.array([scalar], scalar.type))
    return None if number is None else _decimal(number, scalar.type.scale)


def _decimal(unscaled: int, scale: int) -> Decimal:
    # From its digits: arithmetic would round to the context's precision.
    return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -scale))


def _scale(kind: pa.DataType) -> int:
    return int(kind.scale) if pa.types.is_decimal(kind) else 0


def _range(target: pa.DataType) -> tuple[int, int, int]:
    """The scale, and the smallest and the largest unscaled number."""
    if pa.types.is_decimal(target):
        largest = 10**target.precision - 1
        return int(target.scale), -largest, largest
    low, high = INTEGER_RANGE["int" if target.bit_width == 32 else "long"]
    return 0, low, high


def _unscaled_extremes(array: pa.Array) -> tuple[int, int] | None:
    """The smallest and the largest unscaled number; None if all values are null."""
    kind = array.type
    if pa.types.is_decimal(kind):
        plain = {
            32: pa.int32(),
            64: pa.int64(),
            128: pa.decimal128(38, 0),
            256: pa.decimal256(76, 0),
        }
        array = array.view(plain[kind.bit_width])
    found = pc.min_max(array).as_py()
    return None if found["min"] is None else (int(found["min"]), int(found["max"]))


def _widened(array: pa.Array) -> pa.Array:
    """The same values and scale in at least 128 bits."""
    kind = array.type
    if pa.types.is_integer(kind):
        return array.cast(pa.decimal128(20, 0))
    return array if kind.bit_width >= 128 else array.cast(pa.decimal128(kind.precision, kind.scale))


def _unscaled(array: pa.Array) -> list[int | None]:
    width, data = array.type.byte_width, array.buffers()[1]
    if data is None:
        return [None] * len(array)
    raw = memoryview(data)[array.offset * width : (array.offset + len(array)) * width]
    numbers = [
        int.from_bytes(raw[at : at + width], "little", signed=True) for at in range(0, len(raw), width)
    ]
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    return [number if here else None for number, here in zip(numbers, np.asarray(valid), strict=True)]
