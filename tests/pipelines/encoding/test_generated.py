"""Random contracts and rows: every way returns the bytes that fastavro writes for the plain values.

The expected bytes do not pass through Arrow or the encoder: each generated value comes with the ints, bytes
and strings that it is according to Avro 1.12, and fastavro writes those with a schema without logical types.
"""

import datetime as dt
import json
import os
import uuid
from dataclasses import dataclass
from decimal import Context, Decimal
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.cli.output.values import to_cell, to_json
from pipelines.contract import parse_contract
from pipelines.contract.temporal import WideDate, WideTimestamp
from pipelines.encoding import RecordEncoder, RecordJudge, decode_record
from pipelines.encoding.encoder import Strategy
from pipelines.reconciling.records.event_reader import ReadBack
from pipelines.reconciling.records.event_reader import printable as shown
from pipelines.transform.row_json import row_json
from tests.pipelines.encoding.strategies import STRATEGIES


@dataclass
class Type:
    """An Avro type, the same type without logical types,
    and values as (value for Arrow, value for fastavro)."""

    avro: Any
    plain: Any
    values: st.SearchStrategy[tuple[Any, Any]]
    inner: "Type | None" = None  # of a nullable type: the type without null


def same(avro: Any, plain: Any, values: st.SearchStrategy[Any]) -> Type:
    return Type(avro, plain, values.map(lambda value: (value, value)))


def around(bits: int) -> st.SearchStrategy[int]:
    """Ints of `bits` bits; half of them where a varint gets one byte longer."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    edges = [
        e
        for n in range(0, bits, 7)
        for s in (1, -1)
        for d in (-2, -1, 0, 1)
        if low <= (e := s * 2**n // 2 + d) <= high
    ]
    return st.sampled_from([*edges, low, high]) | st.integers(low, high) | st.integers(-70, 70)


INT, LONG = around(32), around(64)
TEXT = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["", "x" * 63, "x" * 64, "é" * 4100]
)
NAMES = (f"n{number}" for number in count())


def logical(base: str, name: str) -> Type:
    return same({"type": base, "logicalType": name}, base, INT if base == "int" else LONG)


def fixed_int(value: int, size: int | None) -> bytes:
    size = size or next(n for n in count(1) if -(1 << 8 * n - 1) <= value < 1 << 8 * n - 1)
    return value.to_bytes(size, "big", signed=True)


@st.composite
def decimals(draw: st.DrawFn) -> Type:
    precision = draw(st.integers(1, 76) | st.sampled_from([1, 9, 18, 19, 38, 39, 76]))
    scale = draw(st.integers(0, precision))
    least = next(n for n in count(1) if 10**precision <= 2 ** (8 * n - 1))
    size = draw(st.none() | st.integers(least, least + 3))
    top = 10**precision - 1
    edges = [
        e
        for n in (*range(0, 256, 8), *range(7, 256, 8))
        for e in (2**n, 2**n - 1, -(2**n), -(2**n) - 1)
        if abs(e) <= top
    ]
    ints = st.integers(-top, top) | st.sampled_from([*edges, 0, top, -top])
    context = Context(prec=80)

    def pair(value: int) -> tuple[Decimal, bytes]:
        return Decimal(value).scaleb(-scale, context), fixed_int(value, size)

    said = {"logicalType": "decimal", "precision": precision, "scale": scale}
    if size is None:
        return Type({"type": "bytes"} | said, "bytes", ints.map(pair))
    named = {"type": "fixed", "name": next(NAMES), "size": size}
    return Type(named | said, named, ints.map(pair))


@st.composite
def leaves(draw: st.DrawFn) -> Type:
    kind = draw(st.sampled_from(["fixed", "enum", "uuid", "decimal", "decimal", *SIMPLE]))
    if kind in SIMPLE:
        return SIMPLE[kind]
    if kind == "decimal":
        return draw(decimals())
    if kind == "enum":
        symbols = [f"S{n}" for n in range(draw(st.sampled_from([1, 2, 64, 65, 130])))]
        avro = {"type": "enum", "name": next(NAMES), "symbols": symbols}
        return same(avro, avro, st.sampled_from(symbols))
    if kind == "uuid":
        named = {"type": "fixed", "name": next(NAMES), "size": 16}
        return Type(named | {"logicalType": "uuid"}, named, st.uuids().map(lambda u: (str(u), u.bytes)))
    size = draw(st.integers(1, 20) | st.sampled_from([32, 33, 300]))
    named = {"type": "fixed", "name": next(NAMES), "size": size}
    return same(named, named, st.binary(min_size=size, max_size=size))


SIMPLE = {
    "boolean": same("boolean", "boolean", st.booleans()),
    "int": same("int", "int", INT),
    "long": same("long", "long", LONG),
    "float": same("float", "float", st.floats(width=32, allow_nan=False)),
    "double": same("double", "double", st.floats(allow_nan=False)),
    "string": same("string", "string", TEXT),
    "bytes": same("bytes", "bytes", st.binary(max_size=8)),
    "date": logical("int", "date"),
    "time-millis": logical("int", "time-millis"),
    "time-micros": logical("long", "time-micros"),
    **{
        name: logical("long", name)
        for unit in ("millis", "micros", "nanos")
        for name in (f"timestamp-{unit}", f"local-timestamp-{unit}")
    },
    "uuid-text": same({"type": "string", "logicalType": "uuid"}, "string", st.uuids().map(uuid.UUID.__str__)),
}


def nullable(inner: Type, first: bool) -> Type:
    def union(one: Any) -> Any:
        return ["null", one] if first else [one, "null"]

    return Type(union(inner.avro), union(inner.plain), st.just((None, None)) | inner.values, inner)


def array(items: Type) -> Type:
    values = st.lists(items.values, max_size=4) | st.lists(items.values, min_size=64, max_size=66)
    return Type(
        {"type": "array", "items": items.avro},
        {"type": "array", "items": items.plain},
        values.map(lambda pairs: ([a for a, _ in pairs], [b for _, b in pairs])),
    )


def mapping(items: Type) -> Type:
    def split(entries: dict[str, tuple[Any, Any]]) -> tuple[Any, Any]:
        # Arrow has them in the order in which they were generated;
        # the bytes are in the order of the keys' UTF-8.
        ordered = sorted(entries, key=str.encode)
        return [(key, pair[0]) for key, pair in entries.items()], {key: entries[key][1] for key in ordered}

    return Type(
        {"type": "map", "values": items.avro},
        {"type": "map", "values": items.plain},
        st.dictionaries(TEXT, items.values, max_size=4).map(split),
    )


def record(members: list[Type]) -> Type:
    name = next(NAMES)

    def schema(part: str) -> dict[str, Any]:
        fields = [{"name": f"f{n}", "type": getattr(member, part)} for n, member in enumerate(members)]
        return {"type": "record", "name": name, "fields": fields}

    def split(pairs: tuple[tuple[Any, Any], ...]) -> tuple[Any, Any]:
        return {f"f{n}": a for n, (a, _) in enumerate(pairs)}, {f"f{n}": b for n, (_, b) in enumerate(pairs)}

    return Type(schema("avro"), schema("plain"), st.tuples(*(m.values for m in members)).map(split))


def types() -> st.SearchStrategy[Type]:
    def maybe_null(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
        return st.one_of(inner, st.builds(nullable, inner, st.booleans()))

    def larger(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
        members = st.lists(inner, min_size=1, max_size=4)
        return maybe_null(
            st.one_of(st.builds(array, inner), st.builds(mapping, inner), st.builds(record, members))
        )

    return st.recursive(maybe_null(leaves()), larger, max_leaves=6)


def renamed(schema: Any, names: Any) -> Any:
    """`schema` with a new name for every named type: a generated type may occur in it twice."""
    if isinstance(schema, list):
        return [renamed(part, names) for part in schema]
    if not isinstance(schema, dict):
        return schema
    deeper = {key: renamed(schema[key], names) for key in ("type", "items", "values") if key in schema}
    if "fields" in schema:
        deeper["fields"] = [f | {"type": renamed(f["type"], names)} for f in schema["fields"]]
    if "name" in schema:
        deeper["name"] = f"t{next(names)}"
    return schema | deeper


def hide(array: pa.Array, hidden: list[bool]) -> pa.Array:
    """The array with nulls over some of its values, which stay in its buffers."""
    if not len(array):
        return array
    bits = sum(1 << place for place, covered in enumerate(hidden) if not covered)
    validity = pa.py_buffer(bits.to_bytes(len(array) // 8 + 1, "little"))
    children = array.type.num_fields
    if not children:
        return pa.Array.from_buffers(array.type, len(array), [validity, *array.buffers()[1:]])
    if pa.types.is_struct(array.type):
        inner = [array.field(n) for n in range(children)]
        return pa.Array.from_buffers(array.type, len(array), [validity], children=inner)
    inner = (
        [pa.StructArray.from_arrays([array.keys, array.items], fields=list(array.type.field(0).type))]
        if (pa.types.is_map(array.type))
        else [array.values]
    )
    return pa.Array.from_buffers(array.type, len(array), [validity, array.buffers()[1]], children=inner)


def by_fastavro(schema: Any, row: dict[str, Any]) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, schema, row)
    return out.getvalue()


EPOCH_DAY, EPOCH = dt.date(1970, 1, 1), dt.datetime(1970, 1, 1)
UNITS = {"millis": 1_000, "micros": 1_000_000, "nanos": 1_000_000_000}


def raw(value: Any, avro: Any) -> Any:
    """A decoded value as Avro stores it, computed only with Python's integers."""
    if isinstance(avro, list):
        return None if value is None else raw(value, next(one for one in avro if one != "null"))
    kind, name = (avro, None) if isinstance(avro, str) else (avro["type"], avro.get("logicalType"))
    if kind == "record":
        return {field["name"]: raw(value[field["name"]], field["type"]) for field in avro["fields"]}
    if kind == "array":
        return [raw(item, avro["items"]) for item in value]
    if kind == "map":
        return {key: raw(item, avro["values"]) for key, item in value.items()}
    if name is None or isinstance(value, int):
        assert name is None or not 0 <= value < 86_400 * UNITS[name.rpartition("-")[2]]
        return value
    if name == "uuid":
        return str(value) if kind == "string" else value.bytes
    if name == "decimal":
        sign, digits, exponent = value.as_tuple()
        assert -exponent == avro["scale"]
        return fixed_int((-1) ** sign * int("".join(map(str, digits))), avro.get("size"))
    if name == "date":
        return value.days if isinstance(value, WideDate) else (value - EPOCH_DAY).days
    unit = UNITS[name.rpartition("-")[2]]
    if isinstance(value, WideTimestamp):
        assert (value.per_second, value.zoned) == (unit, not name.startswith("local"))
        return value.count
    if isinstance(value, dt.time):
        value = dt.datetime.combine(EPOCH_DAY, value)
    assert (value.tzinfo is not None) == name.startswith("timestamp")
    micros = (value.replace(tzinfo=None) - EPOCH) // dt.timedelta(microseconds=1)
    assert micros * unit % 1_000_000 == 0
    return micros * unit // 1_000_000


@settings(
    deadline=None,
    max_examples=int(os.environ.get("SLUICE_ENCODING_EXAMPLES", "100")),
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_every_value_decodes_exactly_and_can_be_shown(data: st.DataObject) -> None:
    row_type = record([SIMPLE["string"], *data.draw(st.lists(types(), min_size=1, max_size=6))])
    schema = renamed(row_type.avro, count())
    contract = parse_contract(json.dumps(schema), Path("r.avsc"))
    arrow, _ = data.draw(row_type.values)
    columns = [pa.array([arrow[field.name]], field.arrow_type) for field in contract.fields]
    batch = pa.RecordBatch.from_arrays(columns, schema=contract.arrow_schema)
    encoder = RecordEncoder(contract, schema_id=7, topic="t.v1", key="f0")
    value = encoder.encode(batch).values[0].as_py()

    decoded = decode_record(value, lambda _: contract.text)

    parsed = fastavro.parse_schema(renamed(row_type.plain, count()))
    assert b"\0\0\0\0\x07" + by_fastavro(parsed, raw(decoded, schema)) == value
    json.loads(to_json(decoded), parse_constant=pytest.fail)
    printable = ReadBack(0, 0, 0, "k", decoded, {}, 7)
    json.loads(json.dumps(shown(printable), allow_nan=False))
    assert all(to_cell(part) for name, part in decoded.items() if part not in ("", b""))
    json.loads(row_json({name: column[0] for name, column in zip(batch.schema.names, columns, strict=True)}))


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(
    deadline=None,
    max_examples=int(os.environ.get("SLUICE_ENCODING_EXAMPLES", "100")),
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_bytes_are_those_of_fastavro(strategy: Strategy, data: st.DataObject) -> None:
    members = [SIMPLE["string"], *data.draw(st.lists(types(), min_size=1, max_size=6), label="types")]
    row_type = record(members)
    contract = parse_contract(json.dumps(renamed(row_type.avro, count())), Path("r.avsc"))
    hiding = [member.inner is not None and data.draw(st.booleans(), label="hide") for member in members]
    shown = [m.inner if m.inner and hide_it else m for m, hide_it in zip(members, hiding, strict=True)]
    pairs = data.draw(st.lists(record(shown).values, max_size=8), label="rows")
    columns, plain = [], [dict(b) for _, b in pairs]
    for field, hide_it in zip(contract.fields, hiding, strict=True):
        column = pa.array([a[field.name] for a, _ in pairs], field.arrow_type)
        if hide_it:
            hidden = data.draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs)))
            column = hide(column, hidden)
            for values, covered in zip(plain, hidden, strict=True):
                values[field.name] = None if covered else values[field.name]
        columns.append(column)
    whole = pa.RecordBatch.from_arrays(columns, schema=contract.arrow_schema)
    start = data.draw(st.integers(0, len(pairs)), label="start")
    length = data.draw(st.integers(0, len(pairs) - start), label="length")

    encoder = RecordEncoder(contract, schema_id=7, topic="t.v1", key="f0", strategy=strategy)
    encoded = encoder.encode(whole.slice(start, length))

    parsed = fastavro.parse_schema(renamed(row_type.plain, count()))
    expected = [b"\0\0\0\0\x07" + by_fastavro(parsed, row) for row in plain[start : start + length]]
    assert encoded.values.to_pylist() == expected
    encoded.values.validate(full=True)
    encoded.keys.validate(full=True)
    # The independent judge reads every kind of value as the rows hold it.
    judge = RecordJudge(encoder, event_time="f0", where="t w")
    judge.judge(whole.slice(start, length), range(length), encoded)
    assert judge.judged == length
