"""Decimals and whole numbers between all their types: the exact value, or the reason why it does not fit.

The expected results are computed with fractions in Python. They do not pass through Arrow: the sources are
built from their bytes, and the results are read from theirs.
"""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.contract import AvroType
from pipelines.transform.conforming.columns import conform_column
from pipelines.transform.conforming.conformer import row_json  # type: ignore[attr-defined]
from tests.arrow_forms import decimals, forms

TypeOf = Callable[[Any], AvroType]

_OF_BITS = {
    32: (pa.decimal32, 9),
    64: (pa.decimal64, 18),
    128: (pa.decimal128, 38),
    256: (pa.decimal256, 76),
}
INTEGERS = [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]
WHOLE = {"int": 2**31, "long": 2**63}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def bounds(kind: pa.DataType) -> tuple[int, int]:
    if pa.types.is_decimal(kind):
        return 1 - 10**kind.precision, 10**kind.precision - 1
    signed = pa.types.is_signed_integer(kind)
    return (
        (-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
        if signed
        else (0, 2**kind.bit_width - 1)
    )


def source(numbers: list[int | None], kind: pa.DataType) -> pa.Array:
    return decimals(numbers, kind) if pa.types.is_decimal(kind) else pa.array(numbers, kind)


def numbers_of(array: pa.Array) -> list[int | None]:
    """The unscaled numbers, read from the bytes of the array."""
    width, raw = array.type.byte_width, array.buffers()[1].to_pybytes()
    found = [
        int.from_bytes(raw[at : at + width], "little", signed=True)
        for at in range(array.offset * width, (array.offset + len(array)) * width, width)
    ]
    return [
        number if valid else None for number, valid in zip(found, array.is_valid().to_pylist(), strict=True)
    ]


def expected(value: Fraction, avro: Any) -> int | str:
    """The unscaled number in the target, or the reason."""
    if isinstance(avro, str):
        if abs(value) >= 10**21:
            return "out_of_range"
        if value.denominator != 1:
            return "fraction"
        return int(value) if -WHOLE[avro] <= value < WHOLE[avro] else "out_of_range"
    if abs(value) >= 10 ** (avro["precision"] - avro["scale"]):
        return "too_many_digits"
    scaled = value * 10 ** avro["scale"]
    return int(scaled) if scaled.denominator == 1 else "precision_loss"


def check(type_of: TypeOf, kind: pa.DataType, avro: Any, numbers: list[int]) -> None:
    low, high = bounds(kind)
    numbers = [number for number in numbers if low <= number <= high]
    scale = kind.scale if pa.types.is_decimal(kind) else 0
    wanted = [expected(Fraction(number) / Fraction(10) ** scale, avro) for number in numbers]
    # One value that does not fit sends its whole column through the other code:
    # values that fit are also tried without others.
    fit = [place for place, one in enumerate(wanted) if isinstance(one, int)]
    for chosen in [
        fit,
        *([place] for place in range(len(numbers)) if place not in fit),
        [*range(len(numbers))],
    ]:
        column = source([None, *(numbers[place] for place in chosen)], kind)[1:]
        array, misfits = conform_column(column, type_of(["null", avro]))
        array.validate(full=True)
        reasons = {misfit.row: str(misfit.reason) for misfit in misfits}
        found = numbers_of(array) if chosen else []
        assert [reasons.get(row, number) for row, number in enumerate(found)] == [
            wanted[place] for place in chosen
        ], f"{kind} to {avro}: {[numbers[place] for place in chosen]}"


def borders(kind: pa.DataType, avro: Any) -> list[int]:
    """Unscaled numbers at the limits of the source,
    of the target, and of the bits with which Arrow multiplies."""
    low, high = bounds(kind)
    scale = kind.scale if pa.types.is_decimal(kind) else 0
    to_scale = 0 if isinstance(avro, str) else avro["scale"]
    largest = WHOLE[avro] if isinstance(avro, str) else 10 ** avro["precision"]
    factor = Fraction(10) ** (to_scale - scale)
    ends = [0, 1, low, high, int(largest / factor), *(int(2**bits / factor) for bits in (63, 127, 128, 255))]
    return sorted({sign * end + step for end in ends for sign in (1, -1) for step in (-1, 0, 1)})


SOURCES = [
    *INTEGERS,
    *(
        make(precision, scale)
        for make, most in _OF_BITS.values()
        for precision in sorted({1, most // 2, most - 1, most})
        for scale in sorted({-most, -3, 0, 2, precision})
    ),
]
TARGETS = [
    "int",
    "long",
    *(
        decimal(precision, scale)
        for precision in (1, 9, 18, 19, 37, 38, 39, 60, 76)
        for scale in sorted({0, 2, 18, 36, precision - 1, precision})
        if scale <= precision
    ),
]


@pytest.mark.parametrize("kind", SOURCES, ids=str)
def test_every_source_type_to_every_target_type_at_its_bounds(type_of: TypeOf, kind: pa.DataType) -> None:
    for avro in TARGETS:
        check(type_of, kind, avro, borders(kind, avro))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[pa.DataType, Any, list[int]]:
    bits = draw(st.sampled_from([0, *_OF_BITS]))
    if bits:
        make, most = _OF_BITS[bits]
        precision = draw(st.integers(1, most))
        kind = make(precision, draw(st.one_of(st.integers(-8, precision), st.integers(-160, 160))))
    else:
        kind = draw(st.sampled_from(INTEGERS))
    precision = draw(st.integers(1, 76))
    avro = draw(
        st.one_of(
            st.sampled_from(["int", "long"]), st.integers(0, precision).map(lambda s: decimal(precision, s))
        )
    )
    low, high = bounds(kind)
    digits = st.integers(0, len(str(high))).flatmap(lambda n: st.integers(-(10**n), 10**n))
    around = st.sampled_from([0, *borders(kind, avro)])
    return (
        kind,
        avro,
        draw(st.lists(st.one_of(digits, around, st.integers(low, high)), min_size=1, max_size=5)),
    )


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pair=pairs())
@example((pa.decimal128(38, 2), decimal(38, 18), [7 * 10**22]))
@example((pa.int64(), decimal(38, 36), [3 * 10**9]))
@example((pa.uint8(), decimal(38, 37), [200]))
@example((pa.decimal256(76, 0), decimal(76, 20), [7 * 10**57]))
@example((pa.decimal128(28, 0), decimal(38, 18), [10**27]))
@example((pa.decimal128(38, -5), "long", [10**37]))
def test_any_number_is_kept_exactly_or_refused_by_reason(
    type_of: TypeOf, pair: tuple[pa.DataType, Any, list[int]]
) -> None:
    check(type_of, *pair)


@pytest.mark.parametrize(
    ("kind", "avro"),
    [
        (pa.decimal128(38, 0), decimal(38, 0)),
        (pa.decimal256(76, 0), decimal(76, 0)),
        (pa.decimal128(38, 9), decimal(38, 9)),
    ],
    ids=str,
)
def test_a_number_of_more_digits_than_its_own_type_has_is_refused(
    type_of: TypeOf, kind: pa.DataType, avro: Any
) -> None:
    """A warehouse's 128-bit whole number comes as decimal(38, 0), even if it has 39 digits."""
    largest = 10**kind.precision - 1
    column = decimals([largest, largest + 1, -largest, -largest - 1], kind)
    array, misfits = conform_column(column, type_of(["null", avro]))
    assert [(misfit.row, str(misfit.reason)) for misfit in misfits] == [
        (1, "too_many_digits"),
        (3, "too_many_digits"),
    ]
    assert numbers_of(array) == [largest, None, -largest, None]


@pytest.mark.parametrize("kind", [pa.decimal64(12, 2), pa.decimal128(20, 2), pa.decimal256(50, 2)], ids=str)
@pytest.mark.parametrize("avro", [decimal(12, 2), decimal(30, 9), decimal(60, 9), "long"], ids=str)
def test_slices_and_hidden_values_change_nothing(type_of: TypeOf, kind: pa.DataType, avro: Any) -> None:
    values = [Decimal("7.00"), None, Decimal("-12.00"), Decimal(0), None]
    filler = Decimal("9999999999.99")  # fits no long, because it is a decimal with a fraction
    scale = 0 if isinstance(avro, str) else avro["scale"]
    wanted = [None if value is None else int(value) * 10**scale for value in values]
    for name, column in forms(values, kind, filler):
        array, misfits = conform_column(column, type_of(["null", avro]))
        assert (numbers_of(array), misfits) == (wanted, []), name


def test_a_column_of_the_same_type_is_passed_on_as_it_is(type_of: TypeOf) -> None:
    column = decimals([1, None, 3], pa.decimal128(15, 2))
    array, _ = conform_column(column, type_of(["null", decimal(15, 2)]))
    assert [buffer.address for buffer in array.buffers()] == [buffer.address for buffer in column.buffers()]


@pytest.mark.parametrize(
    ("kind", "text"),
    [(pa.decimal32(3, -40), '{"x": "5E+40"}'), (pa.decimal128(3, 99), '{"x": "5E-99"}')],
    ids=str,
)
def test_a_dead_row_with_a_decimal_that_arrow_cannot_print_is_shown(
    type_of: TypeOf, kind: pa.DataType, text: str
) -> None:
    column = decimals([5], kind)
    _, (misfit,) = conform_column(column, type_of(decimal(9, 2)))
    assert misfit.value == text.split('"')[3]
    assert row_json({"x": column[0]}) == text
