"""Two texts of one schema are one schema;
whatever changes a value, or the documentation for consumers, makes another."""

import json
import random
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.encoding.decode import decode_body
from resources.registry.schemas import fingerprint, parsed_schema, same_schema, same_values

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Departed",
    "namespace": "flights",
    "doc": "It left.",
    "aliases": ["Left"],
    "fields": [
        {"name": "id", "type": "string", "doc": "Which."},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "fare", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 0}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "ratio", "type": "double", "default": 1},
        {"name": "gate", "type": ["null", "string"], "default": None, "aliases": ["door"]},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"], "default": "A"}},
        {"name": "hash", "type": {"type": "fixed", "name": "other.Hash", "size": 2}},
        {"name": "legs", "type": {"type": "array", "items": {
            "type": "record", "name": "Leg", "fields": [{"name": "n", "type": "int"}, {"name": "k", "type": "Kind"}]}}},
        {"name": "more", "type": {"type": "map", "values": ["null", "Leg", "other.Hash"]}},
    ],
}  # fmt: skip
TEXT = json.dumps(SCHEMA)


def otherwise(schema: Any, chance: random.Random, space: str = "") -> Any:
    """The same schema in another layout."""
    if isinstance(schema, list):
        return [otherwise(branch, chance, space) for branch in schema]
    if isinstance(schema, str):
        full = (
            schema if "." in schema or schema in ("null", "string", "int", "double") else f"{space}.{schema}"
        )
        name = full if chance.random() < 0.5 else schema
        return {"type": name} if chance.random() < 0.5 else name
    written = dict(schema)
    if written["type"] in ("record", "enum", "fixed"):
        name = written["name"]
        space = name.rpartition(".")[0] or written.get("namespace", space)
        short = name.rpartition(".")[2]
        written.pop("namespace", None)
        if chance.random() < 0.5:
            written |= {"name": f"{space}.{short}"}
            if chance.random() < 0.5:
                written["namespace"] = "ignored.beside.a.full.name"
        else:
            written |= {"name": short, "namespace": space}
        if "fields" in written:
            written["fields"] = [_field_otherwise(field, chance, space) for field in written["fields"]]
        if "aliases" in written:
            written["aliases"] = [f"{space}.{alias}" for alias in written["aliases"]]
        elif chance.random() < 0.5:
            written["aliases"] = []
    elif written["type"] in ("array", "map"):
        inside = "items" if written["type"] == "array" else "values"
        written[inside] = otherwise(written[inside], chance, space)
    if written.get("scale") == 0 and chance.random() < 0.5:
        del written["scale"]
    return _shuffled(written, chance)


def _field_otherwise(field: dict[str, Any], chance: random.Random, space: str) -> dict[str, Any]:
    written = {**field, "type": otherwise(field["type"], chance, space)}
    if chance.random() < 0.5:
        written["order"] = "ascending"
    if written.get("default") == 1 and chance.random() < 0.5:
        written["default"] = 1.0
    return _shuffled(written, chance)


def _shuffled(members: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    pairs = list(members.items())
    chance.shuffle(pairs)
    return dict(pairs)


@given(seed=st.integers(0, 2**32), indent=st.sampled_from([None, 0, 3]))
def test_the_same_schema_written_otherwise_is_the_same(seed: int, indent: int | None) -> None:
    text = json.dumps(otherwise(SCHEMA, random.Random(seed)), indent=indent)
    assert fingerprint(text) == fingerprint(TEXT)
    assert same_values(text, TEXT)


ROW = {
    "id": "x", "at": 1_700_000_000_123, "fare": b"\x01", "price": b"\x02", "ratio": 0.5, "gate": None, "kind": "B",
    "hash": b"ab", "legs": [{"n": 1, "k": "A"}], "more": {"a": None},
}  # fmt: skip


@given(seed=st.integers(0, 2**32))
def test_a_reader_gets_the_same_values_with_either_text(seed: int) -> None:
    other = otherwise(SCHEMA, random.Random(seed))
    written = BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(SCHEMA), ROW)
    read = [decode_body(written.getvalue(), json.dumps(one)) for one in (SCHEMA, other)]
    assert read[0] == read[1]


# What was written, what is there instead, and whether the values stay the same.
CHANGES = [
    ('"timestamp-millis"', '"timestamp-micros"', False),
    (', "logicalType": "timestamp-millis"', "", False),
    ('"scale": 2', '"scale": 3', False),
    ('"precision": 9, "scale": 2', '"precision": 8, "scale": 2', False),
    ('["A", "B"]', '["B", "A"]', False),
    ('"size": 2', '"size": 3', False),
    ('["null", "string"]', '["string", "null"]', False),
    ('"name": "ratio"', '"name": "share"', False),
    ('"type": "int"', '"type": "long"', False),
    ('"namespace": "flights"', '"namespace": "trains"', False),
    ('"default": 1', '"default": 2', True),
    ('"default": "A"', '"default": "B"', True),
    ('"It left."', '"It is gone."', True),
    (', "doc": "Which."', "", True),
    ('["door"]', '["exit"]', True),
    ('["Left"]', '["Gone"]', True),
    ('"doc": "Which."', '"doc": "Which.", "pii": true', True),
]


@pytest.mark.parametrize(("was", "now", "values_stay"), CHANGES, ids=[now or was for was, now, _ in CHANGES])
def test_every_other_change_makes_another_schema(was: str, now: str, values_stay: bool) -> None:
    assert TEXT.count(was) >= 1
    changed = TEXT.replace(was, now, 1)
    assert not same_schema(changed, TEXT)
    assert same_values(changed, TEXT) is values_stay


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["record", "enum", "fixed", "array", "map", "string", "null"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "name", "namespace", "fields", "items", "values", "symbols", "aliases", "size"]),
        inner,
        max_size=5,
    ),
)  # fmt: skip


@given(value=JSON)
def test_a_text_that_is_no_schema_is_a_value_error_and_nothing_else(value: Any) -> None:
    text = json.dumps(value)
    try:
        parsed_schema(text)
    except ValueError:
        assert not same_schema(text, text)
        assert not same_values(text, text)


@pytest.mark.parametrize(
    "text", ["", "{", "syntax = 'proto3';", "[" * 100_000, '{"type":' * 900 + '"int"' + "}" * 900]
)
def test_what_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parsed_schema(text)
