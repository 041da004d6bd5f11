"""In every layout of a column in Arrow,
the contract's values are those that Python reads from it, at any depth.

`tests.arrow_forms` has the same values sliced, chunked, after an offset, below nulls, as dictionaries, as
runs and as views; the expected results are computed from one Python value at a time.
"""

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from pipelines.contract import AvroType
from pipelines.transform.conforming.cells import read_cells
from pipelines.transform.conforming.columns import conform_column
from pipelines.transform.frames import column_of
from tests.arrow_forms import encodings, lists

TypeOf = Callable[[Any], AvroType]

UUIDS = [str(uuid.UUID(int=7919 * number + 2**100)).upper() for number in range(5)]


def logical(base: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": base, "logicalType": name, **more}


def at(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type, misc]


# type, Arrow type, values of which some do not fit, another value
COLUMNS: list[tuple[Any, pa.DataType, list[Any], Any]] = [
    (
        "string",
        pa.string(),
        ["AB", "", None, "é\U0001f6eb", "longer than the twelve bytes of a view"],
        "FILL",
    ),
    (logical("string", "uuid"), pa.string(), [UUIDS[0], None, UUIDS[1], "bad", UUIDS[2].lower()], UUIDS[4]),
    (logical("string", "uuid"), pa.binary(16), [uuid.UUID(UUIDS[0]).bytes, None], b"z" * 16),
    ({"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}, pa.string(), ["A", None, "X", "B"], "C"),
    ("bytes", pa.binary(), [b"AB", b"", None, b"\xff" * 20], b"FILL"),
    ({"type": "fixed", "name": "F", "size": 2}, pa.binary(), [b"AB", b"x", None, b"\xff\xfe"], b"FILL"),
    ("long", pa.int64(), [1, None, -5, 2**63 - 1], 99),
    ("int", pa.int64(), [1, None, -5, 2**63 - 1], 99),
    ("long", pa.uint64(), [1, None, 2**64 - 1], 99),
    ("int", pa.uint8(), [1, None, 255], 99),
    ("long", pa.float64(), [1.0, None, -0.0, 2.5, float("inf")], 99.0),
    ("double", pa.float64(), [1.5, None, -0.0, float("nan")], 99.0),
    ("float", pa.float64(), [1.5, None, 0.1, 1e39], 99.0),
    ("double", pa.int64(), [1, None, 2**53 + 1], 99),
    ("boolean", pa.bool_(), [True, None, False, True], True),
    *(
        (
            logical("bytes", "decimal", precision=p, scale=s),
            kind,
            [Decimal("1.25"), None, Decimal("12345.67")],
            Decimal("7.77"),
        )
        for p, s in ((5, 2), (38, 36), (60, 20))
        for kind in (pa.decimal64(10, 2), pa.decimal128(20, 2), pa.decimal256(60, 2))
    ),
    (
        logical("long", "timestamp-millis"),
        pa.timestamp("us", "UTC"),
        [at(2020, 1, 1), None, at(2020, 1, 1, 0, 0, 0, 1), at(1969, 12, 31, 23)],
        at(1970, 1, 1),
    ),
    (logical("int", "date"), pa.date32(), [dt.date(2020, 1, 1), None], dt.date(1970, 1, 1)),
    (
        logical("int", "date"),
        pa.timestamp("s"),
        [dt.datetime(2020, 1, 1), None, dt.datetime(2020, 1, 1, 1)],
        dt.datetime(1970, 1, 1),
    ),
    (logical("int", "time-millis"), pa.time64("us"), [dt.time(1), None, dt.time(1, 0, 0, 1)], dt.time(2)),
]
NAMES = [
    f"{column[0] if isinstance(column[0], str) else list(column[0].values())}-{column[1]}"
    for column in COLUMNS
]
Column = tuple[Any, pa.DataType, list[Any], Any]


def of_every_length(column: Column) -> list[list[Any]]:
    values = column[2]
    return [values, [value for value in values if value is not None], [None] * 3, []]


def agrees(name: str, array: pa.Array, values: list[Any], avro: AvroType) -> None:
    converted, misfits = conform_column(array, avro)
    converted.validate(full=True)
    exact, expected = read_cells(values, avro)
    dead = {misfit.row for misfit in expected}
    assert {misfit.row for misfit in misfits} == dead, name
    found, wanted = converted.to_pylist(), pa.array(exact, converted.type).to_pylist()
    rows = [row for row in range(len(values)) if row not in dead]
    # As text: -0.0 equals 0.0.
    assert [repr(found[row]) for row in rows] == [repr(wanted[row]) for row in rows], name


@pytest.mark.parametrize("column", COLUMNS, ids=NAMES)
@pytest.mark.parametrize("nullable", [True, False], ids=["nullable", "required"])
def test_a_column_in_every_form(type_of: TypeOf, column: Column, nullable: bool) -> None:
    avro, kind, _, filler = column
    parsed = type_of(["null", avro] if nullable else avro)
    for values in of_every_length(column):
        for name, array in encodings(values, kind, filler):
            agrees(name, array, values, parsed)


@pytest.mark.parametrize("column", COLUMNS, ids=NAMES)
def test_lists_of_every_kind_of_items_in_every_form(type_of: TypeOf, column: Column) -> None:
    avro, kind, _, filler = column
    parsed = type_of(["null", {"type": "array", "items": ["null", avro]}])
    for values in of_every_length(column):
        counts = [1, None, len(values) - 1, 0] if values else [0, None]
        items = iter(values)
        wanted = [None if count is None else list(islice(items, count)) for count in counts]
        for form, array in islice(encodings(values, kind, filler), 0, None, 3):
            for name, nested in lists(array, counts):
                agrees(f"{name} of {form}", nested, wanted, parsed)


@pytest.mark.parametrize("column", COLUMNS, ids=NAMES)
@pytest.mark.parametrize("nullable", [True, False], ids=["nullable", "required"])
def test_records_and_maps_of_values_in_every_form(type_of: TypeOf, column: Column, nullable: bool) -> None:
    avro, kind, _, filler = column
    inner = ["null", avro] if nullable else avro
    record = type_of(["null", {"type": "record", "name": "R", "fields": [{"name": "a", "type": inner}]}])
    mapped = type_of({"type": "map", "values": inner})
    for values in of_every_length(column):
        for form, array in encodings(values, kind, filler):
            # The second record is missing, whatever values are below it.
            missing = [row == 1 for row in range(len(values))]
            built = pa.StructArray.from_arrays([array], names=["a"], mask=pa.array(missing, pa.bool_()))
            wanted = [None if row == 1 else {"a": value} for row, value in enumerate(values)]
            agrees(f"record of {form}", built, wanted, record)
            agrees(f"slice of records of {form}", built.slice(1), wanted[1:], record)
            if not isinstance(array, pa.RunEndEncodedArray):
                keys = pa.array([str(row) for row in range(len(values))], pa.string())
                ends = pa.array([0, *(min(1, len(values)),) * 2, len(values)], pa.int32())
                maps = pa.MapArray.from_arrays(ends, keys, array)
                pairs = [(str(row), value) for row, value in enumerate(values)]
                agrees(f"map of {form}", maps, [pairs[:1], [], pairs[1:]], mapped)
                agrees(f"slice of maps of {form}", maps.slice(1), [[], pairs[1:]], mapped)


def test_a_frames_dictionaries_of_several_chunks_are_one_column() -> None:
    texts = [["a", None, "b"], [None, "b", "c"]]
    # The null is in the dictionaries, which differ.
    indices = pa.array([0, 1, 2], pa.int8())
    chunks = [pa.DictionaryArray.from_arrays(indices, pa.array(text, pa.string())) for text in texts]
    series = pd.Series(pd.array(pa.chunked_array(chunks), dtype=pd.ArrowDtype(chunks[0].type)))
    assert column_of(series).to_pylist() == [*texts[0], *texts[1]]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.string_view(), ["a", None, "longer than the twelve bytes of a view"]),
        (pa.binary_view(), [b"a", None, b"\xff" * 20]),
        (pa.list_view(pa.int32()), [[1, 2], None, []]),
        (pa.large_list_view(pa.string_view()), [["a"], None, []]),
        (pa.run_end_encoded(pa.int32(), pa.string()), ["a", "a", "b"]),
    ],
    ids=str,
)
def test_a_frame_may_hold_types_of_arrow_that_pandas_has_no_name_for(
    kind: pa.DataType, values: list[Any]
) -> None:
    """pandas raises when it is asked whether such a column has objects."""
    series = pd.Series(pd.array(pa.array(values, kind), dtype=pd.ArrowDtype(kind)))
    assert column_of(series).to_pylist() == values
