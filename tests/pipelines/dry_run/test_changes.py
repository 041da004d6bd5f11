"""Equal values are not a change, whatever type or contract they were written with; differences are named."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contract import Contract, parse_contract
from pipelines.contract.temporal import WideDate, WideTimestamp, timestamp_of
from pipelines.dry_run.changes import Side, changes, first_rows, same
from pipelines.encoding import RecordEncoder

ID = "00112233-4455-6677-8899-aabbccddeeff"
NEW_YORK = dt.timezone(dt.timedelta(hours=-5))
NAN = float("nan")


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (Decimal("1.50"), Decimal("1.5")),
        (Decimal(10) ** 75, Decimal(10) ** 75 + Decimal(0)),
        (1, 1.0),
        (NAN, NAN),
        (-0.0, -0.0),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": [{"b": NAN}]}, {"a": [{"b": NAN}]}),
        (UUID(ID), ID),
        ("text", b"text"),
        (dt.datetime(2024, 1, 1, 5, tzinfo=dt.UTC), dt.datetime(2024, 1, 1, 0, tzinfo=NEW_YORK)),
        (timestamp_of(2**62, 1_000, zoned=True), timestamp_of(2**62 * 1000, 1_000_000, zoned=True)),
        (WideDate(2**31 - 1), WideDate(2**31 - 1)),
        (None, None),
    ],
)
def test_equal_values(was: Any, now: Any) -> None:
    assert same(was, now)
    assert same(now, was)
    assert same([{"k": was}], [{"k": now}])


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (Decimal("1.50"), Decimal("1.51")),
        (Decimal("1" * 76), Decimal("1" * 75 + "2")),
        (2**53, float(2**53) + 2),
        (2**63 - 1, float(2**63)),
        (0.0, -0.0),
        (0.0, NAN),
        (1, True),
        (0, None),
        ("", None),
        ({"a": 1}, {"a": 1, "b": None}),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ("1", 1),
        (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1)),
        (timestamp_of(1, 1_000_000_000, zoned=True), timestamp_of(0, 1_000_000_000, zoned=True)),
        (WideTimestamp(2**62, 1_000, True), WideTimestamp(2**62, 1_000, False)),
        (dt.date(2024, 1, 1), WideDate(2**31 - 1)),
    ],
)
def test_different_values(was: Any, now: Any) -> None:
    assert not same(was, now)
    assert not same(now, was)
    assert not same([{"k": was}], [{"k": now}])


KEY, AT = (
    {"name": "id", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
)
VALUES: dict[str, tuple[Any, Any, Any]] = {
    "decimal": ({"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 10}, Decimal("1.5"), "1.5000000000"),
    "large decimal": ({"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 38}, Decimal("1E-38"), "0." + "0" * 37 + "1"),
    "no number": ("double", NAN, "NaN"),
    "infinity": ({"type": "array", "items": "float"}, [float("inf"), float("-inf")], ["Infinity", "-Infinity"]),
    "float": ("float", 0.1, 0.10000000149011612),
    "double": ("double", -0.0, -0.0),
    "bytes": ("bytes", b"\x00\xff", "00ff"),
    "uuid": ({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}, ID, ID),
    "text uuid": ({"type": "string", "logicalType": "uuid"}, ID, ID),
    "enum": ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "A", "A"),
    "nullable": (["null", "long"], None, None),
    "date": ({"type": "int", "logicalType": "date"}, dt.date(1, 1, 1), "0001-01-01"),
    "nanos": ({"type": "long", "logicalType": "timestamp-nanos"}, 1, "1970-01-01T00:00:00.000000001Z"),
    "local": ({"type": "long", "logicalType": "local-timestamp-millis"}, 2**62, "+146140482-04-24T15:36:27.904000"),
    "time": ({"type": "int", "logicalType": "time-millis"}, dt.time(1, 2, 3, 4000), "01:02:03.004000"),
    "map": ({"type": "map", "values": "double"}, [("b", 1.0), ("a", 2.0)], {"a": 2.0, "b": 1.0}),
    "record": (
        {"type": "record", "name": "N", "fields": [{"name": "l", "type": {"type": "array", "items": "bytes"}}]},
        {"l": [b"\x01"]},
        {"l": ["01"]},
    ),
}  # fmt: skip


def contract(*fields: dict[str, Any]) -> Contract:
    schema = {"type": "record", "name": "R", "fields": [KEY, AT, *fields]}
    return parse_contract(json.dumps(schema), Path("r.avsc"))


def side(of: Contract, *rows: dict[str, Any], cut: int | None = None) -> Side:
    arrays = [pa.array([row[field.name] for row in rows], field.arrow_type) for field in of.fields]
    batch = pa.RecordBatch.from_arrays(arrays, schema=of.arrow_schema)
    encoder = RecordEncoder(of, schema_id=1, topic="t.v1", key="id")
    parts = [batch.slice(0, 2), batch.slice(2)]
    return Side(
        lambda: first_rows(parts, len(batch) if cut is None else cut), batch.schema, encoder, "id", of.text
    )


def between(before: Side, after: Side) -> list[dict[str, Any]]:
    events = list(after.records(after.read()))
    found = changes(before, after, events, event_time="at", memory_limit="100MB")
    told = [dict(one) for one in found]
    json.loads(json.dumps(told, allow_nan=False))
    return told


@pytest.mark.parametrize("name", VALUES)
def test_values_of_every_type_that_did_not_change_are_not_named(name: str) -> None:
    avro, value, _ = VALUES[name]
    of = contract({"name": "x", "type": avro}, {"name": "n", "type": "long"})
    row = {"id": "a", "at": 0, "x": value}
    assert between(side(of, row | {"n": 1}), side(of, row | {"n": 2})) == [
        {"key": "a", "fields": {"n": (1, 2)}}
    ]


@pytest.mark.parametrize("name", VALUES)
def test_a_field_that_the_published_contract_had_not_is_added(name: str) -> None:
    avro, value, told = VALUES[name]
    old, new = contract(), contract({"name": "x", "type": avro})
    row = {"id": "a", "at": 0}
    assert between(side(old, row), side(new, row | {"x": value})) == [
        {"key": "a", "fields": {}, "added": {"x": told}}
    ]
    assert between(side(new, row | {"x": value}), side(old, row)) == [
        {"key": "a", "fields": {}, "removed": {"x": told}}
    ]


def enum(*symbols: str) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols)}


CENTS = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
FIXED_UUID = {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}


@pytest.mark.parametrize(
    ("old", "was", "new", "now", "told"),
    [
        (enum("A", "B"), "A", enum("B", "A"), "B", ("A", "B")),
        (CENTS, Decimal("1.50"), CENTS | {"scale": 3}, Decimal("0.150"), ("1.50", "0.150")),
        ({"type": "int", "logicalType": "date"}, dt.date(1970, 1, 2), "int", 1, ("1970-01-02", 1)),
    ],
)
def test_a_changed_value_is_named_though_its_bytes_are_the_same(
    old: Any, was: Any, new: Any, now: Any, told: tuple[Any, Any]
) -> None:
    row = {"id": "a", "at": 0}
    before, after = (
        side(contract({"name": "x", "type": kind}), row | {"x": value})
        for kind, value in ((old, was), (new, now))
    )
    assert between(before, after) == [{"key": "a", "fields": {"x": told}}]


@pytest.mark.parametrize(
    ("old", "was", "new", "now"),
    [
        ("double", NAN, "double", NAN),
        ("float", NAN, "double", NAN),
        ({"type": "array", "items": "double"}, [NAN], {"type": "array", "items": ["null", "double"]}, [NAN]),
        ({"type": "map", "values": "float"}, [("a", NAN)], {"type": "map", "values": "double"}, [("a", NAN)]),
        (FIXED_UUID, ID, "string", ID),
        ({"type": "string", "logicalType": "uuid"}, ID, ["null", "string"], ID),
        ("string", "text", "bytes", b"text"),
    ],
)
def test_equal_values_of_another_type_are_not_named(old: Any, was: Any, new: Any, now: Any) -> None:
    row = {"id": "a", "at": 0}
    before, after = (
        side(contract({"name": "x", "type": kind}, {"name": "n", "type": "long"}), row | {"x": value, "n": n})
        for n, (kind, value) in enumerate(((old, was), (new, now)))
    )
    assert between(before, after) == [{"key": "a", "fields": {"n": (0, 1)}}]


def test_a_zero_that_changed_its_sign_is_named() -> None:
    of, row = contract({"name": "x", "type": "double"}), {"id": "a", "at": 0}
    (found,) = between(side(of, row | {"x": 0.0}), side(of, row | {"x": -0.0}))
    assert str(found["fields"]["x"]) == "(0.0, -0.0)"


def test_a_renamed_field_is_named_though_no_byte_changed() -> None:
    row = {"id": "a", "at": 0}
    before = side(contract({"name": "x", "type": "long"}), row | {"x": 1})
    after = side(contract({"name": "y", "type": "long"}), row | {"y": 1})
    assert between(before, after) == [{"key": "a", "fields": {}, "added": {"y": 1}, "removed": {"x": 1}}]


@pytest.mark.parametrize(
    ("old", "stays", "was", "new", "now"),
    [
        (enum("A", "B"), "A", "B", enum("C", "A"), "C"),  # one symbol removed, another one moved
        ("string", ID, "text", FIXED_UUID, ID.replace("0", "1")),
    ],
)
def test_an_event_that_stays_under_another_contract_is_beside_none(
    old: Any, stays: Any, was: Any, new: Any, now: Any
) -> None:
    rows = [{"id": "a", "at": 0}, {"id": "a", "at": 1}]
    before = side(contract({"name": "x", "type": old}), rows[0] | {"x": stays}, rows[1] | {"x": was})
    after = side(contract({"name": "x", "type": new}), rows[0] | {"x": stays}, rows[1] | {"x": now})
    events = list(after.records(after.read()))[1:]
    (found,) = changes(before, after, events, event_time="none of theirs", memory_limit="100MB")
    assert found == {"key": "a", "fields": {"x": (was, now)}}


def test_each_event_is_beside_the_one_it_replaces_and_not_beside_one_that_stays() -> None:
    of = contract({"name": "n", "type": "long"})

    def row(at: int, n: int) -> dict[str, Any]:
        return {"id": "a", "at": at, "n": n}

    before = side(of, row(0, 1), row(1, 1), row(2, 1), row(3, 1))
    after = side(of, row(0, 1), row(1, 1), row(3, 5), row(2, 4))
    events = list(after.records(after.read()))[2:]
    found = list(changes(before, after, events, event_time="at", memory_limit="100MB"))
    assert found == [{"key": "a", "fields": {"n": (1, 5)}}, {"key": "a", "fields": {"n": (1, 4)}}]
    # Of an unfinished publication, only the first rows are on the topic.
    cut = side(of, row(0, 1), row(1, 1), row(2, 1), row(3, 1), cut=3)
    assert len(list(changes(cut, after, events, event_time="at", memory_limit="100MB"))) == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 2)), max_size=8))
def test_nothing_changed_where_the_same_rows_come_in_another_order(rows: list[tuple[str, int, int]]) -> None:
    of = contract({"name": "n", "type": "long"})
    told = [dict(zip(("id", "at", "n"), row, strict=True)) for row in rows]
    assert between(side(of, *told), side(of, *reversed(told))) == []
