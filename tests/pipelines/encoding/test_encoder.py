"""Keys, values and ids of the record encoder, in examples."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract import Contract, parse_contract
from pipelines.encoding import EncodingError, RecordEncoder, decode_record
from pipelines.encoding.encoder import Strategy
from pipelines.encoding.event_id import can_hash, compiled_digests, plain_digests
from tests.pipelines.encoding.strategies import STRATEGIES

UUID_TEXT = {"type": "string", "logicalType": "uuid"}
UUID_FIXED = {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"}


def contract(**types: Any) -> Contract:
    fields = [{"name": name, "type": avro} for name, avro in types.items()]
    return parse_contract(json.dumps({"type": "record", "name": "R", "fields": fields}), Path("r.avsc"))


def batch(of: Contract, *rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=of.arrow_schema)


@pytest.mark.parametrize(
    ("avro", "value", "expected"),
    [
        ("string", "é", "é".encode()),
        ("int", -12, b"-12"),
        ("long", 2**63 - 1, b"9223372036854775807"),
        ("bytes", b"\x00\xff", b"\x00\xff"),
        ({"type": "fixed", "name": "F", "size": 3}, b"\x00ab", b"\x00ab"),
        ({"type": "enum", "name": "E", "symbols": ["EWR", "JFK"]}, "JFK", b"JFK"),
        (UUID_TEXT, "00112233-4455-6677-8899-aabbccddeeff", b"00112233-4455-6677-8899-aabbccddeeff"),
        (UUID_FIXED, "00112233-4455-6677-8899-aabbccddeeff", b"00112233-4455-6677-8899-aabbccddeeff"),
    ],
)
def test_key_bytes(avro: Any, value: Any, expected: bytes) -> None:
    of = contract(k=avro)
    encoded = RecordEncoder(of, schema_id=1, topic="t.v1", key="k").encode(batch(of, {"k": value}))
    assert encoded.keys.to_pylist() == [expected]
    assert encoded.keys.type == pa.binary()


@pytest.mark.parametrize(
    "avro",
    [
        "double",
        "boolean",
        ["null", "string"],
        {"type": "long", "logicalType": "timestamp-micros"},
        {"type": "bytes", "logicalType": "decimal", "precision": 4},
        {"type": "array", "items": "string"},
    ],
)
def test_keys_without_one_text_are_refused(avro: Any) -> None:
    with pytest.raises(EncodingError, match="key field 'k' is"):
        RecordEncoder(contract(k=avro), schema_id=1, topic="t.v1", key="k")


def test_unknown_key_is_refused_and_so_is_an_id_of_another_type() -> None:
    with pytest.raises(EncodingError, match="'other' is not a field"):
        RecordEncoder(contract(k="string"), schema_id=1, topic="t.v1", key="other")
    with pytest.raises(EncodingError, match="event id field 'id' is long"):
        RecordEncoder(contract(k="string", id="long"), schema_id=1, topic="t.v1", key="k", event_id="id")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_values_decode_with_their_logical_types(strategy: Strategy) -> None:
    of = contract(
        k="string",
        price=["null", {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}],
        at={"type": "long", "logicalType": "timestamp-micros"},
        day={"type": "int", "logicalType": "date"},
        clock={"type": "long", "logicalType": "time-micros"},
        ref=UUID_TEXT,
        legs={"type": "array", "items": {"type": "map", "values": ["null", "int"]}},
    )
    row = {
        "k": "a",
        "price": Decimal("-9999999999999999999999999999.9999999999"),
        "at": datetime(2013, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        "day": date(1969, 12, 31),
        "clock": time(23, 59, 59, 999999),
        "ref": "00112233-4455-6677-8899-aabbccddeeff",
        "legs": [[("b", 1), ("a", None)], []],
    }
    encoder = RecordEncoder(of, schema_id=1, topic="t.v1", key="k", strategy=strategy)
    (value,) = encoder.encode(batch(of, row)).values.to_pylist()
    expected = row | {"ref": UUID(str(row["ref"])), "legs": [{"a": None, "b": 1}, {}]}
    assert decode_record(value, {1: of.text}.__getitem__) == expected


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "id_type", ["string", UUID_TEXT, UUID_FIXED, ["null", UUID_TEXT], [UUID_FIXED, "null"]]
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_event_id_is_the_documented_hash(strategy: Strategy, id_type: Any, place: int) -> None:
    types = [("k", "string"), ("n", "int")]
    of = contract(**dict([*types[:place], ("id", id_type), *types[place:]]))
    encoder = RecordEncoder(of, schema_id=5, topic="t.v1", key="k", event_id="id", strategy=strategy)
    encoded = encoder.encode(batch(of.without("id"), {"k": "AA", "n": -3}))
    body = b"\x04AA" + b"\x05"
    digest = bytearray(sha256(b"sluice.event-id.v1\0t.v1\0" + b"\0\0\0\x02AA" + body).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    expected = UUID(bytes=bytes(digest))
    assert expected.version == 8
    assert encoded.event_ids is not None
    assert encoded.event_ids.to_pylist() == [str(expected)]
    decoded = decode_record(encoded.values[0].as_py(), lambda _: of.text)
    assert decoded["id"] == (str(expected) if id_type == "string" else expected)
    assert (decoded["k"], decoded["n"]) == ("AA", -3)


@pytest.mark.skipif(
    not can_hash(), reason="needs the compiled library and a processor with SHA-256 instructions"
)
@given(st.lists(st.tuples(*[st.binary(max_size=200)] * 3), max_size=20), st.binary(max_size=130))
def test_digests_are_those_of_hashlib(rows: list[tuple[bytes, bytes, bytes]], head: bytes) -> None:
    # From the second row on: the rows before a slice are not hashed.
    columns = [pa.array([b"before", *part], pa.large_binary()).slice(1) for part in zip(*rows, strict=True)]
    if not columns:
        columns = [pa.array([], pa.large_binary())] * 3
    assert compiled_digests(head, *columns).tolist() == plain_digests(head, *columns).tolist()


@pytest.mark.skipif(
    not can_hash(), reason="needs the compiled library and a processor with SHA-256 instructions"
)
def test_digests_of_every_length_around_a_block() -> None:
    front = pa.array([b"x" * length for length in range(200)], pa.large_binary())
    back = pa.array([b"y" * (length % 7) for length in range(200)], pa.large_binary())
    keys = pa.array([b"k"] * 200, pa.binary())
    assert (compiled_digests(b"", keys, front, back) == plain_digests(b"", keys, front, back)).all()


def test_a_golden_id_never_changes() -> None:
    of = contract(k="string", n="int")
    encoder = RecordEncoder(of, schema_id=5, topic="t.v1", key="k")
    ids = encoder.encode(batch(of, {"k": "AA", "n": -3}), with_ids=True).event_ids
    assert ids is not None
    assert ids.to_pylist() == ["3fe3121a-e4f5-8a7f-a07b-e4008d0793d0"]


def test_ids_only_where_asked_and_independent_of_schema_id_and_strategy() -> None:
    of = contract(k="string", m={"type": "map", "values": "int"})
    rows = [{"k": "a", "m": [("x", 1), ("y", 2)]}, {"k": "a", "m": [("y", 2), ("x", 1)]}, {"k": "b", "m": []}]
    ids = []
    ways: list[Strategy] = ["auto", "fastavro"]
    for schema_id, strategy in enumerate(ways):
        encoder = RecordEncoder(of, schema_id=schema_id, topic="t.v1", key="k", strategy=strategy)
        assert encoder.encode(batch(of, *rows)).event_ids is None  # type: ignore[arg-type]
        ids.append(encoder.encode(batch(of, *rows), with_ids=True).event_ids)  # type: ignore[arg-type]
    assert all(other == ids[0] for other in ids)
    first, reordered, other = ids[0].to_pylist()
    assert first == reordered != other


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_counts_and_bytes(strategy: Strategy) -> None:
    of = contract(k="string")
    encoder = RecordEncoder(of, schema_id=1, topic="t.v1", key="k", strategy=strategy)
    rows = batch(of, {"k": "a"}, {"k": "bb"}, {"k": "ccc"})
    encoded = encoder.encode(rows.slice(1))
    assert len(encoded) == 2
    assert encoded.total_bytes == 2 + 3 + sum(map(len, encoded.values.to_pylist()))
    assert encoded.values.to_pylist() == [b"\0\0\0\0\x01\x04bb", b"\0\0\0\0\x01\x06ccc"]
    empty = encoder.encode(rows.slice(3))
    assert (len(empty), empty.total_bytes) == (0, 0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_null_where_a_value_is_required_is_refused_with_its_path(strategy: Strategy) -> None:
    leg = {"type": "record", "name": "Leg", "fields": [{"name": "fuel", "type": "boolean"}]}
    of = contract(k="string", legs=["null", {"type": "array", "items": leg}])
    encoder = RecordEncoder(of, schema_id=1, topic="t.v1", key="k", strategy=strategy)
    encoder.encode(batch(of, {"k": "a", "legs": None}))
    with pytest.raises(EncodingError, match=r"legs\[\]\.fuel: null in 1 places, first at 1"):
        encoder.encode(batch(of, {"k": "a", "legs": [{"fuel": True}, {"fuel": None}]}))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_unknown_symbol_is_refused(strategy: Strategy) -> None:
    of = contract(k="string", e=["null", {"type": "enum", "name": "E", "symbols": ["A", "B"]}])
    encoder = RecordEncoder(of, schema_id=1, topic="t.v1", key="k", strategy=strategy)
    with pytest.raises(EncodingError, match="'C'"):
        encoder.encode(batch(of, {"k": "a", "e": "A"}, {"k": "a", "e": "C"}))


def test_rows_of_another_schema_are_refused() -> None:
    of = contract(k="string", n="int")
    encoder = RecordEncoder(of, schema_id=1, topic="t.v1", key="k")
    wider = pa.RecordBatch.from_pydict({"k": ["a"], "n": pa.array([1], pa.int64())})
    with pytest.raises(EncodingError, match=r"rows of schema \(k: string, n: int64\)"):
        encoder.encode(wider)


@pytest.mark.parametrize("with_ids", [False, True])
def test_a_batch_larger_than_one_slice_is_the_same_as_its_rows(with_ids: bool) -> None:
    of = contract(k="string", n=["null", "long"], legs={"type": "array", "items": "string"})
    count = 70_001
    rows = pa.RecordBatch.from_pydict(
        {
            "k": [f"key-{row}" for row in range(count)],
            "n": [None if row % 3 == 0 else row << (row % 40) for row in range(count)],
            "legs": [["leg"] * (row % 3) for row in range(count)],
        },
        schema=of.arrow_schema,
    )
    encoder = RecordEncoder(of, schema_id=1, topic="t.v1", key="k")
    slow = RecordEncoder(of, schema_id=1, topic="t.v1", key="k", strategy="fastavro")
    whole = encoder.encode(rows, with_ids=with_ids)
    assert len(whole) == count
    for start in (0, 32_760, 65_530, count - 10):
        part = slow.encode(rows.slice(start, 10), with_ids=with_ids)
        assert whole.keys.slice(start, 10) == part.keys
        assert whole.values.slice(start, 10) == part.values
        assert with_ids == (whole.event_ids is not None)
        if whole.event_ids is not None:
            assert whole.event_ids.slice(start, 10) == part.event_ids
