"""The text that is registered, the fingerprint, and a contract without its event id."""

import copy
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract import Contract, load_contract, parse_contract

PATH = Path("assets/flights/flight_departed.avsc")
SCHEMA: dict[str, Any] = {
    "namespace": "flights",
    "name": "FlightDeparted",
    "type": "record",
    "doc": "A flight left its gate.",
    "owner": "operations",
    "fields": [
        {
            "name": "event_id",
            "doc": "Id.",
            "type": {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"},
        },
        {"name": "previous_id", "type": ["null", "Id"], "default": None, "doc": "The event before, if any."},
        {
            "name": "departed_at",
            "type": {"type": "long", "logicalType": "timestamp-millis"},
            "doc": "When, in UTC.",
            "aliases": ["left_at"],
        },
        {
            "name": "gate",
            "doc": "Where.",
            "type": {
                "type": "record",
                "name": "Gate",
                "namespace": "airports",
                "fields": [{"name": "side", "type": {"type": "enum", "name": "Side", "symbols": ["A", "B"]}}],
            },
        },
        {"name": "sides", "doc": "All.", "type": {"type": "array", "items": "airports.Side"}},
    ],
}


def contract_of(schema: dict[str, Any]) -> Contract:
    return parse_contract(json.dumps(schema), PATH)


def test_fields_carry_name_doc_and_types() -> None:
    contract = contract_of(SCHEMA)
    assert contract.name == "flights.FlightDeparted"
    assert [field.name for field in contract.fields] == [field["name"] for field in SCHEMA["fields"]]
    departed = contract.field("departed_at")
    assert departed.doc == "When, in UTC." and not departed.nullable
    assert departed.avro == {"type": "long", "logicalType": "timestamp-millis"}
    with pytest.raises(KeyError, match="departed_at"):
        contract.field("departedat")


def test_the_text_is_the_same_schema_to_another_avro_library() -> None:
    contract = contract_of(SCHEMA)
    ours, theirs = (
        fastavro.schema.to_parsing_canonical_form(fastavro.parse_schema(schema, _write_hint=False))
        for schema in (json.loads(contract.text), copy.deepcopy(SCHEMA))
    )
    assert ours == theirs
    assert json.loads(contract.text)["doc"] == SCHEMA["doc"]
    assert json.loads(contract.text)["owner"] == "operations"
    assert json.loads(contract.text)["fields"][2]["aliases"] == ["left_at"]


def test_layout_changes_neither_text_nor_fingerprint() -> None:
    reordered = {key: SCHEMA[key] for key in reversed(SCHEMA)}
    one, other = contract_of(SCHEMA), parse_contract(json.dumps(reordered, indent=4), PATH)
    assert (one.text, one.fingerprint) == (other.text, other.fingerprint)


def test_a_doc_changes_the_text_alone_and_a_logical_type_both() -> None:
    before, documented, micros = contract_of(SCHEMA), copy.deepcopy(SCHEMA), copy.deepcopy(SCHEMA)
    documented["fields"][2]["doc"] = "When."
    micros["fields"][2]["type"]["logicalType"] = "timestamp-micros"
    assert contract_of(documented).fingerprint == before.fingerprint
    assert contract_of(documented).text != before.text
    assert contract_of(micros).fingerprint != before.fingerprint
    assert len(before.fingerprint) == 64


def test_without_a_field_keeps_the_types_it_defined() -> None:
    contract = contract_of(SCHEMA)
    less = contract.without("event_id")
    assert [field.name for field in less.fields] == [field.name for field in contract.fields][1:]
    assert less.arrow_schema.names == [field.name for field in less.fields]
    # `Id` was defined in the field that was removed; `previous_id` must contain the definition now.
    fastavro.parse_schema(json.loads(less.text), _write_hint=False)
    assert contract.without(None) is contract
    with pytest.raises(KeyError):
        contract.without("nothing")


def test_load_contract_reads_a_file(tmp_path: Path) -> None:
    file = tmp_path / "flight_departed.avsc"
    file.write_text(json.dumps(SCHEMA), encoding="utf-8")
    assert load_contract(file).path == file
    assert load_contract(file).text == contract_of(SCHEMA).text


_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)


@st.composite
def _schemas(draw: st.DrawFn) -> dict[str, Any]:
    taken: list[str] = []

    def name() -> dict[str, Any]:
        chosen = f"N{len(taken)}"
        space = draw(st.sampled_from([None, "", "a", "a.b"]))
        taken.append(chosen)
        return {"name": chosen} if space is None else {"name": chosen, "namespace": space}

    def avro(depth: int) -> Any:
        simple = ["int", "long", "string", "bytes", "double", "float", "boolean"]
        kinds = ["simple", "logical", "decimal", "fixed", "enum"]
        kind = draw(st.sampled_from(kinds + (["array", "map", "record", "null"] if depth else [])))
        match kind:
            case "simple":
                return draw(st.sampled_from(simple))
            case "logical":
                return {
                    "type": "long",
                    "logicalType": draw(st.sampled_from(["timestamp-millis", "time-micros"])),
                }
            case "decimal":
                precision = draw(st.integers(1, 76))
                scale = draw(st.integers(0, precision))
                return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
            case "fixed":
                return {"type": "fixed", **name(), "size": draw(st.integers(1, 20))}
            case "enum":
                return {"type": "enum", **name(), "symbols": draw(st.lists(_NAMES, min_size=1, unique=True))}
            case "array":
                return {"type": "array", "items": avro(depth - 1)}
            case "map":
                return {"type": "map", "values": avro(depth - 1)}
            case "null":
                inner = avro(0)
                return draw(st.sampled_from([["null", inner], [inner, "null"]]))
        head = name()
        names = draw(st.lists(_NAMES, min_size=1, max_size=3, unique=True))
        return {"type": "record", **head, "fields": [{"name": n, "type": avro(depth - 1)} for n in names]}

    names = draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True))
    return {
        "type": "record",
        "name": "Top",
        "namespace": "t",
        "fields": [{"name": n, "type": avro(2)} for n in names],
    }


@given(_schemas())
def test_any_schema_survives_its_own_text(schema: dict[str, Any]) -> None:
    contract = contract_of(schema)
    again = parse_contract(contract.text, PATH)
    assert again == contract
    assert (again.text, again.fingerprint) == (contract.text, contract.fingerprint)
    ours, theirs = (
        fastavro.schema.to_parsing_canonical_form(fastavro.parse_schema(s, _write_hint=False))
        for s in (json.loads(contract.text), copy.deepcopy(schema))
    )
    assert ours == theirs
