"""The independent judge of conformed rows:
it agrees with right values, and stops wrong results of an Arrow kernel."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.contract import AvroType, Contract, parse_contract
from pipelines.independent_judge.contract_form import of_rows
from pipelines.independent_judge.errors import Misjudged
from pipelines.independent_judge.values import reader_of, same
from pipelines.transform import Transformer
from pipelines.transform.conforming.columns import conform_column
from pipelines.transform.conforming.leaves import ColumnMismatchError
from pipelines.transform.conforming.plain import of_arrow
from tests.pipelines.transform.test_agreement import SOURCES, TARGETS

TypeOf = Callable[[Any], AvroType]
TIMESTAMP = {"type": "long", "logicalType": "timestamp-micros"}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), source=st.sampled_from(SOURCES), avro=st.sampled_from(TARGETS), start=st.integers(0, 3)
)
def test_the_judge_agrees_with_every_row_that_fits(
    type_of: TypeOf, data: st.DataObject, source: tuple[Any, Any], avro: Any, start: int
) -> None:
    kind, values = source
    column = pa.array(data.draw(st.lists(st.one_of(st.none(), values), min_size=4, max_size=12)), kind)[
        start:
    ]
    parsed = type_of(["null", avro])
    try:
        converted, misfits = conform_column(column, parsed)
    except ColumnMismatchError:
        return
    convert, form = of_arrow(kind, parsed), of_rows(parsed)
    before, after = reader_of(column), reader_of(converted)
    dead = {misfit.row for misfit in misfits}
    for row in range(len(column)):
        if row not in dead:
            assert same(form(after(row)), convert(before(row)))


NESTED = {
    "type": "record", "name": "Leg", "fields": [
        {"name": "stops", "doc": "x", "type": {"type": "array", "items": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 4}]}},
        {"name": "at", "doc": "x", "type": ["null", TIMESTAMP]},
        {"name": "tags", "doc": "x", "type": {"type": "map", "values": "long"}},
    ],
}  # fmt: skip


def contract(amount: Any) -> Contract:
    fields = [("id", "string"), ("at", TIMESTAMP), ("amount", amount)]
    listed = [{"name": name, "type": kind, "doc": "x"} for name, kind in fields]
    return parse_contract(
        json.dumps({"type": "record", "name": "T", "fields": listed}), Path("assets/a/t.avsc")
    )


def batch(values: pa.Array) -> pa.RecordBatch:
    ids = pa.array([f"k{row}" for row in range(len(values))])
    times = pa.array(range(len(values)), pa.int64()).cast(pa.timestamp("us", "UTC"))
    return pa.record_batch([ids, times, values], names=["id", "at", "amount"])


def judged(values: pa.Array, amount: Any, transform: Any = None) -> int:
    found = Transformer(
        contract(amount), transform=transform, key="id", event_time="at", where="a/t w"
    ).apply(batch(values), 0)
    return len(found.judged)


def test_nested_values_are_judged() -> None:
    legs = [
        {"stops": [Decimal("1.5"), None], "at": 253_402_300_800_000_000 + row, "tags": [("a", row)]}
        for row in range(9)
    ]
    kind = pa.struct(
        [("stops", pa.list_(pa.decimal128(9, 1))), ("at", pa.timestamp("us", "UTC")), ("tags", pa.map_(pa.string(), pa.int32()))]
    )  # fmt: skip
    assert judged(pa.array(legs, kind), NESTED) >= 2


def test_rows_after_dead_ones_are_compared_with_their_own_source() -> None:
    assert judged(pa.array([None, 1, None, 2, 3, None], pa.int64()), "long") >= 2


def wrapping(source: pa.Array, avro: AvroType) -> Any:
    """The result of Arrow's safe cast if a product needs more than 128 bits."""
    scale = avro.scale - source.type.scale
    wrapped = [
        (int(value.scaleb(source.type.scale)) * 10**scale + 2**127) % 2**128 - 2**127
        for value in source.to_pylist()
    ]
    data = b"".join(number.to_bytes(16, "little", signed=True) for number in wrapped)
    kind = pa.decimal128(avro.precision, avro.scale)
    return pa.Array.from_buffers(kind, len(source), [None, pa.py_buffer(data)]), []


def next_rows(source: pa.Array, avro: AvroType) -> Any:
    """The result of a kernel that misreads the offset of a slice: each row has the next row's value."""
    converted, misfits = conform_column(source, avro)
    return pa.concat_arrays([converted.slice(1), converted.slice(0, 1)]), misfits


def only_in_row(number: int, wrong: Any) -> Any:
    def conform(source: pa.Array, avro: AvroType) -> Any:
        converted, misfits = conform_column(source, avro)
        values = converted.to_pylist()
        values[number] = wrong
        return pa.array(values, converted.type), misfits

    return conform


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 18}
UUIDS = [f"abcdef00-0000-4000-8000-{n:012d}" for n in range(50)]
LARGE = [Decimal(1)] * 300
LARGE[211] = Decimal("700000000000000000000.00")
EXTREMES: list[Any] = [5] * 300
EXTREMES[137] = 9
WRONG: list[tuple[str, Any, Any, Any, int]] = [
    ("wrapped decimal", wrapping, pa.array(LARGE, pa.decimal128(23, 2)), DECIMAL, 211),
    ("another row's uuid", next_rows, pa.array(UUIDS), {"type": "string", "logicalType": "uuid"}, 0),
    ("another row's number", next_rows, pa.array(range(50)), "long", 0),
    ("the greatest number of all", only_in_row(137, 8), pa.array(EXTREMES), "long", 137),
    ("the only null", only_in_row(137, 8), pa.array([None if n == 137 else 5 for n in range(300)], pa.int64()), ["null", "long"], 137),
    ("the longest text", only_in_row(137, "x"), pa.array(["yy" if n == 137 else "x" for n in range(300)]), "string", 137),
    ("the earliest time", only_in_row(137, 0), pa.array([1 if n == 137 else 5 for n in range(300)]).cast(pa.timestamp("us", "UTC")), TIMESTAMP, 137),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kernel", "values", "amount", "row"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG]
)
@pytest.mark.parametrize("transform", [None, lambda frame: frame], ids=["no transform", "transform"])
def test_a_wrong_kernel_is_found_and_its_value_named(
    monkeypatch: pytest.MonkeyPatch, kernel: Any, values: pa.Array, amount: Any, row: int, transform: Any
) -> None:
    assert judged(values, amount, transform) > 2  # nothing is wrong

    def conform(source: Any, avro: AvroType) -> Any:
        return (
            kernel(source, avro)
            if source is not None and len(source) == len(values) and is_amount(source)
            else real(source, avro)
        )

    def is_amount(source: Any) -> bool:
        return bool(source.type == values.type and source.to_pylist() == values.to_pylist())

    real = conform_column
    monkeypatch.setattr("pipelines.transform.conforming.conformer.conform_column", conform)
    with pytest.raises(Misjudged) as caught:
        judged(values, amount, transform)
    told = str(caught.value)
    assert caught.value.row == row
    assert caught.value.column == "amount"
    assert told.startswith("a/t w: the independent judge found a wrong value in row ")
    assert (
        f"key 'k{row}'" in told
        and "event time 1970-01-01T00:00:00" in told
        and "nothing was published" in told
    )


def test_a_lower_case_kernel_that_misreads_slices_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pc, "utf8_lower", pc.ascii_lower)
    texts = pa.array([text.upper() for text in UUIDS], pa.large_string())
    with pytest.raises(Misjudged, match="'amount'"):
        judged(texts.slice(1), {"type": "string", "logicalType": "uuid"})


def test_what_pandas_is_given_and_gives_back_is_judged_from_the_frame_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipelines.transform import transformer

    def shifted(series: "pd.Series[Any]") -> Any:
        found = real(series)
        return pa.concat_arrays([found.slice(1), found.slice(0, 1)]) if series.name == "amount" else found

    real = transformer.column_of  # type: ignore[attr-defined]
    monkeypatch.setattr(transformer, "column_of", shifted)
    numbers = pa.array(range(20))
    for dtype in ("int64", "Int64", "int64[pyarrow]", "float64", "category"):
        with pytest.raises(Misjudged, match="'amount'"):
            judged(
                numbers, "long", lambda frame, dtype=dtype: frame.assign(amount=frame["amount"].astype(dtype))
            )


@pytest.mark.parametrize("dtype", ["str", "string", "object", "category", "string[pyarrow]"])
def test_what_pandas_calls_missing_is_null_for_the_judge_too(dtype: str) -> None:
    texts = pa.array(["a", None, "b"] * 5)
    assert (
        judged(texts, ["null", "string"], lambda frame: frame.assign(amount=frame["amount"].astype(dtype)))
        > 2
    )


@pytest.mark.parametrize(
    "dtype", ["datetime64[us, UTC]", "datetime64[ns, UTC]", "timestamp[us, UTC][pyarrow]"]
)
def test_times_of_pandas_are_judged(dtype: str) -> None:
    times = pa.array([1, None, 3], pa.int64()).cast(pa.timestamp("us", "UTC"))
    assert (
        judged(times, ["null", TIMESTAMP], lambda frame: frame.assign(amount=frame["amount"].astype(dtype)))
        == 3
    )


def test_a_transform_that_turns_the_rows_round_is_judged_by_the_rows_own_values() -> None:
    assert judged(pa.array(range(30)), "long", lambda frame: frame.iloc[::-1]) > 3


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.date32(), pa.list_(pa.int8()), pa.opaque(pa.binary(), "bignum", "DuckDB")]
)
@pytest.mark.parametrize(
    "avro", ["long", "string", {"type": "array", "items": "long"}, TIMESTAMP, NESTED], ids=str
)
def test_columns_of_nulls_of_any_type_are_judged_or_left(kind: pa.DataType, avro: Any) -> None:
    assert judged(pa.nulls(12, kind), ["null", avro]) > 2
