"""Values at which the encoding needs one byte more,
and values that must not be visible: examples for both ways."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.contract import Contract, parse_contract
from pipelines.encoding import EncodingError, RecordEncoder
from pipelines.encoding.encoder import Strategy
from tests.pipelines.encoding.strategies import STRATEGIES

EDGES = sorted({s * 2**n + d for n in range(0, 257) for s in (1, -1) for d in (-1, 0, 1)})
ID = "00112233-4455-6677-8899-aabbccddeeff"


def contract(*types: Any) -> Contract:
    fields = [{"name": "k", "type": "string"}] + [{"name": f"v{n}", "type": t} for n, t in enumerate(types)]
    return parse_contract(json.dumps({"type": "record", "name": "R", "fields": fields}), Path("r.avsc"))


def bodies(of: Contract, strategy: Strategy, *columns: pa.Array) -> list[bytes]:
    """The bytes of each row after its frame and its empty key."""
    keys = pa.array([""] * len(columns[0]), pa.string())
    batch = pa.RecordBatch.from_arrays([keys, *columns], schema=of.arrow_schema)
    encoder = RecordEncoder(of, schema_id=1, topic="t.v1", key="k", strategy=strategy)
    return [value[6:] for value in encoder.encode(batch).values.to_pylist()]


def varint(value: int) -> bytes:
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def shortest(value: int) -> bytes:
    size = next(n for n in range(1, 40) if -(1 << 8 * n - 1) <= value < 1 << 8 * n - 1)
    return value.to_bytes(size, "big", signed=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("avro", "bits"), [("int", 32), ("long", 64)])
def test_ints_at_every_power_of_two(strategy: Strategy, avro: str, bits: int) -> None:
    values = [value for value in EDGES if -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)]
    of = contract(avro)
    column = pa.array(values, of.arrow_schema.types[1])
    assert bodies(of, strategy, column) == [varint(value) for value in values]
    # One value alone, so that the column's width and its smallest value are those of this value.
    for place, value in enumerate(values):
        assert bodies(of, strategy, column.slice(place, 1)) == [varint(value)]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("precision", [1, 2, 3, 9, 18, 19, 38, 39, 76])
def test_decimals_at_every_power_of_two(strategy: Strategy, precision: int) -> None:
    values = [value for value in EDGES if abs(value) < 10**precision] + [10**precision - 1, 1 - 10**precision]
    said = {"logicalType": "decimal", "precision": precision, "scale": 0}
    size = len(shortest(10**precision - 1))
    sizes = {"Least": size, "Wide": size + 19}
    fixed = [{"type": "fixed", "name": name, "size": size} | said for name, size in sizes.items()]
    of = contract({"type": "bytes"} | said, *fixed)
    column = pa.array(map(Decimal, values), of.arrow_schema.types[1])
    expected = [
        varint(len(shortest(value)))
        + shortest(value)
        + b"".join(value.to_bytes(size, "big", signed=True) for size in sizes.values())
        for value in values
    ]
    assert bodies(of, strategy, column, column, column) == expected
    assert bodies(of, strategy, *[column.slice(2)] * 3) == expected[2:]


def fixed(name: str, size: int, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size} | more


DECIMAL = {"logicalType": "decimal", "precision": 20, "scale": 0}
LONG_LIST = {"type": "array", "items": "long"}
# Avro type, a value and its bytes.
VALUES: list[tuple[Any, Any, bytes]] = [
    ("boolean", True, b"\x01"),
    ("int", -(2**31), varint(-(2**31))),
    ({"type": "long", "logicalType": "timestamp-micros"}, 2**60, varint(2**60)),
    ("float", 0.5, b"\0\0\0\x3f"),
    ("double", 0.5, b"\0\0\0\0\0\0\xe0\x3f"),
    ("string", "hidden", b"\x0chidden"),
    ("bytes", b"\xff\xfe", b"\x04\xff\xfe"),
    (fixed("F", 2), b"ab", b"ab"),
    (fixed("G", 40), b"c" * 40, b"c" * 40),
    ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", b"\x02"),
    ({"type": "bytes"} | DECIMAL, Decimal(-129), b"\x04\xff\x7f"),
    (fixed("H", 9, **DECIMAL), Decimal(-2), b"\xff" * 8 + b"\xfe"),
    ({"type": "string", "logicalType": "uuid"}, ID, b"\x48" + ID.encode()),
    (fixed("I", 16, logicalType="uuid"), ID, UUID(ID).bytes),
    (LONG_LIST, [1, 2], b"\x04\x02\x04\0"),
    ({"type": "map", "values": LONG_LIST}, [("a", [5])], b"\x02\x02a\x02\x0a\0\0"),
    (
        {"type": "record", "name": "N", "fields": [{"name": "deep", "type": LONG_LIST}]},
        {"deep": [7]},
        b"\x02\x0e\0",
    ),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("null_first", [True, False])
@pytest.mark.parametrize(("avro", "value", "data"), VALUES)
def test_what_hides_under_a_null_is_not_written(
    strategy: Strategy, null_first: bool, avro: Any, value: Any, data: bytes
) -> None:
    """Values below their own null and below the null of their record,
    as a kernel or a reader may leave them."""

    def union(one: Any) -> Any:
        return ["null", one] if null_first else [one, "null"]

    again = avro["name"] if isinstance(avro, dict) and "name" in avro else avro
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "v", "type": avro}]}
    of = contract(union(inner), union(again), again)
    _, outer_type, own_type, plain_type = of.arrow_schema.types
    validity = pa.py_buffer(bytes([0b01010]))
    whole = pa.array([{"v": value}] * 5, outer_type)
    outer = pa.Array.from_buffers(outer_type, 5, [validity], children=[whole.field(0)])
    own = pa.array([value] * 5, own_type)
    if own_type.num_fields == 0:
        own = pa.Array.from_buffers(own_type, 5, [validity, *own.buffers()[1:]])
    else:
        own = pc.if_else(pa.array([False, True] * 2 + [False]), own, None)
    plain = pa.array([value] * 6, plain_type).slice(1)
    null, here = (b"\0", b"\x02") if null_first else (b"\x02", b"\0")
    expected = [null + null + data, here + data + here + data + data] * 2 + [null + null + data]
    assert bodies(of, strategy, outer, own, plain) == expected
    assert bodies(of, strategy, *(column.slice(1, 3) for column in (outer, own, plain))) == expected[1:4]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_more_than_255_byte_columns(strategy: Strategy) -> None:
    of = contract(*[["null", "long"]] * 40)
    column = pa.array([2**62, None, 1], pa.int64())
    expected = [b"\x02" + varint(2**62), b"\0", b"\x02\x02"]
    assert bodies(of, strategy, *[column] * 40) == [data * 40 for data in expected]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("size", [None, 2, 9])
def test_decimals_of_too_many_digits_are_refused_not_cut(strategy: Strategy, size: int | None) -> None:
    """The limit is the number of bytes that the precision can need:
    any value that fits into these bytes passes, as before."""
    decimal = {"logicalType": "decimal", "precision": 3, "scale": 0}
    of = contract(["null", fixed("H", size, **decimal) if size else {"type": "bytes"} | decimal])
    for value in (2**15 - 1, -(2**15)):
        assert len(bodies(of, strategy, misfit(value))) == 1
    for value in (2**15, -(2**15) - 1, 10**9, 2**63, -(10**36)):
        with pytest.raises(EncodingError, match="v0: a decimal of more than 3 digits"):
            bodies(of, strategy, misfit(value))


def misfit(value: int) -> pa.Array:
    """A decimal of three digits whose buffer has more digits."""
    wide = pa.array([Decimal(value)], pa.decimal128(38, 0))
    return pa.Array.from_buffers(pa.decimal128(3, 0), 1, wide.buffers())


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "36 characters"),
        (ID[:-1].encode(), "36 characters"),
        ((ID + "0").encode(), "36 characters"),
        (ID.replace("-", "").encode(), "36 characters"),
        (b"{" + ID.encode() + b"}", "36 characters"),
        ((ID[:-1] + "é").encode(), "36 characters"),
        ((ID[:-1] + "g").encode(), "other than hexadecimal"),
        ((ID[:-1] + " ").encode(), "other than hexadecimal"),
        ((ID[:-2] + "é").encode(), "other than hexadecimal"),
        (ID[:-1].encode() + b"\xff", "other than hexadecimal"),
    ],
)
def test_what_is_no_uuid_is_refused(strategy: Strategy, text: bytes, why: str) -> None:
    of = contract(["null", fixed("I", 16, logicalType="uuid")])
    column = raw_text([ID.encode(), text])
    with pytest.raises(EncodingError, match=f"v0: a uuid.*{why}"):
        bodies(of, strategy, column)
    # Not if it is below a null.
    assert len(bodies(of, strategy, raw_text([ID.encode(), text], hidden=True))) == 2


NOT_UTF8 = {
    "a byte alone": b"\x80",
    "a byte that never occurs": b"\xff",
    "cut off": b"\xe2\x82",
    "not the shortest form": b"\xc0\xaf",
    "not the shortest form of three bytes": b"\xe0\x9f\xbf",
    "not the shortest form of four bytes": b"\xf0\x8f\xbf\xbf",
    "half of a surrogate pair": b"\xed\xa0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "a start in the place of what follows": b"\xe2\xe2\x82\xac",
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("broken", NOT_UTF8.values(), ids=NOT_UTF8)
@pytest.mark.parametrize(
    "avro", ["string", {"type": "map", "values": "int"}, {"type": "string", "logicalType": "uuid"}]
)
def test_text_that_is_not_utf8_is_refused(strategy: Strategy, avro: Any, broken: bytes) -> None:
    is_map = isinstance(avro, dict) and avro["type"] == "map"
    of = contract(avro if is_map else ["null", avro])
    for around in (b"", b"before it", b"exactly 8"):
        text = around + broken + around
        if is_map:
            entries = pa.array([[("a", 1)], [("b", 1)]], of.arrow_schema.types[1])
            column = pa.MapArray.from_arrays(entries.offsets, raw_text([b"a", text]), entries.items)
        else:
            column = raw_text([b"a", text])
        with pytest.raises(EncodingError, match=r"v0.*: text that is not UTF-8"):
            bodies(of, strategy, column)
    if not is_map:
        assert bodies(of, strategy, raw_text([b"a", broken], hidden=True))[1] == b"\0"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_text_of_every_kind_of_character_is_written(strategy: Strategy) -> None:
    ends = (
        0x7F,
        0x80,
        0x7FF,
        0x800,
        0xFFF,
        0x1000,
        0xCFFF,
        0xD7FF,
        0xE000,
        0xFFFF,
        0x10000,
        0x3FFFF,
        0x40000,
        0x10FFFF,
    )
    texts = [" " * n + chr(code) * 3 + "x" * (9 - n) for code in ends for n in range(10)]
    expected = [varint(len(text.encode())) + text.encode() for text in texts]
    assert bodies(contract("string"), strategy, pa.array(texts)) == expected


def raw_text(values: list[bytes], *, hidden: bool = False) -> pa.Array:
    """Text with these bytes; `hidden`: the last one is below a null."""
    _, offsets, data = pa.array(values, pa.binary()).buffers()
    validity = pa.py_buffer(bytes([2 ** (len(values) - 1) - 1])) if hidden else None
    return pa.Array.from_buffers(pa.string(), len(values), [validity, offsets, data])
