"""Our comparison of schemas has the `avro` package's verdicts,
and sentences that tell a reader what to do."""

import json
from typing import Any

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.registry.compatibility import unreadable


def parse(schema: Any) -> Any:
    return avro.schema.parse(json.dumps(schema))


def record(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields), **more}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
LEAVES = st.one_of(
    st.sampled_from(PRIMITIVES),
    st.sampled_from([{"type": "array", "items": kind} for kind in ("int", "long", "string")]),
    st.sampled_from([{"type": "map", "values": kind} for kind in ("int", "double")]),
    st.sampled_from([enum("X"), enum("X", "Y"), enum("X", "Z", default="X")]),
    st.sampled_from([{"type": "fixed", "name": "F", "size": size} for size in (2, 3)]),
    st.sampled_from(
        [
            {"type": "record", "name": "N", "fields": [field("v", kind), *more]}
            for kind in ("int", "long")
            for more in ([], [field("next", ["null", "N"], default=None)])
        ]
    ),
)


def _kind(schema: Any) -> str:
    return schema if isinstance(schema, str) else schema["type"]


KINDS = st.one_of(LEAVES, st.lists(LEAVES, min_size=1, max_size=3, unique_by=_kind))


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    fields = []
    used: set[str] = set()
    for name in draw(st.lists(st.sampled_from("abc"), unique=True)):
        kind = draw(KINDS)
        # A name is defined once in a schema.
        names = {part["name"] for part in (kind if isinstance(kind, list) else [kind]) if "name" in part}
        if names & used:
            kind = "int"
        used |= names
        # For the comparison only the existence of a default matters, not its value.
        fields.append(field(name, kind, **({"default": 0} if draw(st.booleans()) and kind == "int" else {})))
    return record(*fields)


@given(reader=records(), writer=records())
@settings(max_examples=600, deadline=None)
def test_the_verdict_is_the_avro_packages(reader: dict[str, Any], writer: dict[str, Any]) -> None:
    expected = ReaderWriterCompatibilityChecker().get_compatibility(parse(reader), parse(writer))
    readable = expected.compatibility is SchemaCompatibilityType.compatible
    assert (unreadable(parse(reader), parse(writer)) == []) is readable


@pytest.mark.parametrize(
    ("reader", "writer", "said"),
    [
        (
            record(field("x", "int")),
            record(),
            ["field 'x': it is missing from the data and has no default"],
        ),
        (
            record(field("y", "int"), field("x", "int")),
            record(field("x", "string")),
            [
                "field 'y': it is missing from the data and has no default",
                "field 'x': int cannot hold string",
            ],
        ),
        (record(field("x", "int")), record(field("x", ["null", "int"])), ["field 'x': int cannot hold null"]),
        (
            record(field("x", ["null", "int"])),
            record(field("x", "string")),
            ["field 'x': [null, int] cannot hold string"],
        ),
        (
            record(field("e", enum("A"))),
            record(field("e", enum("A", "B", "C"))),
            ["field 'e': enum E has no default and lacks B, C"],
        ),
        (
            record(field("legs", {"type": "array", "items": record(field("fuel", "int"), name="Leg")})),
            record(field("legs", {"type": "array", "items": record(field("fuel", "double"), name="Leg")})),
            ["field 'legs[].fuel': int cannot hold double"],
        ),
        (
            record(field("leg", ["null", record(field("fuel", "int"), name="Leg")])),
            record(field("leg", ["null", record(field("fuel", "double"), name="Leg")])),
            ["field 'leg.fuel': int cannot hold double"],
        ),
        (
            {"type": "fixed", "name": "F", "size": 2},
            {"type": "fixed", "name": "F", "size": 3},
            ["fixed of 2 bytes cannot hold 3 bytes"],
        ),
        (record(name="New"), record(name="Old"), ["record 'Old' became 'New' without an alias"]),
    ],
)
def test_the_reason_names_the_field_and_both_sides(reader: Any, writer: Any, said: list[str]) -> None:
    assert unreadable(parse(reader), parse(writer)) == said


@pytest.mark.parametrize("alias", ["Old", "n.Old"])
def test_a_rename_with_an_alias_is_readable_however_the_alias_is_written(alias: str) -> None:
    reader = record(name="New", namespace="n", aliases=[alias])
    assert unreadable(parse(reader), parse(record(name="Old", namespace="n"))) == []


def test_a_field_is_found_by_its_alias() -> None:
    assert unreadable(parse(record(field("b", "int", aliases=["a"]))), parse(record(field("a", "int")))) == []
