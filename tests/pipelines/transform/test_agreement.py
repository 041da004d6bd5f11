"""Two ways to one result: the result for whole columns must equal the result for their values one by one.

The columns are checked by Arrow's kernels, single values by integer and decimal arithmetic in Python. The
second way is slow and simple; hypothesis looks for a value on which they differ.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.contract import AvroType
from pipelines.transform.conforming.cells import read_cells
from pipelines.transform.conforming.columns import conform_column
from pipelines.transform.conforming.leaves import ColumnMismatchError
from pipelines.transform.dead_letters import Reason

TypeOf = Callable[[Any], AvroType]


def logical(base: str, name: str) -> dict[str, Any]:
    return {"type": base, "logicalType": name}


INTS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.builds(
        lambda power, sign, step: max(-(2**63), min(2**63 - 1, sign * 2**power + step)),
        st.integers(0, 63),
        st.sampled_from([-1, 1]),
        st.integers(-2, 2),
    ),
)
FLOATS = st.one_of(st.floats(), INTS.map(float), st.floats(width=32))
SMALL_DECIMALS = st.decimals(
    allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9
)


def _timestamps(unit: str, zone: str | None) -> tuple[Any, Any]:
    # Within the years that a pandas Timestamp of every unit can show, and on the borders of all units.
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    borders = st.builds(
        lambda base, step: base * factor // 1000 + step, st.integers(-(10**9), 10**9), st.integers(-1, 1)
    )
    return pa.timestamp(unit, zone), st.one_of(borders, st.integers(-(10**9) * factor, 9 * 10**9 * factor))


SOURCES: list[tuple[Any, Any]] = [
    (pa.int64(), INTS),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.float64(), FLOATS),
    (pa.decimal128(15, 3), SMALL_DECIMALS),
    (pa.decimal256(50, 3), SMALL_DECIMALS),
    (pa.bool_(), st.booleans()),
    (
        pa.string(),
        st.one_of(st.text(st.characters(codec="utf-8")), st.sampled_from(["A", "B"]), st.uuids().map(str)),
    ),
    (pa.binary(), st.binary(max_size=3)),
    (pa.date32(), st.dates()),
    *(
        _timestamps(unit, zone)
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "America/New_York")
    ),
    (pa.time64("us"), st.times()),
    (pa.time32("ms"), st.integers(0, 86_399_999)),
]
TARGETS: list[Any] = [
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "string",
    "bytes",
    {"type": "fixed", "name": "F", "size": 2},
    {"type": "enum", "name": "E", "symbols": ["A", "B"]},
    logical("string", "uuid"),
    {**logical("bytes", "decimal"), "precision": 5, "scale": 2},
    {**logical("bytes", "decimal"), "precision": 60, "scale": 20},
    logical("int", "date"),
    logical("int", "time-millis"),
    logical("long", "time-micros"),
    *(
        logical("long", f"{local}timestamp-{u}")
        for local in ("", "local-")
        for u in ("millis", "micros", "nanos")
    ),
]
# A float represents every number that was rounded to it,
# so near 2^53 the reasons may differ, but not the verdict.
_SAME_VERDICT = {Reason.OUT_OF_RANGE, Reason.PRECISION_LOSS, Reason.FRACTION}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), source=st.sampled_from(SOURCES), avro=st.sampled_from(TARGETS), start=st.integers(0, 3)
)
def test_columns_agree_with_their_values(
    type_of: TypeOf, data: st.DataObject, source: tuple[Any, Any], avro: Any, start: int
) -> None:
    kind, values = source
    column = pa.array(data.draw(st.lists(st.one_of(st.none(), values), min_size=4, max_size=12)), kind)[
        start:
    ]
    parsed = type_of(["null", avro])
    try:
        converted, misfits = conform_column(column, parsed)
    except ColumnMismatchError:
        # Refused as a whole: then every value would only have been accepted after an implicit conversion.
        _assert_no_plain_value(column, parsed)
        return
    converted.validate(full=True)
    exact, expected = read_cells(column.to_pylist(), parsed)
    reasons, expected_reasons = ({m.row: m.reason for m in reversed(found)} for found in (misfits, expected))
    assert reasons.keys() == expected_reasons.keys()
    for row, reason in reasons.items():
        assert reason is expected_reasons[row] or {reason, expected_reasons[row]} <= _SAME_VERDICT
    assert converted.equals(pa.array(exact, converted.type))
    _assert_nothing_changed(column, converted, reasons.keys())


def _assert_no_plain_value(column: Any, parsed: AvroType) -> None:
    if pa.types.is_date32(column.type) or pa.types.is_timestamp(column.type):
        return  # only the column's type distinguishes a date from a midnight
    _, misfits = read_cells(column.to_pylist(), parsed)
    assert len(misfits) == len(column) - column.null_count


def _assert_nothing_changed(column: Any, converted: Any, dead: Any) -> None:
    for row, (before, after) in enumerate(zip(column.to_pylist(), converted.to_pylist(), strict=True)):
        if row in dead or before is None:
            assert after is None
        elif pa.types.is_timestamp(column.type) and pa.types.is_timestamp(converted.type):
            assert pd.Timestamp(after) == pd.Timestamp(before)
        elif pa.types.is_timestamp(column.type):
            assert pd.Timestamp(after) == pd.Timestamp(before).tz_localize(None)
        else:
            assert after == before


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.decimals(allow_nan=False, allow_infinity=False),
    precision=st.integers(1, 76),
    data=st.data(),
)
def test_any_decimal_is_kept_exactly_or_refused(
    type_of: TypeOf, value: Decimal, precision: int, data: st.DataObject
) -> None:
    scale = data.draw(st.integers(0, precision))
    parsed = type_of({**logical("bytes", "decimal"), "precision": precision, "scale": scale})
    array, misfits = conform_column([value], parsed)
    digits = value.as_tuple()
    assert isinstance(digits.exponent, int)
    unscaled = int("".join(map(str, digits.digits)))
    shift = digits.exponent + scale
    # Without arithmetic on a number that may have a million digits: shifted as text.
    fits = unscaled == 0 or (
        shift <= 100
        and (shift >= 0 or unscaled % 10 ** min(-shift, 400) == 0)
        and _digits(unscaled, shift) <= precision
    )
    assert bool(misfits) is not fits
    assert array.to_pylist() == [value if fits else None]


def _digits(unscaled: int, shift: int) -> int:
    return len(str(unscaled)) + shift


@pytest.mark.parametrize("avro", TARGETS, ids=str)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.decimals(),
            st.text(max_size=3),
            st.binary(max_size=3),
            st.datetimes(timezones=st.one_of(st.none(), st.timezones())),
            st.dates(),
            st.times(),
            st.uuids(),
            st.lists(st.integers(), max_size=2),
            st.dictionaries(st.text(max_size=1), st.integers(), max_size=2),
        ),
        max_size=6,
    )
)
def test_any_python_object_is_kept_exactly_or_refused(type_of: TypeOf, avro: Any, values: list[Any]) -> None:
    array, misfits = conform_column(values, type_of(["null", avro]))
    array.validate(full=True)
    dead = {misfit.row for misfit in misfits}
    assert all(misfit.detail for misfit in misfits)
    for row, (before, after) in enumerate(zip(values, array, strict=True)):
        if row in dead or before is None:
            assert not after.is_valid
        elif isinstance(before, bool):
            assert after.as_py() is before
        elif hasattr(before, "hex") and hasattr(before, "fields"):  # a uuid
            assert after.as_py() == str(before)
        elif pa.types.is_timestamp(array.type):
            assert pd.Timestamp(after.as_py()) == pd.Timestamp(before)
        elif pa.types.is_date(array.type):
            assert after.as_py().isoformat() == before.isoformat()[:10]
        elif isinstance(before, str) and avro == logical("string", "uuid"):
            assert after.as_py() == before.lower()
        else:
            assert after.as_py() == before
