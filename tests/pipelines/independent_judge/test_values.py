"""Values read from Arrow's buffers are those that the array was made from, in every layout."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from pipelines.independent_judge.values import UnreadableType, reader_of, same
from tests.arrow_forms import encodings, forms, lists

FLAT: list[tuple[pa.DataType, list[Any], Any]] = [
    (pa.bool_(), [True, None, False, True], False),
    (pa.int8(), [-128, None, 127, 0], 5),
    (pa.uint64(), [2**64 - 1, None, 0, 7], 5),
    (pa.int64(), [-(2**63), None, 2**63 - 1, 7], 5),
    (pa.float32(), [1.5, None, float("inf"), -0.0], 2.5),
    (pa.float64(), [0.1, None, float("-inf"), -0.0], 2.5),
    (pa.decimal128(38, 9), [Decimal("-99999999999999999999999999999.999999999"), None, Decimal("0.000000001")], Decimal(7)),
    (pa.decimal256(76, 20), [Decimal(10) ** 55, None, Decimal("-1E-20")], Decimal(7)),
    (pa.string(), ["a", None, "", "ü" * 20], "filler"),
    (pa.binary(), [b"\x00", None, b"", b"x" * 20], b"filler"),
    (pa.binary(3), [b"abc", None, b"\x00\x00\x00"], b"fil"),
]  # fmt: skip


def read(array: Any) -> list[Any]:
    one = reader_of(array)
    return [one(row) for row in range(len(array))]


@pytest.mark.parametrize(("kind", "values", "filler"), FLAT, ids=lambda given: str(given)[:20])
def test_every_layout_gives_the_values(kind: pa.DataType, values: list[Any], filler: Any) -> None:
    for name, array in encodings(values, kind, filler):
        assert same(read(array), values), name


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int32()), pa.large_list(pa.int32()), pa.list_(pa.int32(), 2)], ids=str
)
def test_lists_give_their_items(kind: pa.DataType) -> None:
    values = [[1, 2], None, [3, None]]
    for name, array in forms(values, kind, [7, 8]):
        assert same(read(array), values), name


def test_lists_of_every_layout_over_sliced_items_give_their_items() -> None:
    for inner, items in encodings(["a", None, "ccc", "d"], pa.string(), "filler"):
        for outer, array in lists(items, [2, None, 0, 2]):
            assert read(array) == [["a", None], None, [], ["ccc", "d"]], (inner, outer)


def test_structs_and_maps_give_their_parts() -> None:
    kind = pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))])
    structs = [{"a": 1, "b": ["x"]}, None, {"a": None, "b": None}]
    for name, array in forms(structs, kind, {"a": 9, "b": ["filler"]}):
        assert read(array) == structs, name
    maps = [[("k", 1), ("l", None)], None, []]
    for name, array in forms(maps, pa.map_(pa.string(), pa.int32()), [("filler", 9)]):
        assert read(array) == maps, name


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        (pa.timestamp("us", "UTC"), [253_402_300_800_000_000, -(2**63) + 1, 2**63 - 1, None]),
        (pa.timestamp("ns"), [1, -1, None]),
        (pa.date32(), [2_932_897, -800_000, 2**31 - 1, None]),
        (pa.time64("us"), [86_400_000_000, None]),
        (pa.time32("ms"), [0, 86_399_999]),
    ],
    ids=str,
)
def test_temporal_values_are_counts_also_where_python_has_no_date(
    kind: pa.DataType, counts: list[int | None]
) -> None:
    integers = pa.int32() if kind.bit_width == 32 else pa.int64()
    array = pa.array([5, *counts], integers).view(kind).slice(1)
    assert read(array) == counts


def test_text_that_is_no_utf_8_comes_as_its_bytes() -> None:
    array = pa.array([b"ok", b"\xff"]).view(pa.string())
    assert read(array) == ["ok", b"\xff"]


def test_extensions_that_are_known_come_as_what_they_mean() -> None:
    raw = bytes(range(16))
    uuids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([raw, None], pa.binary(16)))
    flags = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 2, None], pa.int8()))
    assert read(uuids) == [raw, None]
    assert read(flags) == [False, True, None]
    with pytest.raises(UnreadableType):
        reader_of(
            pa.ExtensionArray.from_storage(pa.opaque(pa.binary(), "bignum", "DuckDB"), pa.array([b"1"]))
        )


def test_same_tells_apart_what_python_calls_equal() -> None:
    assert not same(0.0, -0.0)
    assert not same(1, True)
    assert not same([1], [True])
    assert same(float("nan"), float("nan"))
    assert same({"a": 1, "b": [0.0]}, {"b": [0.0], "a": 1})
    assert not same({"a": 1}, {"a": 1, "b": None})
