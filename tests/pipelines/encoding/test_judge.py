"""The independent judge of records stops records that an encoder wrote wrongly."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.contract import parse_contract
from pipelines.encoding import EncodedBatch, RecordEncoder, RecordJudge
from pipelines.independent_judge.errors import Misjudged

FIELDS: list[tuple[str, Any]] = [
    ("id", "string"),
    ("at", {"type": "long", "logicalType": "timestamp-micros"}),
    ("low", "long"),
    ("high", "long"),
    ("price", {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}),
    ("legs", {"type": "array", "items": {"type": "record", "name": "Leg", "fields": [{"name": "fuel", "type": ["null", "double"], "doc": "x"}]}}),
]  # fmt: skip
ROWS = 400


def encoder() -> RecordEncoder:
    fields = [{"name": name, "type": kind, "doc": "x"} for name, kind in FIELDS]
    contract = parse_contract(
        json.dumps({"type": "record", "name": "T", "fields": fields}), Path("assets/a/t.avsc")
    )
    return RecordEncoder(contract, schema_id=7, topic="t", key="id")


def rows() -> pa.RecordBatch:
    schema = encoder().contract.arrow_schema
    listed = [
        {"id": f"k{n}", "at": n, "low": 1, "high": 999 if n == 217 else 5, "price": n, "legs": [{"fuel": None}, {"fuel": 1.5}]}
        for n in range(ROWS)
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(listed, schema=schema)


def judged(encoded: EncodedBatch, first_row: int = 1000) -> int:
    judge = RecordJudge(encoder(), event_time="at", where="a/t 2024-01-01")
    judge.judge_some(rows(), encoded, first_row=first_row)
    return judge.judged


def swapped(batch: pa.RecordBatch, one: str, other: str) -> EncodedBatch:
    return encoder().encode(
        batch.set_column(2, one, batch.column(other)).set_column(3, other, batch.column(one))
    )


def test_right_records_are_judged_and_pass() -> None:
    assert judged(encoder().encode(rows())) >= 4


def test_an_encoder_that_swaps_two_fields_is_found() -> None:
    with pytest.raises(Misjudged) as caught:
        judged(swapped(rows(), "low", "high"))
    error = caught.value
    assert (error.row, error.key, error.column, error.found, error.plain) == (1000, "k0", "low", 5, 1)
    assert str(error) == (
        "a/t 2024-01-01: the independent judge found a wrong value in row 1,000 (key 'k0', event time "
        "1970-01-01T00:00:00Z), column 'low': the encoded record holds 5, the transformed snapshot 1; next: nothing was "
        "published; the fault is in Sluice or in a library that it uses: report it with the column's type and both values"
    )


def test_a_wrong_extreme_alone_is_found_among_right_records() -> None:
    batch, encoded = rows(), encoder().encode(rows())
    values = encoded.values.to_pylist()
    wrong = batch.slice(217, 1).set_column(3, "high", pa.array([998]))
    values[217] = encoder().encode(wrong).values[0].as_py()
    with pytest.raises(Misjudged) as caught:
        judged(EncodedBatch(encoded.keys, pa.array(values, pa.large_binary()), None))
    assert (caught.value.row, caught.value.column) == (1217, "high")


def test_the_place_within_a_nested_value_is_named() -> None:
    batch, wrong = rows(), rows().to_pylist()
    for row in wrong:
        row["legs"][1]["fuel"] = 2.5
    encoded = encoder().encode(pa.RecordBatch.from_pylist(wrong, schema=batch.schema))
    with pytest.raises(Misjudged) as caught:
        judged(encoded)
    assert (caught.value.column, caught.value.found, caught.value.plain) == ("legs[1].fuel", 2.5, 1.5)


@pytest.mark.parametrize("how", ["records of the next rows", "keys of the next rows", "a longer record", "a shorter record", "another schema id"])  # fmt: skip
def test_what_is_no_record_of_the_row_is_found(how: str) -> None:
    encoded = encoder().encode(rows())
    keys, values = encoded.keys.to_pylist(), encoded.values.to_pylist()
    match how:
        case "records of the next rows":
            values = values[1:] + values[:1]
        case "keys of the next rows":
            keys = keys[1:] + keys[:1]
        case "a longer record":
            values = [value + b"\0" for value in values]
        case "a shorter record":
            values = [value[:-1] for value in values]
        case "another schema id":
            values = [value[:4] + b"\x08" + value[5:] for value in values]
    with pytest.raises(Misjudged, match="independent judge") as caught:
        judged(EncodedBatch(pa.array(keys, pa.binary()), pa.array(values, pa.large_binary()), None))
    if how.endswith("er record"):  # its bytes are those of every field
        assert "bytes that do not decode" in str(caught.value) and len(str(caught.value.found)) < 60


def test_no_value_of_another_field_is_shown() -> None:
    with pytest.raises(Misjudged) as caught:
        judged(swapped(rows(), "low", "high"))
    assert "fuel" not in str(caught.value) and "price" not in str(caught.value)
