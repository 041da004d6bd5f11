"""A change of meaning on unchanged bytes is seen wherever it stands, and nothing else is."""

import json
from typing import Any

import pytest

from resources.registry.logical_types import meaning_changes

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def schema(kind: Any) -> str:
    return json.dumps({"type": "record", "name": "R", "fields": [{"name": "x", "type": kind}]})


def nested(kind: Any) -> dict[str, Any]:
    return {"type": "record", "name": "N", "fields": [{"name": "y", "type": kind}]}


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (MILLIS, MICROS, "x"),
        (["null", MILLIS], ["null", MICROS], "x"),
        (["null", MILLIS], [MICROS, "null"], "x"),
        (MILLIS, ["null", MICROS], "x"),
        (decimal(9, 2), decimal(9, 3), "x"),
        ({"type": "int", "logicalType": "date"}, MILLIS, "x"),
        (MILLIS, {"type": "long", "logicalType": "local-timestamp-millis"}, "x"),
        ({"type": "array", "items": MILLIS}, {"type": "array", "items": MICROS}, "x[]"),
        ({"type": "map", "values": MILLIS}, {"type": "map", "values": MICROS}, "x[]"),
        (nested(MILLIS), nested(MICROS), "x.y"),
        (["null", nested(MILLIS)], ["null", nested(MICROS)], "x.y"),
    ],
)
def test_a_change_of_meaning_names_the_field(old: Any, new: Any, path: str) -> None:
    changes = meaning_changes(schema(old), schema(new))
    assert len(changes) == 1
    assert changes[0].startswith(f"field {path!r}: ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (MILLIS, MILLIS),
        (MILLIS, ["null", MILLIS]),
        ("long", MILLIS),
        (MILLIS, "long"),
        (decimal(9, 2), decimal(12, 2)),
        ("int", "string"),
        (["null", "string"], ["null", MILLIS]),
    ],
)
def test_nothing_else_is_a_change_of_meaning(old: Any, new: Any) -> None:
    assert meaning_changes(schema(old), schema(new)) == []


def test_a_type_defined_once_and_named_twice_is_followed() -> None:
    def both(kind: Any) -> str:
        inner = {"type": "record", "name": "ns.N", "fields": [{"name": "y", "type": kind}]}
        fields = [{"name": "a", "type": inner}, {"name": "b", "type": "ns.N"}]
        return json.dumps({"type": "record", "name": "R", "fields": fields})

    changes = meaning_changes(both(MILLIS), both(MICROS))
    assert [one.split(":")[0] for one in changes] == ["field 'a.y'"], "one definition, one change"


def test_a_type_within_itself_ends() -> None:
    def list_of(kind: Any) -> str:
        fields = [{"name": "v", "type": kind}, {"name": "next", "type": ["null", "L"]}]
        return json.dumps({"type": "record", "name": "L", "fields": fields})

    assert len(meaning_changes(list_of(MILLIS), list_of(MICROS))) == 1
