"""Where a contract still says TODO: docs and metadata at every depth, but no name or value."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract import Contract, parse_contract, places_with_todo, says_todo

ASK = "TODO: what this is, and its unit."


def contract(*fields: dict[str, Any], **more: Any) -> Contract:
    schema = {
        "type": "record",
        "name": "Thing",
        "namespace": "shop.v1",
        "doc": "A thing.",
        "fields": fields,
        **more,
    }
    return parse_contract(json.dumps(schema), Path("thing.avsc"))


def field(name: str, kind: Any = "string", doc: str = "Said.", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "doc": doc, **more}


def record(name: str, *fields: dict[str, Any], doc: str = "Said.") -> dict[str, Any]:
    return {"type": "record", "name": name, "doc": doc, "fields": fields}


@pytest.mark.parametrize(
    "text",
    [
        ASK,
        "TODO",
        "unit? TODO",
        "(TODO)",
        "TODO(ann): unit",
        "the unit\nTODO",
        "#TODO",
        "TODO, 2 of 3",
        "é TODO",
    ],
)
def test_the_word_by_itself_is_found(text: str) -> None:
    assert says_todo(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a todo list",
        "Todo",
        "TODOS",
        "MASTODON",
        "TODO_LIST",
        "MY_TODO",
        "2TODO",
        "éTODO",
        "method to do it",
    ],
)
def test_other_words_are_left_alone(text: str) -> None:
    assert not says_todo(text)


def test_a_finished_contract_has_none() -> None:
    assert places_with_todo(contract(field("id"))) == []


def test_every_place_is_named_in_the_contracts_order() -> None:
    fuel = field("fuel", ["null", "int"], ASK, default=None)
    leg = record("Leg", fuel, field("pilot", record("Pilot", field("licence", doc=ASK)), ASK))
    made = contract(
        field("id", doc=ASK),
        field("legs", {"type": "array", "items": ["null", leg]}),
        field("rates", {"type": "map", "values": record("Rate", field("rate", "double", ASK), doc=ASK)}),
        field("state", {"type": "enum", "name": "State", "symbols": ["ON"], "doc": ASK}),
        field("hash", {"type": "fixed", "name": "Hash", "size": 4, "doc": ASK}),
        field("said"),
        doc="TODO: what happened.",
    )
    assert places_with_todo(made) == [
        "record Thing",
        "id",
        "legs[].fuel",
        "legs[].pilot",
        "legs[].pilot.licence",
        "rates{} (record Rate)",
        "rates{}.rate",
        "state (enum State)",
        "hash (fixed Hash)",
    ]  # fmt: skip


def test_a_type_that_two_fields_share_is_named_once() -> None:
    home = record("Address", field("street", doc=ASK))
    assert places_with_todo(contract(field("home", home), field("work", "Address"))) == ["home.street"]


def test_metadata_counts_as_text_and_names_and_values_do_not() -> None:
    state = {
        "type": "enum", "name": "TODO", "namespace": "TODO.TODO", "aliases": ["TODO"], "symbols": ["TODO", "DONE"],
        "default": "TODO",
    }  # fmt: skip
    assert (
        places_with_todo(contract(field("state", state), field("note", default="TODO", aliases=["TODO"])))
        == []
    )
    assert places_with_todo(contract(field("note", review={"by": ["nobody", "TODO"]}))) == ["note"]
    assert places_with_todo(contract(field("note", {"type": "string", "about": "TODO"}))) == ["note"]


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(0, 30))
def test_all_that_say_it_and_no_others_at_any_depth(says: list[bool], depth: int) -> None:
    fields = tuple(field(f"f{n}", doc=ASK if one else "Said.") for n, one in enumerate(says))
    path = ""
    for level in range(depth):
        fields, path = (field(f"r{level}", record(f"R{level}", *fields)),), f"r{level}.{path}"
    assert places_with_todo(contract(*fields)) == [f"{path}f{n}" for n, one in enumerate(says) if one]
