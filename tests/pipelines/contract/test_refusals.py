"""Avro that is invalid, or that does not say what its author meant, is refused by file and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.contract import ContractError, load_contract, parse_contract

PATH = Path("assets/flights/flight_departed.avsc")


def errors_of(schema: Any) -> ContractError:
    with pytest.raises(ContractError) as raised:
        parse_contract(schema if isinstance(schema, str) else json.dumps(schema), PATH)
    return raised.value


def record(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "T", "fields": list(fields), **more}


def of_type(avro: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "x", "type": avro, **more})


def enum(*symbols: Any, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def decimal(precision: Any = None, **more: Any) -> dict[str, Any]:
    given = {} if precision is None else {"precision": precision}
    return {"type": "bytes", "logicalType": "decimal", **given, **more}


def fixed_decimal(size: int, precision: int) -> dict[str, Any]:
    return {"type": "fixed", "name": "F", "size": size, "logicalType": "decimal", "precision": precision}


REFUSED = {
    "not a record": ("int", "", "is not a record"),
    "an array at the top": ({"type": "array", "items": "int"}, "", "is not a record"),
    "no fields": (record(), "", "has no fields"),
    "bad record name": (record({"name": "x", "type": "int"}, name="9T"), "", "name '9T' is not legal"),
    "bad namespace": (record({"name": "x", "type": "int"}, namespace="a..b"), "", "is not legal"),
    "hyphen in a namespace": (record({"name": "x", "type": "int"}, namespace="a-b"), "", "is not legal"),
    "primitive as a name": (of_type({"type": "fixed", "name": "int", "size": 1}), "x", "primitive type"),
    "bad field name": (record({"name": "flight-id", "type": "int"}), "fields[0]", "'flight-id' is not legal"),
    "no field name": (record({"type": "int"}), "fields[0]", "has no name"),
    "field of no type": (record({"name": "x"}), "x", "has no type"),
    "field twice": (
        record({"name": "x", "type": "int"}, {"name": "x", "type": "int"}),
        "x",
        "declared twice",
    ),
    "unknown type": (of_type("strng"), "x", "Did you mean 'string'?"),
    "complex type by name": (of_type("array"), "x", "needs its own object"),
    "type in a type": (of_type({"type": {"type": "string"}}), "x", "a type object inside a type object"),
    "number as a type": (of_type(7), "x", "type 7 is not an Avro type"),
    "array of nothing": (of_type({"type": "array"}), "x", "array has no 'items'"),
    "map of nothing": (of_type({"type": "map"}), "x", "map has no 'values'"),
    "enum without symbols": (of_type(enum()), "x", "has no symbols"),
    "enum symbol twice": (of_type(enum("A", "B", "A")), "x", "symbol 'A' stands twice"),
    "enum symbol illegal": (of_type(enum("A-1")), "x", "symbol 'A-1' is not legal"),
    "enum symbol no text": (of_type(enum(1)), "x", "symbol 1 is not legal"),
    "enum default unknown": (of_type(enum("A", default="B")), "x", "enum default 'B' is not a symbol"),
    "fixed of size 0": (of_type({"type": "fixed", "name": "F", "size": 0}), "x", "has size 0"),
    "fixed of size true": (of_type({"type": "fixed", "name": "F", "size": True}), "x", "has size True"),
    "type defined twice": (
        record({"name": "x", "type": enum("A")}, {"name": "y", "type": enum("A")}),
        "y",
        "type 'E' is defined twice",
    ),
    "used before defined": (
        record({"name": "x", "type": "E"}, {"name": "y", "type": enum("A")}),
        "x",
        "not known",
    ),
    "decimal without precision": (of_type(decimal()), "x", "decimal precision None"),
    "decimal precision 0": (of_type(decimal(0)), "x", "decimal precision 0"),
    "decimal precision as text": (of_type(decimal("9")), "x", "decimal precision '9'"),
    "decimal scale above precision": (of_type(decimal(4, scale=5)), "x", "decimal scale 5"),
    "decimal scale negative": (of_type(decimal(4, scale=-1)), "x", "decimal scale -1"),
    "decimal too wide for its bytes": (of_type(fixed_decimal(4, 10)), "x", "at most 9 digits"),
    "decimal on string": (
        of_type({"type": "string", "logicalType": "decimal"}),
        "x",
        "not defined for string",
    ),
    "precision alone": (of_type({"type": "bytes", "precision": 4}), "x", "without logicalType 'decimal'"),
    "misspelt logical type": (
        of_type({"type": "long", "logicalType": "timestamp-milis"}),
        "x",
        "Did you mean 'timestamp-millis'?",
    ),
    "timestamp on int": (
        of_type({"type": "int", "logicalType": "timestamp-millis"}),
        "x",
        "not defined for int",
    ),
    "logical type on an enum": (of_type(enum("A", logicalType="uuid")), "x", "not defined for enum"),
    "logical type beside the type": (
        of_type("long", logicalType="timestamp-millis"),
        "x",
        "'logicalType' beside 'type', where Avro ignores it",
    ),
    "uuid of 15 bytes": (
        of_type({"type": "fixed", "name": "F", "size": 15, "logicalType": "uuid"}),
        "x",
        "uuid on a fixed of 15 bytes",
    ),
    "order unknown": (of_type("int", order="up"), "x", "order 'up' is not known"),
    "aliases no list": (of_type("int", aliases="y"), "x", "aliases 'y' are not legal"),
    "doc no text": (of_type("int", doc=7), "x", "doc 7 is not a string"),
    "nested field": (
        of_type({"type": "array", "items": record({"name": "fuel", "type": "itn"}, name="Leg")}),
        "x[].fuel",
        "type 'itn' is not known",
    ),
    "logical type beside a reference": (
        record({"name": "x", "type": enum("A")}, {"name": "y", "type": {"type": "E", "logicalType": "uuid"}}),
        "y",
        "a logical type beside the reference 'E' has no effect",
    ),
    "namespace no text": (of_type(enum("A", namespace=7)), "x", "namespace 7 is not a string"),
    "decimal scale true": (of_type(decimal(4, scale=True)), "x", "decimal scale True"),
    "not JSON": ('{"type": "record",\n "name" "T"}', "", "line 2, column 9 is not JSON"),
    "key twice": (
        '{"type": "record", "type": "record", "name": "T", "fields": []}',
        "",
        "key 'type' stands twice",
    ),
    "NaN": ('{"type": "record", "name": "T", "fields": [], "x": NaN}', "", "NaN is not JSON"),
}


@pytest.mark.parametrize(("schema", "field", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_file_and_field(schema: Any, field: str, said: str) -> None:
    error = errors_of(schema if isinstance(schema, (dict, str)) and schema != "int" else json.dumps(schema))
    assert said in str(error)
    assert [problem.field for problem in error.problems] == [field]
    assert all(str(problem).startswith(str(PATH)) for problem in error.problems)


DEFAULTS = [
    ("int", 2**31 - 1, True),
    ("int", 2**31, False),
    ("int", -(2**31), True),
    ("int", -(2**31) - 1, False),
    ("int", 1.0, False),
    ("int", True, False),
    ("int", None, False),
    ("long", 2**63 - 1, True),
    ("long", 2**63, False),
    ("boolean", 0, False),
    ("boolean", False, True),
    ("float", 1, True),
    ("float", 3.5e38, False),
    ("double", "1", False),
    ("double", 1e308, True),
    ("string", "", True),
    ("string", 1, False),
    ("bytes", "\u00ff", True),
    ("bytes", "\u0100", False),
    ({"type": "fixed", "name": "F", "size": 2}, "ab", True),
    ({"type": "fixed", "name": "F", "size": 2}, "a", False),
    (enum("A", "B"), "B", True),
    (enum("A", "B"), "C", False),
    (decimal(2), "\u0063", True),  # 99
    (decimal(2), "\u0000\u0064", False),  # 100
    (decimal(2), "", False),
    ({"type": "string", "logicalType": "uuid"}, "x", False),
    ({"type": "string", "logicalType": "uuid"}, "00000000-0000-0000-0000-00000000000A", True),
    ({"type": "int", "logicalType": "time-millis"}, 86_400_000, False),
    ({"type": "int", "logicalType": "time-millis"}, 86_399_999, True),
    (["null", "int"], None, True),
    (["null", "int"], 1, False),
    (["int", "null"], 1, True),
    (["int", "null"], None, False),
    ({"type": "array", "items": "int"}, [1, 2], True),
    ({"type": "array", "items": "int"}, [1, "2"], False),
    ({"type": "map", "values": ["null", "int"]}, {"a": None}, True),
    ({"type": "map", "values": ["null", "int"]}, {"a": 1}, False),
    ({"type": "map", "values": "int"}, [], False),
    (record({"name": "a", "type": "int"}, name="R"), {"a": 1}, True),
    (record({"name": "a", "type": "int"}, name="R"), {}, False),
    (record({"name": "a", "type": "int", "default": 0}, name="R"), {}, True),
    (record({"name": "a", "type": "int"}, name="R"), {"a": 1, "b": 2}, False),
]


@pytest.mark.parametrize(("avro", "default", "fits"), DEFAULTS, ids=lambda value: str(value)[:40])
def test_a_default_fits_its_type(avro: Any, default: Any, fits: bool) -> None:
    schema = of_type(avro, default=default)
    if fits:
        assert parse_contract(json.dumps(schema), PATH).fields[0].has_default
    else:
        error = errors_of(schema)
        assert f"default {default!r} does not fit" in str(error)
        assert error.problems[0].allowed and error.problems[0].field == "x"


def test_all_problems_are_reported_at_once() -> None:
    error = errors_of(record({"name": "a", "type": "itn"}, {"name": "b", "type": "int", "default": "x"}, {}))
    assert [problem.field for problem in error.problems] == ["a", "b", "fields[2]"]
    assert len(str(error).split("\n\n")) == 3


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="does not exist"):
        load_contract(tmp_path / "missing.avsc")
    (tmp_path / "latin.avsc").write_bytes(b'{"doc": "\xe9"}')
    with pytest.raises(ContractError, match="is not UTF-8"):
        load_contract(tmp_path / "latin.avsc")
    with pytest.raises(ContractError, match="cannot be read"):
        load_contract(tmp_path)
