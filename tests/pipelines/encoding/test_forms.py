"""In every layout of the rows in Arrow, their bytes, keys, ids and partitions are the same: with fastavro and
in the compiled library."""

import ctypes
import datetime as dt
import json
import uuid
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.contract import parse_contract
from pipelines.encoding import RecordEncoder, murmur2
from pipelines.encoding.encoder import Strategy
from pipelines.reconciling.records.content import content_hashes, plain_hashes
from resources.kafka.batches.rows import Rows
from resources.kafka.native.records import messages
from tests.arrow_forms import forms, lists
from tests.pipelines.encoding.strategies import STRATEGIES

UUIDS = [str(uuid.UUID(int=number + 7 * 2**100)) for number in range(4)]


def logical(base: Any, name: str, **more: Any) -> dict[str, Any]:
    return {**(base if isinstance(base, dict) else {"type": base}), "logicalType": name, **more}


COLUMNS: list[tuple[Any, pa.DataType, list[Any], Any]] = [
    ("string", pa.string(), ["a", "", None, "é\U0001f6eb", "x" * 40], "FILL"),
    ("bytes", pa.binary(), [b"a", b"", None, b"\xff" * 40], b"FILL"),
    ({"type": "fixed", "name": "F", "size": 3}, pa.binary(3), [b"abc", None, b"\0\xff\0"], b"zzz"),
    ({"type": "fixed", "name": "G", "size": 40}, pa.binary(40), [b"a" * 40, None, b"b" * 40], b"z" * 40),
    ({"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}, pa.string(), ["B", None, "A"], "C"),
    (logical("string", "uuid"), pa.string(), [UUIDS[0], None, UUIDS[1]], UUIDS[3]),
    (
        logical({"type": "fixed", "name": "U", "size": 16}, "uuid"),
        pa.string(),
        [UUIDS[0], None, UUIDS[1]],
        UUIDS[3],
    ),
    ("int", pa.int32(), [1, None, -(2**31), 2**31 - 1, 0], 77),
    ("long", pa.int64(), [1, None, -(2**63), 2**63 - 1, 0], 77),
    ("float", pa.float32(), [1.5, None, -0.0], 77.5),
    ("double", pa.float64(), [1.5, None, -0.0], 77.5),
    ("boolean", pa.bool_(), [True, None, False, True, True, False, None, True, False], True),
    (
        logical("int", "date"),
        pa.date32(),
        [dt.date(2020, 1, 1), None, dt.date(1969, 1, 1)],
        dt.date(1970, 1, 2),
    ),
    (logical("long", "time-micros"), pa.time64("us"), [dt.time(1), None, dt.time.max], dt.time(2)),
    *(
        (
            logical(base, "decimal", precision=p, scale=2),
            kind(p, 2),
            [Decimal("1.25"), None, Decimal("-9.99")],
            Decimal(7),
        )
        for p, kind in ((9, pa.decimal128), (38, pa.decimal128), (60, pa.decimal256))
        for base in ("bytes", {"type": "fixed", "name": "D", "size": 32})
    ),
]
NAMES = [f"{json.dumps(column[0])}-{column[1]}" for column in COLUMNS]


def encoder_of(avro: Any, strategy: Strategy) -> RecordEncoder:
    fields = [{"name": "id", "type": "long", "doc": "Which."}, {"name": "x", "type": avro, "doc": "What."}]
    contract = parse_contract(json.dumps({"type": "record", "name": "T", "fields": fields}), Path("t.avsc"))
    return RecordEncoder(contract, schema_id=7, topic="t", key="id", strategy=strategy)


def encoded(encoder: RecordEncoder, array: pa.Array) -> tuple[list[bytes], list[str]]:
    field = pa.field("x", encoder._arrow_schema.field("x").type)
    array = array if array.type == field.type else array.cast(field.type)
    done = encoder.encode(
        pa.record_batch({"id": pa.array([0] * len(array), pa.int64()), "x": array}), with_ids=True
    )
    done.values.validate(full=True)
    return done.values.to_pylist(), done.event_ids.to_pylist()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("column", COLUMNS, ids=NAMES)
def test_the_bytes_of_a_field_do_not_depend_on_its_layout(column: Any, strategy: Strategy) -> None:
    avro, kind, some, filler = column
    for nullable in (True, False):
        encoder, plain = (
            encoder_of(["null", avro] if nullable else avro, way) for way in (strategy, "fastavro")
        )
        for values in (some, [None] * 9, []) if nullable else ([one for one in some if one is not None],):
            wanted = None
            for name, array in forms(values, kind, filler):
                wanted = wanted or encoded(plain, array)
                assert encoded(encoder, array) == wanted, name


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("column", COLUMNS, ids=NAMES)
def test_the_bytes_of_lists_and_records_do_not_depend_on_their_layout(
    column: Any, strategy: Strategy
) -> None:
    avro, kind, values, filler = column
    listed, plain_listed = (
        encoder_of(["null", {"type": "array", "items": ["null", avro]}], way)
        for way in (strategy, "fastavro")
    )
    record = {"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", avro]}]}
    nested, plain_nested = (encoder_of(["null", record], way) for way in (strategy, "fastavro"))
    wanted_list = wanted_record = None
    for name, array in forms(values, kind, filler):
        for form, lists_ in islice(lists(array, [1, None, len(values) - 1, 0]), 3):
            wanted_list = wanted_list or encoded(plain_listed, lists_)
            assert encoded(listed, lists_) == wanted_list, (name, form)
        # The second record is missing, whatever values are below it.
        missing = pa.array([row == 1 for row in range(len(values))])
        records = pa.StructArray.from_arrays([array], fields=[pa.field("a", array.type)], mask=missing)
        wanted_record = wanted_record or encoded(plain_nested, records)
        assert encoded(nested, records) == wanted_record, name
        assert encoded(nested, records.slice(1))[0] == wanted_record[0][1:], name


KEYS = [b"", b"a", b"abcd", b"abcdefghi" * 5, b"\xff\0"]
VALUES = [b"x" * 9, None, b"", b"y" * 2000, None]


def test_keys_and_contents_do_not_depend_on_their_layout() -> None:
    hashes = murmur2(pa.array(KEYS, pa.binary())).tolist()
    for name, keys in forms(KEYS, pa.binary(), b"FILL"):
        assert murmur2(keys).tolist() == hashes, name
    wanted = plain_hashes(pa.array(KEYS, pa.large_binary()), pa.array(VALUES, pa.large_binary()))
    for name, keys in forms(KEYS, pa.large_binary(), b"FILL"):
        for other, values in forms(VALUES, pa.large_binary(), b"FILL"):
            for function in (content_hashes, plain_hashes):
                assert np.array_equal(function(keys, values), wanted), (name, other)


def test_records_handed_to_the_client_do_not_depend_on_their_layout() -> None:
    for values in (VALUES, [b"x", b"", b"y" * 40, b"z", b""]):
        for name, keys in forms(KEYS, pa.binary(), b"FILL"):
            for other, column in forms(values, pa.large_binary(), b"FILL"):
                rows = Rows(keys, column)
                filled = messages(rows)
                for row, (key, value) in enumerate(zip(KEYS, values, strict=True)):
                    one = filled[row]
                    assert ctypes.string_at(int(one["key"]), int(one["key_len"])) == key, (name, other)
                    found = (
                        None if not one["payload"] else ctypes.string_at(int(one["payload"]), int(one["len"]))
                    )
                    assert found == value, (name, other)
                assert rows.total_bytes == sum(len(part or b"") for part in (*KEYS, *values))
