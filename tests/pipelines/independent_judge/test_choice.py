"""Which rows are judged."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.independent_judge.choice import Choice


def chosen(batches: list[pa.RecordBatch], seed: str = "a", **how: Any) -> list[list[int]]:
    choice = Choice(seed, **how)
    return [
        list(choice.rows(zip(batch.schema.names, batch.columns, strict=True), batch.num_rows))
        for batch in batches
    ]


ROWS = 1000
KINDS: list[tuple[pa.DataType, Any, Any, Any]] = [
    # type, an ordinary value, the smallest, the largest
    (pa.int32(), 5, -7, 90),
    (pa.uint64(), 5, 1, 2**64 - 1),
    (pa.float64(), 5.0, -7.5, 9e300),
    (pa.float16(), 5.0, -7.5, 90.0),
    (pa.decimal128(9, 2), Decimal(5), Decimal("-7.01"), Decimal("90.01")),
    (pa.decimal128(38, 2), Decimal(5), Decimal(-(10**30)), Decimal(10**30)),
    (pa.decimal256(60, 2), Decimal(5), Decimal(-(10**50)), Decimal(10**50)),
    (pa.timestamp("us", "UTC"), 5, -(2**60), 2**60),
    (pa.date32(), 5, -7, 2**30),
    (pa.string(), "middle", "", "long" * 10),
    (pa.large_binary(), b"middle", b"", b"long" * 10),
    (pa.list_(pa.int64()), [1, 2], [], [1, 2, 3]),
]


@pytest.mark.parametrize(("kind", "ordinary", "least", "most"), KINDS, ids=lambda given: str(given)[:24])
@pytest.mark.parametrize("start", [0, 3], ids=["whole", "sliced"])
def test_the_extremes_and_the_first_null_of_a_column_are_chosen(
    kind: pa.DataType, ordinary: Any, least: Any, most: Any, start: int
) -> None:
    values: list[Any] = [ordinary] * (ROWS + start)
    values[start + 123], values[start + 456], values[start + 789] = least, most, None
    array = pa.array(values, kind)[start:]
    (rows,) = chosen([pa.record_batch([array], names=["x"])])
    assert {123, 456, 789} <= set(rows)
    assert {0, ROWS - 1} <= set(rows)
    assert len(rows) < 12


def test_rows_that_are_not_alive_are_not_chosen_and_do_not_hide_extremes_that_are() -> None:
    values = list(range(ROWS))
    alive = np.ones(ROWS, bool)
    alive[[0, ROWS - 1]] = False
    rows = Choice("a").rows([("x", pa.array(values))], ROWS, alive)
    assert {1, ROWS - 2} <= set(rows) <= set(range(1, ROWS - 1))


def test_a_batch_gives_the_extremes_that_go_beyond_those_before_it() -> None:
    draw = np.random.default_rng(0)
    numbers = [draw.integers(0, 10**9, ROWS) for _ in range(300)]
    batches = [pa.record_batch([pa.array(part)], names=["x"]) for part in numbers]
    rows = chosen(batches)
    whole = np.concatenate(numbers)
    for place in (int(whole.argmin()), int(whole.argmax())):
        assert place % ROWS in rows[place // ROWS]
    # Few in total, however many batches there are.
    assert sum(map(len, rows)) < 150


def test_the_first_and_the_last_text_are_chosen_where_asked_for() -> None:
    texts = ["middle"] * ROWS
    texts[123], texts[456] = "aaaaaa", "zzzzzz"
    batch = pa.record_batch([pa.array(texts)], names=["x"])
    assert {123, 456} <= set(chosen([batch], text_order=True)[0])


def test_fields_of_structs_have_extremes_too() -> None:
    structs: list[Any] = [{"a": 5}] * ROWS
    structs[123], structs[456], structs[789] = {"a": -9}, None, {"a": None}
    assert {123, 456, 789} <= set(chosen([pa.record_batch([pa.array(structs)], names=["x"])])[0])


def test_nan_is_no_extreme() -> None:
    values = [5.0] * ROWS
    values[3], values[123], values[456] = float("nan"), -1.0, 9.0
    assert {123, 456} <= set(chosen([pa.record_batch([pa.array(values)], names=["x"])])[0])


def test_the_same_rows_give_the_same_choice_and_another_window_another() -> None:
    batches = [pa.record_batch([pa.array([1] * ROWS)], names=["x"])] * 3
    assert chosen(batches) == chosen(batches)
    assert chosen(batches, "a") != chosen(batches, "b")


def test_no_rows_and_types_without_an_order_give_no_error() -> None:
    assert chosen([pa.record_batch([pa.array([], pa.int64())], names=["x"])]) == [[]]
    (rows,) = chosen([pa.record_batch([pa.nulls(3), pa.array([True, None, False])], names=["x", "y"])])
    assert rows
