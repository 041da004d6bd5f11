"""Every type at its bounds: the last value that fits, the first that does not, and why."""

import datetime as dt
import enum
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipelines.transform import Reason
from pipelines.transform.conforming.leaves import ColumnMismatchError

Conform = Callable[..., Any]
D = Decimal  # for short lines in the tables below
OBJECTS = None  # a column of Python objects
UTC = dt.UTC
NEW_YORK = ZoneInfo("America/New_York")
NAN, INF = float("nan"), float("inf")
UUID = "0e4e4b2a-5c1f-4d8b-9d6c-1f2a3b4c5d6e"


def logical(base: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": base, "logicalType": name, **more}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return logical("bytes", "decimal", precision=precision, scale=scale)


ENUM = {"type": "enum", "name": "E", "symbols": ["JFK", "LGA"]}
FIXED = {"type": "fixed", "name": "F", "size": 2}
FIXED_UUID = {"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"}
DATE, TIME_MS, TIME_US = logical("int", "date"), logical("int", "time-millis"), logical("long", "time-micros")
MILLIS, MICROS, NANOS = (logical("long", f"timestamp-{u}") for u in ("millis", "micros", "nanos"))
LOCAL = logical("long", "local-timestamp-millis")

# type, how the column comes, [(value, what it becomes or the reason why it does not fit)]
GOOD_AND_BAD: list[tuple[Any, Any, list[tuple[Any, Any]]]] = [
    ("boolean", pa.bool_(), [(True, True), (False, False)]),
    ("boolean", OBJECTS, [(np.True_, True), (1, "wrong_type"), ("true", "wrong_type")]),
    ("int", pa.int64(), [(2**31 - 1, 2**31 - 1), (2**31, "out_of_range"), (-(2**31), -(2**31))]),
    ("int", pa.int64(), [(0, 0), (-(2**31) - 1, "out_of_range")]),
    ("int", pa.uint32(), [(2**31 - 1, 2**31 - 1), (2**31, "out_of_range")]),
    ("int", pa.int8(), [(-128, -128)]),
    ("long", pa.uint64(), [(2**63 - 1, 2**63 - 1), (2**63, "out_of_range"), (0, 0)]),
    ("long", pa.int64(), [(2**63 - 1, 2**63 - 1), (-(2**63), -(2**63))]),
    ("int", pa.float64(), [(3.0, 3), (3.5, "fraction"), (NAN, "nan"), (INF, "infinite"), (-0.0, 0)]),
    ("int", pa.float64(), [(2.0**31 - 1, 2**31 - 1), (2.0**31, "out_of_range"), (-(2.0**31), -(2**31))]),
    ("long", pa.float64(), [(2.0**53, 2**53), (2.0**53 + 2, "precision_loss"), (-1e300, "precision_loss")]),
    ("long", pa.float32(), [(2.0**24, 2**24), (2.0**24 + 2, "precision_loss"), (1.5, "fraction")]),
    ("long", pa.decimal128(20, 2), [(D("7.00"), 7), (D("7.01"), "fraction"), (D("-7.00"), -7)]),
    ("long", pa.decimal128(38, 0), [(D(2**63 - 1), 2**63 - 1), (D(2**63), "out_of_range")]),
    ("int", OBJECTS, [(1, 1), (True, "wrong_type"), ("1", "wrong_type"), (1.0, 1), (1.5, "fraction")]),
    ("int", OBJECTS, [(np.int8(1), 1), (np.uint64(2**64 - 1), "out_of_range"), (np.float32(2.0), 2)]),
    ("long", OBJECTS, [(2.0**53 + 2, "precision_loss"), (D("1E+3"), 1000), (D("1E+1000000"), "out_of_range")]),
    ("long", OBJECTS, [(D("0." + "1" * 60), "fraction"), (D("NaN"), "nan"), (D("Infinity"), "infinite")]),
    ("long", OBJECTS, [(D("sNaN"), "nan"), (np.longdouble(4), 4), (10**400, "out_of_range"), (1 + 0j, "wrong_type")]),
    ("double", pa.float64(), [(0.1, 0.1), (NAN, "nan"), (-INF, "infinite"), (1.7976931348623157e308,) * 2]),
    ("double", pa.float32(), [(0.5, 0.5)]),
    ("double", pa.int64(), [(2**53, 2.0**53), (2**53 + 1, "precision_loss"), (-(2**63), "precision_loss")]),
    ("double", pa.uint64(), [(2**64 - 1, "precision_loss"), (1, 1.0)]),
    ("float", pa.float64(), [(0.5, 0.5), (0.1, "precision_loss"), (1e39, "out_of_range"), (NAN, "nan")]),
    ("float", pa.int32(), [(2**24, 2.0**24), (2**24 + 1, "precision_loss")]),
    ("float", OBJECTS, [(0.5, 0.5), (0.1, "precision_loss"), (1e39, "out_of_range"), (np.float32(0.1), float(np.float32(0.1)))]),
    ("double", OBJECTS, [(1, 1.0), (2**53 + 1, "precision_loss"), (D("0.1"), "wrong_type"), ("1", "wrong_type")]),
    ("double", OBJECTS, [(NAN, "nan"), (INF, "infinite"), (False, "wrong_type"), (np.float64(0.1), 0.1)]),
    ("double", OBJECTS, [(np.longdouble(1) / 3, "precision_loss"), (np.longdouble("nan"), "nan"), (10**400, "precision_loss")]),
    ("string", pa.string(), [("", ""), ("é\U0001f6eb", "é\U0001f6eb")]),
    ("string", pa.large_string(), [("a", "a")]),
    ("string", pa.string_view(), [("a", "a"), ("longer than the twelve inline bytes",) * 2]),
    ("string", OBJECTS, [("a", "a"), ("\ud800", "invalid_utf8"), (1, "wrong_type"), (b"a", "wrong_type")]),
    ("string", OBJECTS, [(np.str_("a"), "a"), (NAN, "nan"), (D(1), "wrong_type"), (True, "wrong_type")]),
    ("bytes", pa.binary(), [(b"", b""), (b"\xff", b"\xff")]),
    ("bytes", pa.binary(3), [(b"abc", b"abc")]),
    ("bytes", OBJECTS, [(bytearray(b"a"), b"a"), (memoryview(b"b"), b"b"), ("a", "wrong_type")]),
    (FIXED, pa.binary(), [(b"ab", b"ab"), (b"a", "wrong_length"), (b"abc", "wrong_length")]),
    (FIXED, pa.binary(2), [(b"ab", b"ab")]),
    (FIXED, OBJECTS, [(b"ab", b"ab"), (b"", "wrong_length")]),
    (ENUM, pa.string(), [("JFK", "JFK"), ("jfk", "unknown_symbol"), ("", "unknown_symbol")]),
    (ENUM, pa.dictionary(pa.int32(), pa.string()), [("LGA", "LGA"), ("X", "unknown_symbol")]),
    (ENUM, OBJECTS, [("JFK", "JFK"), ("X", "unknown_symbol"), (1, "wrong_type"), ("\ud800", "invalid_utf8")]),
    (logical("string", "uuid"), pa.string(), [(UUID, UUID), (UUID.upper(), UUID), ("x", "bad_uuid")]),
    (logical("string", "uuid"), pa.string(), [(UUID + "\n", "bad_uuid"), (UUID.replace("-", ""), "bad_uuid")]),
    (FIXED_UUID, pa.binary(16), [(uuid.UUID(UUID).bytes, UUID)]),
    (FIXED_UUID, OBJECTS, [(uuid.UUID(UUID), UUID), (UUID.upper(), UUID), (b"x", "bad_uuid"), (1, "wrong_type")]),
    (decimal(4, 2), pa.decimal128(6, 3), [(D("99.990"), D("99.99")), (D("0.005"), "precision_loss")]),
    (decimal(4, 2), pa.decimal128(9, 2), [(D("-99.99"), D("-99.99")), (D("100.00"), "too_many_digits")]),
    (decimal(4, 2), pa.int64(), [(99, D("99.00")), (100, "too_many_digits"), (-(2**63), "too_many_digits")]),
    (decimal(76, 0), pa.uint64(), [(2**64 - 1, D(2**64 - 1))]),
    (decimal(76, 1), pa.decimal128(38, 0), [(D("9" * 38), D("9" * 38 + ".0"))]),
    (decimal(38, 0), pa.decimal256(76, 0), [(D("9" * 38), D("9" * 38)), (D("1" + "0" * 38), "too_many_digits")]),
    (decimal(4, 2), OBJECTS, [(D("1E+1"), D("10.00")), (D("1E-2"), D("0.01")), (D("1E-3"), "precision_loss")]),
    (decimal(4, 2), OBJECTS, [(D("1E+2"), "too_many_digits"), (D("1E+999999"), "too_many_digits"), (7, D("7.00"))]),
    (decimal(4, 2), OBJECTS, [(D("1.2300"), D("1.23")), (D("-0"), D("0.00")), (D("0E+99"), D("0.00")), (0.5, "wrong_type")]),
    (decimal(4, 2), OBJECTS, [(D("NaN"), "nan"), (D("-Infinity"), "infinite"), ("1", "wrong_type"), (True, "wrong_type")]),
    (DATE, pa.date32(), [(dt.date(2013, 1, 1), dt.date(2013, 1, 1)), (dt.date.min, dt.date.min)]),
    (DATE, pa.timestamp("us"), [(dt.datetime(2013, 1, 1), dt.date(2013, 1, 1)), (dt.datetime(1969, 12, 31), dt.date(1969, 12, 31))]),
    (DATE, pa.timestamp("us"), [(dt.datetime(2013, 1, 1, 0, 0, 0, 1), "precision_loss"), (dt.datetime(1969, 12, 31, 23), "precision_loss")]),
    (DATE, OBJECTS, [(dt.date(2013, 1, 1), dt.date(2013, 1, 1)), (dt.datetime(2013, 1, 1), dt.date(2013, 1, 1))]),
    (DATE, OBJECTS, [(dt.datetime(2013, 1, 1, 1), "precision_loss"), (dt.datetime(2013, 1, 1, tzinfo=UTC), "zoned_timestamp")]),
    (DATE, OBJECTS, [(pd.Timestamp("2013-01-01 00:00:00.000000001"), "precision_loss"), ("2013-01-01", "wrong_type")]),
    (DATE, OBJECTS, [(np.datetime64("2013-01-01"), dt.date(2013, 1, 1)), (15706, "wrong_type")]),
    (TIME_MS, pa.time64("us"), [(dt.time(23, 59, 59, 999000), dt.time(23, 59, 59, 999000)), (dt.time(0, 0, 0, 1), "precision_loss")]),
    (TIME_MS, pa.time32("s"), [(dt.time(23, 59, 59), dt.time(23, 59, 59))]),
    (TIME_US, pa.time64("us"), [(86_399_999_999, dt.time.max), (86_400_000_000, "out_of_range"), (-1, "out_of_range")]),
    (TIME_US, pa.time32("ms"), [(1, dt.time(0, 0, 0, 1000))]),
    (TIME_US, OBJECTS, [(dt.time.max, dt.time.max), (dt.time(1, tzinfo=UTC), "zoned_timestamp"), (1, "wrong_type")]),
    (TIME_MS, OBJECTS, [(dt.time(1, 2, 3, 4000), dt.time(1, 2, 3, 4000)), (dt.time(0, 0, 0, 1), "precision_loss")]),
    (MILLIS, pa.timestamp("us", "UTC"), [(1_000, dt.datetime(1970, 1, 1, 0, 0, 0, 1000, UTC)), (1_001, "precision_loss"), (-1, "precision_loss")]),
    (MICROS, pa.timestamp("s", "UTC"), [(-1, dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)), (2**63 - 2, "out_of_range")]),
    (MICROS, pa.timestamp("us", "UTC"), [(2**63 - 1, "infinite"), (-(2**63) + 1, "infinite"), (-(2**63), "infinite")]),
    (MICROS, pa.timestamp("ns", "UTC"), [(1_000, dt.datetime(1970, 1, 1, 0, 0, 0, 1, UTC)), (1_001, "precision_loss")]),
    (NANOS, pa.timestamp("ns", "UTC"), [(1, pd.Timestamp(1, tz="UTC"))]),
    (MILLIS, OBJECTS, [(dt.datetime(2013, 1, 1, tzinfo=UTC), dt.datetime(2013, 1, 1, tzinfo=UTC)), (dt.datetime(2013, 1, 1), "naive_timestamp")]),
    (MILLIS, OBJECTS, [(dt.datetime(2013, 1, 1, 0, 0, 0, 1, UTC), "precision_loss"), (1357000000000, "wrong_type")]),
    (MICROS, OBJECTS, [(pd.Timestamp(1_000, tz="UTC"), dt.datetime(1970, 1, 1, 0, 0, 0, 1, UTC)), (pd.Timestamp(1_001, tz="UTC"), "precision_loss")]),
    (MICROS, OBJECTS, [(np.datetime64(5, "us"), "naive_timestamp"), (dt.date(2013, 1, 1), "wrong_type")]),
    (NANOS, OBJECTS, [(dt.datetime(9999, 1, 1, tzinfo=UTC), "out_of_range"), (pd.Timestamp(1, tz="UTC"),) * 2]),
    (LOCAL, pa.timestamp("s"), [(dt.datetime(2013, 1, 1), dt.datetime(2013, 1, 1))]),
    (LOCAL, OBJECTS, [(dt.datetime(2013, 1, 1), dt.datetime(2013, 1, 1)), (dt.datetime(2013, 1, 1, tzinfo=UTC), "zoned_timestamp")]),
]  # fmt: skip


def said(column: Any) -> str:
    avro, arrow, values = column
    name = avro if isinstance(avro, str) else avro.get("logicalType", avro["type"])
    return f"{name}-{arrow or 'objects'}-{[str(value)[:12] for value, _ in values]}"


@pytest.mark.parametrize("column", GOOD_AND_BAD, ids=said)
@pytest.mark.parametrize("sliced", [False, True], ids=["whole", "sliced"])
def test_a_value_is_kept_exactly_or_named(conform: Conform, column: Any, sliced: bool) -> None:
    avro, arrow, cases = column
    values = [value for value, _ in cases]
    if arrow is None:
        outcome = conform(["null", avro], [*values, None])
    else:
        array = pa.array([*values, *values, None], arrow)
        outcome = conform(["null", avro], array[len(values) :] if sliced else array)
        if not sliced:
            cases = [*cases, *cases]
    expected_reasons = {row: good for row, (_, good) in enumerate(cases) if _is_reason(good)}
    expected_values = [None if row in expected_reasons else good for row, (_, good) in enumerate(cases)]
    assert outcome.reasons == expected_reasons
    assert outcome.values == [*expected_values, None]
    # In Python True == 1, but not for a consumer.
    assert [type(v) for v in outcome.values[:-1]] == [type(v) for v in expected_values]


def _is_reason(good: Any) -> bool:
    return isinstance(good, str) and good in set(Reason)


# A column type that has no such values at all is a mistake of the module, not of its rows.
MISMATCHES: list[tuple[Any, Any, Any]] = [
    ("boolean", pa.int8(), 1),
    ("int", pa.bool_(), True),
    ("int", pa.string(), "1"),
    ("long", pa.date32(), dt.date(2013, 1, 1)),
    ("long", pa.timestamp("us", "UTC"), 1),
    ("long", pa.duration("us"), 1),
    ("double", pa.decimal128(4, 2), D("0.1")),
    ("double", pa.string(), "1"),
    ("double", pa.bool_(), True),
    ("string", pa.int64(), 1),
    ("string", pa.binary(), b"a"),
    ("string", pa.float64(), 1.0),
    ("string", pa.date32(), dt.date(2013, 1, 1)),
    ("bytes", pa.string(), "a"),
    (FIXED, pa.binary(3), b"abc"),
    (ENUM, pa.int8(), 0),
    (FIXED_UUID, pa.binary(15), b"a" * 15),
    (decimal(4, 2), pa.float64(), 1.0),
    (decimal(4, 2), pa.string(), "1"),
    (decimal(4, 2), pa.bool_(), True),
    (DATE, pa.timestamp("us", "UTC"), 0),
    (DATE, pa.int32(), 0),
    (TIME_MS, pa.int32(), 0),
    (TIME_MS, pa.duration("ms"), 0),
    (MICROS, pa.timestamp("us"), 0),
    (MICROS, pa.date32(), dt.date(2013, 1, 1)),
    (MICROS, pa.int64(), 0),
    (MICROS, pa.string(), "2013-01-01T00:00:00Z"),
    (LOCAL, pa.timestamp("ms", "UTC"), 0),
    ({"type": "array", "items": "int"}, pa.int32(), 1),
    ({"type": "map", "values": "int"}, pa.list_(pa.int32()), [1]),
    ({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}, pa.int32(), 1),
]


@pytest.mark.parametrize(("avro", "arrow", "value"), MISMATCHES, ids=str)
def test_a_column_of_the_wrong_type_is_refused_as_a_whole(
    conform: Conform, avro: Any, arrow: Any, value: Any
) -> None:
    with pytest.raises(ColumnMismatchError) as raised:
        conform(avro, [value, value], arrow)
    assert raised.value.found == str(arrow) and raised.value.allowed


@pytest.mark.parametrize(("avro", "arrow", "value"), MISMATCHES, ids=str)
def test_a_column_without_any_value_fits_every_type(
    conform: Conform,
    avro: Any,
    arrow: Any,
    value: Any,  # noqa: ARG001
) -> None:
    assert conform(["null", avro], [None, None], arrow).values == [None, None]
    assert conform(avro, [None], arrow).reasons == {0: "null"}
    assert conform(avro, [], arrow).values == []


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "+05:45"])
def test_an_instant_keeps_its_instant_whatever_its_zone(conform: Conform, zone: str) -> None:
    moment = dt.datetime(2013, 11, 3, 6, 30, tzinfo=UTC)
    column = pa.array([moment], pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
    outcome = conform(MICROS, column)
    assert outcome.values == [moment]
    assert outcome.array.type == pa.timestamp("us", "UTC")


def test_both_halves_of_the_repeated_hour_stay_apart(conform: Conform) -> None:
    first = dt.datetime(2013, 11, 3, 1, 30, tzinfo=NEW_YORK)
    second = first.replace(fold=1)
    utc = [dt.datetime(2013, 11, 3, hour, 30, tzinfo=UTC) for hour in (5, 6)]
    assert conform(MICROS, [first, second]).values == utc
    stamps = [pd.Timestamp(moment) for moment in (first, second)]
    assert conform(MICROS, stamps).values == utc


@pytest.mark.parametrize("missing", [None, pd.NA, pd.NaT, np.datetime64("NaT")], ids=str)
def test_what_pandas_calls_missing_is_null(conform: Conform, missing: Any) -> None:
    assert conform(["null", MICROS], [missing]).reasons == {}
    assert conform(MICROS, [missing]).reasons == {0: "null"}


def test_broken_utf8_from_a_warehouse_is_named(conform: Conform) -> None:
    offsets, data = pa.array([0, 1, 3], pa.int32()), b"a\xff\xfe"
    broken = pa.Array.from_buffers(pa.string(), 2, [None, offsets.buffers()[1], pa.py_buffer(data)])
    outcome = conform("string", broken)
    assert (outcome.reasons, outcome.values) == ({1: "invalid_utf8"}, ["a", None])


def test_broken_utf8_in_map_keys_is_named(conform: Conform) -> None:
    offsets, data = pa.array([0, 1, 3], pa.int32()), b"a\xff\xfe"
    keys = pa.Array.from_buffers(pa.string(), 2, [None, offsets.buffers()[1], pa.py_buffer(data)])
    maps = pa.MapArray.from_arrays(pa.array([0, 1, 2], pa.int32()), keys, pa.array([1, 2]))
    outcome = conform({"type": "map", "values": "int"}, maps)
    assert (outcome.reasons, outcome.values[0]) == ({1: "invalid_utf8"}, [("a", 1)])


def test_stored_forms_that_say_the_same(conform: Conform) -> None:
    flags = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 1, 5], pa.int8()))
    assert conform("boolean", flags).values == [False, True, True]
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"]))
    assert conform("string", runs).values == ["a", "a", "b"]
    assert conform("string", runs[1:]).values == ["a", "b"]


def test_a_day_beyond_32_bits_is_refused(conform: Conform) -> None:
    outcome = conform(["null", DATE], pa.array([86_400 * 2**31, 0], pa.int64()).view(pa.timestamp("s")))
    assert (outcome.reasons, outcome.values) == ({0: "out_of_range"}, [None, dt.date(1970, 1, 1)])


def test_members_of_a_text_enum_are_their_text(conform: Conform) -> None:
    airport = enum.Enum("airport", {"KENNEDY": "JFK"}, type=str)
    assert conform(ENUM, [airport["KENNEDY"]]).values == ["JFK"]


def test_an_object_column_all_of_a_wrong_type_is_the_modules_mistake(conform: Conform) -> None:
    with pytest.raises(ColumnMismatchError, match="whole number"):
        conform("int", ["1"] * 10)
    assert len(conform("int", ["1"] * 9).reasons) == 9
    assert len(conform("int", ["1"] * 10 + [1]).reasons) == 10
