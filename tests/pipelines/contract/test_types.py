"""Every Avro 1.12 type: its one Arrow type, or the reason why it is not supported."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.contract import Contract, ContractError, parse_contract

PATH = Path("assets/flights/flight_departed.avsc")


def contract_of(*types: Any) -> Contract:
    fields = [{"name": f"f{i}", "type": avro, "doc": "A value."} for i, avro in enumerate(types)]
    return parse_contract(json.dumps({"type": "record", "name": "flights.T", "fields": fields}), PATH)


def logical(base: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": base, "logicalType": name, **more}


def fixed(size: int, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": "F", "size": size, **more}


LEG = {"type": "record", "name": "Leg", "fields": [{"name": "fuel", "type": ["null", "int"]}]}

SUPPORTED = [
    ("boolean", pa.bool_()),
    ("int", pa.int32()),
    ("long", pa.int64()),
    ("float", pa.float32()),
    ("double", pa.float64()),
    ("bytes", pa.binary()),
    ("string", pa.string()),
    ({"type": "string"}, pa.string()),
    (fixed(4), pa.binary(4)),
    ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, pa.string()),
    ({"type": "array", "items": "long"}, pa.list_(pa.field("element", pa.int64(), False))),
    ({"type": "array", "items": ["null", "long"]}, pa.list_(pa.field("element", pa.int64(), True))),
    ({"type": "map", "values": "int"}, pa.map_(pa.string(), pa.field("value", pa.int32(), False))),
    ({"type": "map", "values": ["int", "null"]}, pa.map_(pa.string(), pa.field("value", pa.int32(), True))),
    (LEG, pa.struct([pa.field("fuel", pa.int32(), True)])),
    (logical("int", "date"), pa.date32()),
    (logical("int", "time-millis"), pa.time32("ms")),
    (logical("long", "time-micros"), pa.time64("us")),
    (logical("long", "timestamp-millis"), pa.timestamp("ms", "UTC")),
    (logical("long", "timestamp-micros"), pa.timestamp("us", "UTC")),
    (logical("long", "timestamp-nanos"), pa.timestamp("ns", "UTC")),
    (logical("long", "local-timestamp-millis"), pa.timestamp("ms")),
    (logical("long", "local-timestamp-micros"), pa.timestamp("us")),
    (logical("long", "local-timestamp-nanos"), pa.timestamp("ns")),
    (logical("string", "uuid"), pa.string()),
    (fixed(16, logicalType="uuid"), pa.string()),
    (logical("bytes", "decimal", precision=9, scale=2), pa.decimal128(9, 2)),
    (logical("bytes", "decimal", precision=38), pa.decimal128(38, 0)),
    (logical("bytes", "decimal", precision=39, scale=39), pa.decimal256(39, 39)),
    (logical("bytes", "decimal", precision=76), pa.decimal256(76, 0)),
    (fixed(4, logicalType="decimal", precision=9), pa.decimal128(9, 0)),
    (fixed(33, logicalType="decimal", precision=76, scale=3), pa.decimal256(76, 3)),
]


@pytest.mark.parametrize(("avro", "arrow"), SUPPORTED, ids=lambda value: str(value)[:60])
def test_each_type_has_one_arrow_type_nullable_or_not(avro: Any, arrow: Any) -> None:
    required = contract_of(avro).fields[0]
    assert (required.arrow_type, required.nullable) == (arrow, False)
    for union, branch in ((["null", avro], 0), ([avro, "null"], 1)):
        nullable = contract_of(union)
        assert (nullable.fields[0].arrow_type, nullable.fields[0].nullable) == (arrow, True)
        assert nullable.fields[0].type.null_branch == branch
        assert nullable.arrow_schema.field("f0").nullable


@pytest.mark.parametrize(("avro", "arrow"), SUPPORTED, ids=lambda value: str(value)[:60])
def test_the_arrow_schema_survives_parquet(avro: Any, arrow: Any, tmp_path: Path) -> None:  # noqa: ARG001
    schema = contract_of(avro).arrow_schema
    pq.write_table(schema.empty_table(), tmp_path / "t.parquet")
    assert pq.read_schema(tmp_path / "t.parquet").equals(schema)


UNSUPPORTED = [
    ("null", "a field that is always null"),
    (["int", "string"], "union [int, string] is not supported, because"),
    (["null", "int", "string"], "is not supported, because"),
    (["null"], "is not supported, because"),
    (["int"], "is not supported, because"),
    ([], "is not supported, because"),
    (["null", "null"], "is not supported, because"),
    (["null", ["null", "int"]], "union directly inside a union"),
    (fixed(12, logicalType="duration"), "logicalType 'duration' is not supported, because"),
    (logical("bytes", "big-decimal"), "logicalType 'big-decimal' is not supported, because"),
    ({"type": "error", "name": "E", "fields": []}, "'error' is not supported, because"),
    ({"type": "record", "name": "Leg", "fields": []}, "has no fields, which is not supported, because"),
    (
        {"type": "record", "name": "Leg", "fields": [{"name": "next", "type": ["null", "Leg"]}]},
        "contains itself, which is not supported, because",
    ),
    ({"type": "array", "items": "flights.T"}, "contains itself"),
    (logical("bytes", "decimal", precision=77), "precision 77 is not supported, because"),
]


@pytest.mark.parametrize(("avro", "said"), UNSUPPORTED, ids=lambda value: str(value)[:60])
def test_what_is_not_supported_says_why_and_where(avro: Any, said: str) -> None:
    with pytest.raises(ContractError) as raised:
        contract_of("int", avro)
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"{PATH}: field 'f1")


def test_a_named_type_is_used_again_by_name_in_its_namespace() -> None:
    contract = contract_of(
        {"type": "enum", "name": "Gate", "symbols": ["A"]}, "Gate", ["null", "flights.Gate"]
    )
    assert [field.type.kind for field in contract.fields] == ["enum"] * 3
    assert [field.nullable for field in contract.fields] == [False, False, True]
