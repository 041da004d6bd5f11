"""A contract that nobody would write on purpose is refused in a few words, and never with another error."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.contract import ContractError, load_contract
from pipelines.contract.parsing import MOST_NESTED


def contract(*fields: Any) -> dict[str, Any]:
    first = {"name": "id", "type": "string", "doc": "It."}
    return {"type": "record", "name": "R", "namespace": "n", "doc": "It.", "fields": [first, *fields]}


def field(type_: str, more: str = "") -> str:
    """A contract's text with a field of this type, built as text:
    Python can nest objects only as deep as its stack."""
    return json.dumps(contract())[:-2] + f', {{"name": "deep", "doc": "It.", "type": {type_}{more}}}]}}'


def arrays(depth: int) -> str:
    return '{"type": "array", "items": ' * depth + '"int"' + "}" * depth


def records(depth: int) -> str:
    opened = "".join(
        f'{{"type": "record", "name": "R{n}", "fields": [{{"name": "f", "doc": "It.", "type": '
        for n in range(depth)
    )
    return opened + '"int"' + "}]}" * depth


def optionals(depth: int) -> str:
    return '["null", {"type": "map", "values": ' * depth + '"int"' + "}]" * depth


def refusal(folder: Path, data: str | bytes) -> str:
    path = folder / "r.avsc"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    told = str(caught.value)
    assert "r.avsc" in told
    assert len(told) < 700
    told.encode()  # it can be written to a terminal and into JSON
    return told


@pytest.mark.parametrize("depth", [MOST_NESTED + 1, 100, 200, 500, 1000, 5000, 100_000])
@pytest.mark.parametrize("nested", [arrays, records, optionals])
def test_types_nested_beyond_what_is_stored_are_refused(tmp_path: Path, nested: Any, depth: int) -> None:
    assert "deep" in refusal(tmp_path, field(nested(depth)))


@pytest.mark.parametrize("nested", [arrays, records])
def test_types_nested_as_deep_as_allowed_are_stored_and_read(tmp_path: Path, nested: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "r.avsc"
    path.write_text(field(nested(MOST_NESTED - 1)))
    schema = load_contract(path).arrow_schema
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    assert pq.read_schema(pa.BufferReader(sink.getvalue())).equals(schema, check_metadata=False)


def test_a_default_nested_too_deep_is_refused(tmp_path: Path) -> None:
    default = '{"a": ' * 5000 + "1" + "}" * 5000
    assert "nested deeper" in refusal(
        tmp_path, field('{"type": "map", "values": "int"}', f', "default": {default}')
    )


@pytest.mark.parametrize(
    ("default", "told"),
    [
        ("9" * 5000, "a number longer than any Avro type holds"),
        ("-" + "9" * 5000, "a number longer than any Avro type holds"),
        (json.dumps("x" * 1_000_000), "(1,000,002 characters) does not fit int"),
        ("1e400", "does not fit int"),
        ("NaN", "is not JSON"),
        ("Infinity", "is not JSON"),
        ("-Infinity", "is not JSON"),
        ("[" + "1," * 100_000 + "1]", "does not fit int"),
    ],
)
def test_a_default_that_no_field_can_have_is_refused_in_a_few_words(
    tmp_path: Path, default: str, told: str
) -> None:
    assert told in refusal(tmp_path, field('"int"', f', "default": {default}'))


@pytest.mark.parametrize(
    "broken",
    [
        contract({"name": "\ud800", "type": "int", "doc": "It."}),
        contract({"name": "n", "type": "int", "doc": "\udfff."}),
        contract({"name": "n", "type": "string", "doc": "It.", "default": "\ud800"}),
        contract({"name": "n", "type": {"type": "enum", "name": "E", "symbols": ["\ud800"]}, "doc": "It."}),
        contract({"name": "n", "type": "int", "doc": "It.", "\ud800": 1}),
        contract({"name": "n", "type": "\ud800", "doc": "It."}),
        {**contract(), "namespace": "\ud800"},
    ],
)
def test_half_a_surrogate_pair_is_refused_wherever_it_stands(tmp_path: Path, broken: Any) -> None:
    assert "half a surrogate pair" in refusal(tmp_path, json.dumps(broken))
    raw = json.dumps(broken, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert "is not UTF-8" in refusal(tmp_path, raw)


def test_a_whole_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    path = tmp_path / "r.avsc"
    path.write_text(json.dumps(contract({"name": "n", "type": "int", "doc": "\U0001f6eb."})))
    assert load_contract(path).fields[1].doc == "\U0001f6eb."


def test_the_encoding_of_the_file_is_named(tmp_path: Path) -> None:
    text = json.dumps(contract())
    assert "byte order mark" in refusal(tmp_path, text.encode("utf-8-sig"))
    assert "is not UTF-8" in refusal(tmp_path, text.encode("utf-16"))
    assert "is not UTF-8 (byte 9)" in refusal(tmp_path, b'{"type": \xff')


def test_a_key_that_stands_twice_is_named(tmp_path: Path) -> None:
    assert "key 'type' stands twice" in refusal(tmp_path, field('"int", "type": "long"'))
