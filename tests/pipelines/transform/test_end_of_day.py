"""The time 24:00 never reaches a transform as 00:00: its row is a dead letter, in every type for times."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from pipelines.contract import Contract
from pipelines.transform import ConformError, Transformer
from pipelines.transform.conforming.end_of_day import end_of_day

DAY = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
NOON, LAST, END = 43_200_000_000, 86_399_999_999, 86_400_000_000
COUNTS = [NOON, END, None, LAST, END, 0]
TIME = pa.time64("us")


def times(counts: list[int | None] = COUNTS) -> Any:
    return pa.array(counts, pa.int64()).view(TIME)


def listed(array: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array(range(len(array) + 1), pa.int32()), array)


FORMS: dict[str, Callable[[], Any]] = {
    "time": times,
    "list": lambda: listed(times()),
    "record": lambda: pa.StructArray.from_arrays([times()], ["t"]),
    "list of records": lambda: listed(pa.StructArray.from_arrays([times()], ["t"])),
    "map": lambda: pa.MapArray.from_arrays(list(range(7)), pa.array([*"abcdef"]), times()),
    "dictionary": lambda: pa.DictionaryArray.from_arrays(
        pa.array([0, 1, None, 2, 1, 3], pa.int32()), times([NOON, END, LAST, 0])
    ),
    "milliseconds": lambda: pa.array([1, 86_400_000, None, 3, 86_400_000, 0], pa.int32()).view(
        pa.time32("ms")
    ),
}


def single_values(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(t=[str(one) for one in rows["t"]])


def transformer(contract: Contract, **more: Any) -> Transformer:
    options: dict[str, Any] = {
        "transform": single_values,
        "key": "id",
        "event_time": "at",
        "where": "a.py",
    } | more
    return Transformer(contract, **options)


@pytest.fixture
def contract(contract_of: Callable[[dict[str, Any]], Contract]) -> Contract:
    at = {"type": "long", "logicalType": "timestamp-micros"}
    return contract_of({"id": "string", "at": at, "t": "string"})


def batch_of(column: Any) -> Any:
    at = pa.array([DAY] * len(column), pa.timestamp("us", "UTC"))
    return pa.record_batch({"id": pa.array([f"k{n}" for n in range(len(column))]), "at": at, "t": column})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cut", [slice(0, 6), slice(1, 6), slice(2, 4), slice(4, 5)])
def test_its_row_is_a_dead_letter_and_the_others_keep_their_place(
    contract: Contract, form: str, cut: slice
) -> None:
    column = FORMS[form]()[cut]
    dead = [row for row in range(6)[cut] if COUNTS[row] == END]
    found = transformer(contract).apply(batch_of(column), 100 + cut.start)
    letters = found.dead.to_pylist()
    assert [one["source_row"] for one in letters] == [100 + row for row in dead]
    assert {(one["field"], one["reason"], one["value"]) for one in letters} <= {
        ("t", "out_of_range", "24:00")
    }
    kept = [row for row in range(6)[cut] if row not in dead]
    assert found.source_rows.tolist() == [100 + row for row in kept]
    assert found.rows.num_rows + len(letters) == len(column)


def test_what_lies_beneath_a_null_is_no_time() -> None:
    beneath = pa.Array.from_buffers(TIME, 2, [pa.py_buffer(b"\x02"), times([END, NOON]).buffers()[1]])
    assert end_of_day(pa.record_batch({"t": beneath})) == {}
    assert end_of_day(pa.record_batch({"t": times([])})) == {}


def test_many_such_rows_and_a_whole_window_are_an_error_that_names_the_column(contract: Contract) -> None:
    with pytest.raises(ConformError, match=r"column 't' holds the time 24:00 in 101 rows.*NULLIF"):
        transformer(contract).apply(batch_of(times([END] * 101)), 0)
    with pytest.raises(ConformError, match=r"column 't' holds the time 24:00 in 2 rows"):
        transformer(contract, whole_window=True).apply(batch_of(times()), 0)
