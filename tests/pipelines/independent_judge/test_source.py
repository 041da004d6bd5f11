"""The independent judge of sourced rows, with prepared results of the warehouse."""

from typing import Any

import pyarrow as pa
import pytest

from pipelines.independent_judge.budget import Budget
from pipelines.independent_judge.errors import Misjudged, NotJudged
from pipelines.independent_judge.source_rows import Judged, SourceJudge
from resources.warehouse.plain_values import UNKNOWN

SCHEMA = pa.schema(
    [("id", pa.string()), ("at", pa.timestamp("us", "UTC")), ("x", pa.int64()), ("y", pa.float64())]
)
ROWS: list[dict[str, Any]] = [{"id": f"k{n}", "at": 10 + n // 2, "x": n, "y": n / 3} for n in range(20)]


def snapshot(rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA) -> SourceJudge:
    judge = SourceJudge("a/t w", schema, event_time="at", key="id")
    judge.take(pa.RecordBatch.from_pylist(rows, schema))
    return judge


def answers(*told: list[dict[str, Any]]) -> Any:
    """A warehouse whose queries return these rows, one list after the other, the last one repeatedly."""
    left = list(told)

    def ask(places: dict[str, list[Any]], most: int) -> list[dict[str, Any]]:
        rows = left.pop(0) if len(left) > 1 else left[0]
        return [row for row in rows if all(row[name] in values for name, values in places.items())][
            : most + 1
        ]

    return ask


def whole_of(rows: list[dict[str, Any]], *told: list[dict[str, Any]]) -> Any:
    """A warehouse's counts and extremes for these rows, then the lists one after the other."""
    left = list(told) or [rows]

    def ask(expressions: Any, in_full: bool) -> dict[str, Any]:  # noqa: ARG001
        rows = left.pop(0) if len(left) > 1 else left[0]
        found = {}
        for n, expression in enumerate(expressions):
            function, _, column = expression.partition('(source."')
            values = [
                row[column.removesuffix('")')] for row in rows if row[column.removesuffix('")')] is not None
            ]
            found[f"a{n}"] = {"count": len, "min": min, "max": max}[function](values)
        return found

    return ask


def both(judge: SourceJudge, ask: Any, whole: Any) -> Judged:
    found = judge.judge(ask, ask)
    return Judged(found.rows, judge.judge_whole(found.unsteady, whole, ask))


def judged(rows: list[dict[str, Any]], *told: list[dict[str, Any]]) -> Judged:
    ask = answers(*told)
    return both(snapshot(rows), ask, whole_of(rows))


def changed(n: int, **values: Any) -> list[dict[str, Any]]:
    return [{**row, **values} if row["id"] == f"k{n}" else row for row in ROWS]


def test_rows_that_the_warehouse_gives_too_are_right() -> None:
    found = judged(ROWS, ROWS)
    assert found.rows >= 4 and not found.unsteady


def test_a_value_on_which_all_answers_agree_is_wrong_in_the_snapshot() -> None:
    with pytest.raises(Misjudged) as caught:
        judged(changed(19, x=77), ROWS)
    error = caught.value
    assert (error.row, error.key, error.column, error.found, error.plain) == (19, "k19", "x", 77, 19)
    assert "event time 1970-01-01T00:00:00.000019Z" in str(error) and "0.3333" not in str(error)


@pytest.mark.parametrize("column", ["id", "at", "x"])
def test_a_column_whose_values_moved_by_a_row_is_found(column: str) -> None:
    moved = [{**row, column: ROWS[(n + 1) % 20][column]} for n, row in enumerate(ROWS)]
    with pytest.raises(Misjudged, match="independent judge"):
        judged(moved, ROWS)


def test_a_query_that_answers_differently_each_time_is_named_with_its_column() -> None:
    others = [[{**row, "x": row["x"] + n * 1000} for row in ROWS] for n in (1, 2, 3)]
    assert judged(ROWS, *others).unsteady == ("x",)


def test_a_query_whose_keys_are_others_each_time_is_named_with_its_column() -> None:
    others = [[{**row, "id": f"{n}-{row['id']}"} for row in ROWS] for n in range(60)]
    assert "id" in judged(ROWS, *others).unsteady


def test_sums_of_floats_in_another_order_are_no_wrong_value() -> None:
    nearly = [{**row, "y": row["y"] * (1 + 1e-15)} for row in ROWS]
    assert judged(ROWS, nearly).unsteady == ("y",)
    with pytest.raises(Misjudged, match="column 'y'"):
        judged(ROWS, [{**row, "y": row["y"] * 1.001 + 1} for row in ROWS])


def test_rows_of_the_same_key_and_time_are_compared_as_a_multiset() -> None:
    twins = [{"id": "k", "at": 10, "x": n % 2, "y": 0.0} for n in range(6)]
    assert judged(twins, twins[::-1]).rows >= 2
    with pytest.raises(Misjudged):
        judged(twins, [{**row, "x": 0} for row in twins])


def test_what_is_not_known_of_a_value_is_not_judged() -> None:
    assert judged(ROWS, [{**row, "x": UNKNOWN} for row in ROWS]).rows >= 4


def test_too_many_rows_of_one_key_and_time_are_not_judged() -> None:
    many = [{"id": "k", "at": 10, "x": 5, "y": 0.0}] * 5000
    with pytest.raises(NotJudged, match="same event time and key"):
        judged(many[:5], many)


def test_long_values_are_compared_by_their_digest() -> None:
    long = changed(3, id="x" * 100_000)
    schema = pa.schema([("name", pa.string()), *SCHEMA])
    rows = [{"name": "n" * 100_000, **row} for row in ROWS]
    assert judged(long, long).rows
    judge = snapshot(rows, schema)
    with pytest.raises(Misjudged, match="100,000 characters") as caught:
        both(judge, answers([{**row, "name": "n" * 99_999 + "m"} for row in rows]), whole_of(rows))
    assert len(str(caught.value)) < 1000


def test_a_query_without_event_time_and_key_is_asked_by_other_columns() -> None:
    schema = pa.schema([("x", pa.int64()), ("y", pa.float64())])
    rows = [{"x": n, "y": n / 3} for n in range(20)]
    ask = answers(rows)
    assert both(snapshot(rows, schema), ask, whole_of(rows)).rows >= 2
    with pytest.raises(Misjudged, match="column 'y'"):
        snapshot([{**row, "y": 5.0} for row in rows], schema).judge(ask, ask)


def test_no_rows_need_no_question() -> None:
    def never(*_: Any) -> Any:
        raise AssertionError

    assert both(snapshot([]), never, never) == Judged(0)


def test_dear_questions_are_asked_for_one_window_in_some_and_cheap_ones_for_all() -> None:
    dear, cheap = Budget(0.02), Budget(0.02)
    asked = 0
    for _ in range(200):
        if (seconds := dear.seconds(1.0)) is not None and seconds >= 0:
            asked += 1
            dear.spent(1.0)
        assert cheap.seconds(0.003) is not None
        cheap.spent(0.002)
    assert 10 <= asked <= 25


def test_what_the_first_question_costs_besides_holds_back_no_cheap_one() -> None:
    budget = Budget(0.02)
    for cost in (0.3, *[0.003] * 50):
        assert budget.seconds(0.003) is not None
        budget.spent(cost)


def test_a_question_that_was_cancelled_is_given_more_time_later() -> None:
    budget = Budget()
    first = budget.seconds(0.1)
    assert first is not None
    budget.spent(first, in_vain=True)
    assert budget.seconds(0.1) is None
    later = [budget.seconds(1.0) for _ in range(100)]
    assert any(seconds is not None and seconds > first for seconds in later)


def test_a_wrong_value_that_hides_an_extreme_is_found_by_the_extremes_of_all_rows() -> None:
    hidden = changed(13, x=5)
    right = changed(13, x=1000)
    with pytest.raises(Misjudged) as caught:
        # The row itself was not chosen.
        both(snapshot(hidden), answers(hidden), whole_of(right))
    assert (caught.value.column, caught.value.found, caught.value.plain) == ("x", 19, 1000)
    assert "the greatest of all sourced rows is" in str(caught.value)


def test_a_null_that_was_lost_is_found_by_the_number_of_values() -> None:
    with pytest.raises(Misjudged, match="the number of values of all sourced rows"):
        both(snapshot(ROWS), answers(ROWS), whole_of(changed(13, y=None)))


def test_extremes_that_are_others_each_time_are_named_with_their_column() -> None:
    others = [[{**row, "x": row["x"] + n} for row in ROWS] for n in (1, 2, 3)]
    ask = answers(ROWS)
    assert both(snapshot(ROWS), ask, whole_of(ROWS, *others)).unsteady == ("x",)
