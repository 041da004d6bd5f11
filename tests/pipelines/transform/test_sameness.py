"""Untouched rows are recognised by their place in memory,
and the contract changes none that already fit it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from pipelines.contract import AvroType
from pipelines.contract.arrow_mapping import arrow_type
from pipelines.transform import same_buffers
from pipelines.transform.conforming.columns import conform_column


def one(array: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([array], ["x"])


@pytest.mark.parametrize(
    ("avro", "values"),
    [
        ("boolean", [True, False, None, True]),
        ("int", [1, 2, None, 4]),
        ("long", [1, 2, None, 4]),
        ("float", [1.5, 2.5, None, -0.0]),
        ("double", [1.5, 2.5, None, -0.0]),
        ("string", ["a", "", None, "ä"]),
        ("bytes", [b"a", b"", None, b"b"]),
        ({"type": "fixed", "name": "F", "size": 2}, [b"ab", b"cd", None, b"ef"]),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, ["A", "B", None, "A"]),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            [Decimal("1.25"), Decimal(0), None, Decimal(-3)],
        ),
        ({"type": "int", "logicalType": "date"}, [0, 15706, None, -1]),
        ({"type": "int", "logicalType": "time-millis"}, [0, 86_399_999, None, 1]),
        ({"type": "long", "logicalType": "time-micros"}, [0, 86_399_999_999, None, 1]),
        ({"type": "long", "logicalType": "timestamp-millis"}, [0, 1, None, -1]),
        ({"type": "long", "logicalType": "timestamp-micros"}, [0, 1, None, -1]),
        ({"type": "long", "logicalType": "local-timestamp-micros"}, [0, 1, None, -1]),
        (
            {"type": "string", "logicalType": "uuid"},
            ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6"] * 2 + [None] * 2,
        ),
    ],
)
def test_values_of_the_contracts_own_type_stay_where_they_are(
    type_of: Callable[[Any], AvroType], avro: Any, values: list[Any]
) -> None:
    kind = type_of(["null", avro])
    for source in (pa.array(values, arrow_type(kind)), pa.array(values, arrow_type(kind)).slice(1, 2)):
        conformed, misfits = conform_column(source, kind)
        assert not misfits and conformed.equals(source)
        assert same_buffers(one(conformed), one(source))


def test_whatever_lies_elsewhere_is_another() -> None:
    array = pa.array([1, 2, None, 4])
    assert same_buffers(one(array), one(array))
    copied = pa.array([1, 2, None, 4])
    nulled = pa.Array.from_buffers(pa.int64(), 4, [copied.buffers()[0], array.buffers()[1]])
    unnulled = pa.Array.from_buffers(pa.int64(), 4, [None, array.buffers()[1]])
    moved = pa.Array.from_buffers(pa.int64(), 3, array.buffers(), offset=1)
    whole = pa.array([1, 2, 3, 4])
    assert not same_buffers(one(whole.slice(0, 3)), one(whole.slice(1, 3)))
    for other in (copied, nulled, unnulled, moved, array.slice(0, 3), array.view(pa.float64())):
        assert not same_buffers(one(other), one(array))
        assert not same_buffers(one(array), one(other))


def test_columns_are_the_same_by_name_place_and_number() -> None:
    left, right = pa.array([1, 2]), pa.array([3, 4])
    both = pa.RecordBatch.from_arrays([left, right], ["a", "b"])
    for arrays, names in (([right, left], ["b", "a"]), ([right, left], ["a", "b"]), ([left], ["a"])):
        assert not same_buffers(pa.RecordBatch.from_arrays(arrays, names), both)


def test_text_is_the_same_by_its_ends_and_its_letters() -> None:
    array = pa.array(["ab", "c"])
    valid, ends, letters = array.buffers()
    other_ends, other_letters = pa.array(["a", "bc"]).buffers()[1:]
    assert not same_buffers(
        one(pa.Array.from_buffers(pa.string(), 2, [valid, other_ends, letters])), one(array)
    )
    assert not same_buffers(
        one(pa.Array.from_buffers(pa.string(), 2, [valid, ends, other_letters])), one(array)
    )


def test_nested_values_count_as_others() -> None:
    array = pa.array([[1], [2]])
    assert not same_buffers(one(array), one(array))
