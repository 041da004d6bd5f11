"""A change of meaning with unchanged bytes is detected wherever it is
and in its direction, and nothing else is."""

import json
from typing import Any

import pytest

from resources.registry.logical_types import misreadings
from resources.registry.schemas import parsed_schema


def logical(name: str, kind: str = "long") -> dict[str, Any]:
    return {"type": kind, "logicalType": name}


MILLIS, MICROS = logical("timestamp-millis"), logical("timestamp-micros")
DATE = logical("date", "int")


def decimal(precision: int, scale: int, **more: Any) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale, **more}


def fixed(logical_type: str, size: int = 12, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": "F", "size": size, "logicalType": logical_type, **more}


def schema(kind: Any) -> Any:
    return parsed({"type": "record", "name": "R", "fields": [{"name": "x", "type": kind}]})


def parsed(tree: Any) -> Any:
    return parsed_schema(json.dumps(tree))


def nested(kind: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "N", "fields": [{"name": "y", "type": kind}], **more}


def paths(reader: Any, writer: Any) -> list[str]:
    return [one.path for one in misreadings(reader, writer)]


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        (MILLIS, MICROS, "x"),
        (MILLIS, logical("timestamp-nanos"), "x"),
        (MILLIS, logical("local-timestamp-millis"), "x"),
        (logical("local-timestamp-millis"), logical("local-timestamp-micros"), "x"),
        (MICROS, logical("time-micros"), "x"),
        (DATE, logical("time-millis", "int"), "x"),
        (logical("uuid", "string"), decimal(9, 2), "x"),
        (["null", MILLIS], ["null", MICROS], "x"),
        (["null", MILLIS], [MICROS, "null"], "x"),
        (["null", "string", MILLIS], ["null", MICROS, "string"], "x"),
        (MILLIS, ["null", MICROS], "x"),
        (["null", DATE, MILLIS], ["null", DATE, MICROS], "x"),
        (decimal(9, 2), decimal(9, 3), "x"),
        (decimal(9, 0), {**decimal(9, 0), "scale": 1}, "x"),
        (fixed("decimal", precision=9, scale=2), fixed("decimal", precision=9, scale=4), "x"),
        (fixed("decimal", precision=9, scale=2), fixed("duration"), "x"),
        ({"type": "array", "items": MILLIS}, {"type": "array", "items": MICROS}, "x[]"),
        ({"type": "map", "values": MILLIS}, {"type": "map", "values": MICROS}, "x[]"),
        ({"type": "array", "items": ["null", MILLIS]}, {"type": "array", "items": ["null", MICROS]}, "x[]"),
        (nested(MILLIS), nested(MICROS), "x.y"),
        (["null", nested(MILLIS)], ["null", nested(MICROS)], "x.y"),
        (["null", nested(MILLIS)], ["null", nested(MICROS, name="M")], "x.y"),
        ({"type": "map", "values": {"type": "array", "items": nested(MILLIS)}},
         {"type": "map", "values": {"type": "array", "items": nested(MICROS)}}, "x[][].y"),
    ],
)  # fmt: skip
def test_another_meaning_of_the_same_bytes_is_seen_by_readers_of_either_side(
    one: Any, other: Any, path: str
) -> None:
    assert paths(schema(one), schema(other)) == [path]
    assert paths(schema(other), schema(one)) == [path]


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        (MILLIS, DATE),
        (logical("time-micros"), logical("time-millis", "int")),
        (["null", MILLIS], DATE),
        (decimal(9, 2), decimal(12, 2)),
    ],
)
def test_what_only_one_side_can_read_is_wrong_in_that_direction(reader: Any, writer: Any) -> None:
    assert paths(schema(reader), schema(writer)) == ["x"]
    assert paths(schema(writer), schema(reader)) == []


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        (MILLIS, MILLIS),
        (["null", MILLIS], MILLIS),
        (MILLIS, "long"),
        ("long", MILLIS),
        (decimal(12, 2), decimal(9, 2)),
        (decimal(9, 0), {"type": "bytes", "logicalType": "decimal", "precision": 9}),
        ("string", "int"),
        (["null", MILLIS], ["null", "string"]),
        (["null", DATE, MICROS], ["null", DATE]),
        (logical("uuid", "string"), "string"),
        # Avro ignores a logical type on a type that it is not defined for.
        (logical("timestamp-millis", "string"), logical("timestamp-micros", "string")),
        (fixed("duration"), fixed("uuid", 16)),
    ],
)
def test_nothing_else_is_a_change_of_meaning(reader: Any, writer: Any) -> None:
    assert misreadings(schema(reader), schema(writer)) == []


def test_a_value_is_read_with_its_own_branch_before_one_that_it_is_promoted_to() -> None:
    both = schema(["null", MILLIS, DATE])
    assert misreadings(both, schema(DATE)) == []
    assert paths(schema(["null", MILLIS]), schema(["null", DATE])) == ["x"]


def test_a_field_is_followed_by_the_alias_of_the_reader_alone() -> None:
    old = parsed({"type": "record", "name": "R", "fields": [{"name": "at", "type": MILLIS}]})
    new = parsed(
        {
            "type": "record",
            "name": "R",
            "fields": [{"name": "departed_at", "aliases": ["at"], "type": MICROS, "default": 0}],
        }
    )
    assert paths(new, old) == ["departed_at"]
    assert paths(old, new) == []


def test_a_type_is_followed_by_name_alias_and_namespace() -> None:
    def holding(kind: Any, **named: Any) -> Any:
        inner = {"type": "record", **named, "fields": [{"name": "y", "type": kind}]}
        return parsed({"type": "record", "name": "a.R", "fields": [{"name": "x", "type": ["null", inner]}]})

    old = holding(MILLIS, name="N")
    assert paths(holding(MICROS, name="a.N"), old) == ["x.y"]
    assert paths(holding(MICROS, name="M", aliases=["N"]), old) == ["x.y"]
    assert paths(holding(MICROS, name="b.M", aliases=["a.N"]), old) == ["x.y"]


def test_a_type_defined_once_and_named_twice_is_followed() -> None:
    def both(kind: Any) -> Any:
        inner = {"type": "record", "name": "ns.N", "fields": [{"name": "y", "type": kind}]}
        return parsed(
            {
                "type": "record",
                "name": "R",
                "fields": [{"name": "a", "type": inner}, {"name": "b", "type": "ns.N"}],
            }
        )

    assert paths(both(MILLIS), both(MICROS)) == ["a.y"], "one definition, one change"


def test_a_type_within_itself_ends() -> None:
    def list_of(kind: Any) -> Any:
        fields = [{"name": "v", "type": kind}, {"name": "next", "type": ["null", "L"]}]
        return parsed({"type": "record", "name": "L", "fields": fields})

    assert paths(list_of(MILLIS), list_of(MICROS)) == ["v"]
