"""A batch through the transform:
what the result is, which rows are dead letters and why, and what is the module's mistake."""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipelines.contract import Contract
from pipelines.transform import (
    DEAD_LETTER_SCHEMA,
    MOST_RAISED_ROWS,
    ConformError,
    TransformedBatch,
    Transformer,
    TransformFailed,
)

UTC = dt.UTC
DAY = dt.datetime(2013, 1, 1, tzinfo=UTC)
FIELDS = {
    "event_id": {"type": "string", "logicalType": "uuid"},
    "flight_id": "string",
    "departed_at": {"type": "long", "logicalType": "timestamp-millis"},
    "delay_minutes": ["null", "int"],
}
WHERE = "assets/flights/flight_departed.py"


@pytest.fixture
def contract(contract_of: Callable[[dict[str, Any]], Contract]) -> Contract:
    return contract_of(FIELDS)


@pytest.fixture
def run(contract: Contract) -> Callable[..., TransformedBatch]:
    def apply(
        transform: Any = None, batch: Any = None, first_row: int = 100, **more: Any
    ) -> TransformedBatch:
        options: dict[str, Any] = {
            "key": "flight_id",
            "event_time": "departed_at",
            "event_id": "event_id",
            "window_start": DAY,
            "window_end": DAY + dt.timedelta(days=1),
            "where": WHERE,
        } | more
        transformer = Transformer(contract, transform=transform, **options)
        return transformer.apply(flights(4) if batch is None else batch, first_row)

    return apply


def flights(count: int, **columns: Any) -> Any:
    given: dict[str, Any] = {
        "flight_id": [f"UA{i}" for i in range(count)],
        "departed_at": pa.array(
            [DAY + dt.timedelta(seconds=i) for i in range(count)], pa.timestamp("us", "America/New_York")
        ),
        "delay_minutes": pa.array([None if i % 2 else i for i in range(count)], pa.int64()),
    } | columns
    return pa.record_batch(given)


def letters(outcome: TransformedBatch) -> list[dict[str, Any]]:
    assert outcome.dead.schema.equals(DEAD_LETTER_SCHEMA)
    listed: list[dict[str, Any]] = outcome.dead.to_pylist()
    return listed


def ids(outcome: TransformedBatch) -> list[str]:
    listed: list[str] = outcome.rows.column("flight_id").to_pylist()
    return listed


@pytest.mark.parametrize("transform", [None, lambda rows: rows], ids=["identity", "pandas"])
def test_rows_become_the_contracts_rows(run: Any, contract: Contract, transform: Any) -> None:
    outcome = run(transform)
    assert outcome.rows.schema.equals(contract.without("event_id").arrow_schema)
    assert outcome.rows.to_pylist() == [
        {
            "flight_id": f"UA{i}",
            "departed_at": DAY + dt.timedelta(seconds=i),
            "delay_minutes": None if i % 2 else i,
        }
        for i in range(4)
    ]
    assert (outcome.dead.num_rows, outcome.rows_in, outcome.rows_dropped) == (0, 4, 0)


@pytest.mark.parametrize("transform", [None, lambda rows: rows], ids=["identity", "pandas"])
def test_a_misfit_is_one_dead_letter_with_its_source_row(run: Any, transform: Any) -> None:
    batch = flights(
        4,
        delay_minutes=[1, 2**31, 2, None],
        flight_id=["UA0", None, "UA2", "UA3"],
        departed_at=pa.array([DAY, DAY, DAY + dt.timedelta(days=1), DAY], pa.timestamp("us", "UTC")),
    )
    outcome = run(transform, batch)
    assert ids(outcome) == ["UA0", "UA3"]
    null_key, outside = letters(outcome)
    assert (null_key["source_row"], null_key["field"], null_key["reason"]) == (101, "flight_id", "null_key")
    assert "also: delay_minutes (out_of_range)" in null_key["detail"]
    assert json.loads(null_key["row"]) == {
        "flight_id": None,
        "departed_at": "2013-01-01T00:00:00+00:00",
        "delay_minutes": 2**31,
    }
    assert (outside["source_row"], outside["field"], outside["reason"]) == (
        102,
        "departed_at",
        "outside_window",
    )
    assert outside["value"] == "2013-01-02 00:00:00+00:00"
    assert (
        outside["detail"] == "from 2013-01-01T00:00:00+00:00 to before 2013-01-02T00:00:00+00:00, the window"
    )


def test_the_window_is_half_open_to_the_last_millisecond(run: Any) -> None:
    day, millisecond = dt.timedelta(days=1), dt.timedelta(milliseconds=1)
    times = [DAY - millisecond, DAY, DAY + day - millisecond, DAY + day]
    batch = flights(4, departed_at=pa.array(times, pa.timestamp("ms", "UTC")))
    assert ids(run(None, batch)) == ["UA1", "UA2"]
    assert len(ids(run(None, batch, window_start=None, window_end=None))) == 4
    # A bound between two milliseconds excludes the earlier millisecond, and, as an end, includes it.
    half = dt.timedelta(microseconds=500)
    assert ids(run(None, batch, window_start=DAY + half, window_end=DAY + day - millisecond + half)) == [
        "UA2"
    ]


def test_the_transforms_own_values_are_conformed(run: Any) -> None:
    outcome = run(lambda rows: rows.assign(delay_minutes=[1, 2.5, pd.NA, "3"]))
    assert outcome.rows.column("delay_minutes").to_pylist() == [1, None]
    assert [(d["source_row"], d["reason"], d["value"]) for d in letters(outcome)] == [
        (101, "fraction", "2.5"),
        (103, "wrong_type", "3"),
    ]


@pytest.mark.parametrize(
    ("make", "expected", "reasons"),
    [
        (lambda s: s.astype("Int64"), [0, None, 2, None], []),
        (lambda s: s.astype("Int8"), [0, None, 2, None], []),
        (lambda s: s.astype("Float64"), [0, None, 2, None], []),
        (lambda s: s.astype("float64"), [0, 2], ["nan", "nan"]),
        (lambda s: s.astype(object), [0, None, 2, None], []),
        (lambda s: s.astype("category"), [0, None, 2, None], []),
        (lambda s: s.astype(object).astype("category"), [0, None, 2, None], []),
        (lambda s: pd.Series([0, 2.5, 2, True], index=s.index, dtype=object).astype("category"), None, None),
        (lambda s: pd.Series([0, -1, 2, 3], index=s.index), [0, -1, 2, 3], []),
        (lambda s: pd.Series(pd.arrays.SparseArray([0, 0, 2, 3]), index=s.index), [0, 0, 2, 3], []),
        (lambda s: pd.Series(np.array([0, 1, 2, 2**40]), index=s.index), [0, 1, 2], ["out_of_range"]),
        (lambda s: s.map({0: 7, 2: 8}), [7, None, 8, None], []),
    ],
    ids=["Int64", "Int8", "Float64", "float64", "object", "category", "objects", "mixed", "numpy", "sparse", "far", "map"],
)  # fmt: skip
def test_every_pandas_representation(run: Any, make: Any, expected: Any, reasons: Any) -> None:
    outcome = run(lambda rows: rows.assign(delay_minutes=make(rows["delay_minutes"])))
    if expected is None:  # categories of mixed objects: no common type is guessed, each one is checked
        assert outcome.rows.column("delay_minutes").to_pylist() == [0, 2]
        assert [d["reason"] for d in letters(outcome)] == ["fraction", "wrong_type"]
        return
    assert [d["reason"] for d in letters(outcome)] == reasons
    assert outcome.rows.column("delay_minutes").to_pylist() == expected


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_pandas_timestamps_of_every_unit_and_zone(run: Any, unit: str) -> None:
    def local(rows: pd.DataFrame) -> pd.DataFrame:
        times = pd.DatetimeIndex(["2013-01-01 03:00:00"] * 4, tz="America/New_York").as_unit(unit)  # type: ignore[arg-type]
        return rows.assign(departed_at=times)

    assert run(local).rows.column("departed_at").to_pylist() == [DAY + dt.timedelta(hours=8)] * 4


def test_nanoseconds_are_not_cut(run: Any) -> None:
    def late(rows: pd.DataFrame) -> pd.DataFrame:
        stamps = [pd.Timestamp(DAY) + pd.Timedelta(nanoseconds) for nanoseconds in (0, 1, 1_000_000, 999)]
        return rows.assign(departed_at=pd.DatetimeIndex(stamps).as_unit("ns"))

    outcome = run(late)
    assert ids(outcome) == ["UA0", "UA2"]
    assert [d["reason"] for d in letters(outcome)] == ["precision_loss"] * 2


def test_lone_surrogates_in_pandas_text(run: Any) -> None:
    dtype = pd.StringDtype("python")
    outcome = run(lambda rows: rows.assign(flight_id=pd.array(["a", "\ud800", "c", pd.NA], dtype=dtype)))
    assert ids(outcome) == ["a", "c"]
    assert [(d["reason"], d["value"]) for d in letters(outcome)] == [
        ("invalid_utf8", "\\ud800"),
        ("null_key", None),
    ]


def test_nan_of_the_source_is_dead_even_through_pandas(contract_of: Any) -> None:
    contract = contract_of({"id": "string", "at": FIELDS["departed_at"], "x": ["null", "double"]})
    batch = pa.record_batch(
        {
            "id": ["a", "b", "c"],
            "at": pa.array([DAY] * 3, pa.timestamp("ms", "UTC")),
            "x": [1.0, float("nan"), None],
        }
    )
    for transform in (None, lambda rows: rows, lambda rows: rows[rows["id"] != "c"]):
        outcome = Transformer(contract, transform=transform, key="id", event_time="at").apply(batch, 0)
        assert [(d["source_row"], d["reason"]) for d in letters(outcome)] == [(1, "nan")]
        assert json.loads(letters(outcome)[0]["row"])["x"] == "NaN"


# Filtering, sorting, exploding and losing the index.


def test_dropped_rows_are_counted_not_dead(run: Any) -> None:
    outcome = run(lambda rows: rows[rows["delay_minutes"].notna()])
    assert ids(outcome) == ["UA0", "UA2"]
    assert (outcome.dead.num_rows, outcome.rows_in, outcome.rows_dropped) == (0, 4, 2)
    nothing = run(lambda rows: rows.iloc[:0])
    assert (nothing.rows.num_rows, nothing.rows_dropped) == (0, 4)


def test_sorted_rows_come_back_in_source_order(run: Any) -> None:
    def backwards(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.sort_values("flight_id", ascending=False)
        return rows.assign(delay_minutes=pd.Series(["x", 2, 1, 0], index=rows.index, dtype=object))

    outcome = run(backwards)
    assert ids(outcome) == ["UA0", "UA1", "UA2"]
    assert outcome.rows.column("delay_minutes").to_pylist() == [0, 1, 2]
    assert [d["source_row"] for d in letters(outcome)] == [103]


def test_one_row_may_become_several(run: Any) -> None:
    outcome = run(lambda rows: pd.concat([rows, rows.iloc[1:2].assign(delay_minutes=2**40)]))
    assert ids(outcome) == ["UA0", "UA1", "UA2", "UA3"]
    assert [d["source_row"] for d in letters(outcome)] == [101]
    assert outcome.rows_dropped == 0


@pytest.mark.parametrize(
    "lose",
    [
        lambda rows: rows.iloc[::-1].reset_index(drop=True),
        lambda rows: rows.iloc[::-1].merge(
            pd.DataFrame({"flight_id": [f"UA{i}" for i in range(4)]}), on="flight_id"
        ),
        lambda rows: rows.iloc[::-1].set_axis(pd.RangeIndex(0, 4, name="source_row")),
    ],
    ids=["reset_index", "merge", "labels of other rows"],
)
def test_a_lost_index_is_an_unknown_source_row_never_a_wrong_one(run: Any, lose: Any) -> None:
    outcome = run(lambda rows: lose(rows).assign(delay_minutes=[1, 2**40, 3, 4]))
    assert ids(outcome) == ["UA3", "UA1", "UA0"]
    assert [(d["source_row"], json.loads(d["row"])["flight_id"]) for d in letters(outcome)] == [(None, "UA2")]


def test_a_reset_index_of_the_first_batch_is_not_taken_for_source_rows(run: Any) -> None:
    def lose(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.iloc[1:].reset_index(drop=True).assign(delay_minutes=[2**40, 1, 1])

    outcome = run(lose, first_row=0)
    assert [(d["source_row"], json.loads(d["row"])["flight_id"]) for d in letters(outcome)] == [(None, "UA1")]


def test_rows_of_one_source_row_keep_the_transforms_order(run: Any) -> None:
    def several(rows: pd.DataFrame) -> pd.DataFrame:
        parts = [rows.iloc[::-1].assign(delay_minutes=part) for part in (3, 1, 2, 0)]
        return pd.concat(parts)

    outcome = run(several, flights(50))
    assert ids(outcome) == [f"UA{i}" for i in range(50) for _ in range(4)]
    assert outcome.rows.column("delay_minutes").to_pylist() == [3, 1, 2, 0] * 50


def test_chunks_with_dictionaries_of_their_own(run: Any) -> None:
    def chunked(rows: pd.DataFrame) -> pd.DataFrame:
        chunks = [pa.array(pair).dictionary_encode() for pair in (["a", "b"], ["c", "a"])]
        return rows.assign(
            flight_id=pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array(chunks)), index=rows.index)
        )

    assert ids(run(chunked)) == ["a", "b", "c", "a"]


# A transform that raises.


def _whole_minutes(rows: pd.DataFrame) -> pd.DataFrame:
    bad = rows.loc[rows["delay_minutes"] == 7, "flight_id"]
    if len(bad):
        raise ValueError(f"seven is unlucky: {bad.iloc[0]}")
    return rows


def test_rows_that_raise_are_isolated(run: Any) -> None:
    delays = [7 if i in (3, 4, 60) else 1 for i in range(64)]
    outcome = run(_whole_minutes, flights(64, delay_minutes=delays))
    assert ids(outcome) == [f"UA{i}" for i in range(64) if i not in (3, 4, 60)]
    assert outcome.rows_dropped == 0
    dead = letters(outcome)
    assert [(d["source_row"], d["reason"], d["field"]) for d in dead] == [
        (row, "transform_raised", "") for row in (103, 104, 160)
    ]
    assert dead[0]["detail"].startswith("ValueError: seven is unlucky: UA3 (test_transformer.py:")
    assert "Traceback" not in dead[0]["detail"]
    assert json.loads(dead[0]["row"])["flight_id"] == "UA3"


def test_raised_and_misfitting_rows_of_one_batch_keep_their_order(run: Any) -> None:
    outcome = run(_whole_minutes, flights(4, delay_minutes=[2**40, 7, 1, 2**40]))
    assert [(d["source_row"], d["reason"]) for d in letters(outcome)] == [
        (100, "out_of_range"),
        (101, "transform_raised"),
        (103, "out_of_range"),
    ]


def test_too_many_raising_rows_stop_the_window(contract: Contract) -> None:
    transformer = Transformer(
        contract,
        transform=_whole_minutes,
        key="flight_id",
        event_time="departed_at",
        event_id="event_id",
        where=WHERE,
    )
    batch = flights(MOST_RAISED_ROWS, delay_minutes=[7] * MOST_RAISED_ROWS)
    assert transformer.apply(batch, 0).dead.num_rows == MOST_RAISED_ROWS
    with pytest.raises(
        TransformFailed, match="raises on every row: ValueError: seven is unlucky: UA0"
    ) as raised:
        transformer.apply(batch, MOST_RAISED_ROWS)
    assert (raised.value.where, raised.value.source_row) == (WHERE, 0)


def test_a_whole_window_that_raises_fails(run: Any) -> None:
    with pytest.raises(TransformFailed, match="seven is unlucky") as raised:
        run(_whole_minutes, flights(4, delay_minutes=[7, 1, 1, 1]), whole_window=True)
    assert raised.value.source_row is None


def test_a_frame_changed_in_place_leaves_the_source_alone(run: Any) -> None:
    def meddle(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[:, "delay_minutes"] = 5
        if len(rows) > 1:
            raise ValueError("not yet")
        return rows

    batch = flights(4)
    assert run(meddle, batch).rows.column("delay_minutes").to_pylist() == [5] * 4
    assert batch.equals(flights(4))


# The module's mistakes.


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (lambda rows: None, "the transform returned None (no return?); allowed: a DataFrame"),  # noqa: ARG005
        (lambda rows: rows["flight_id"], "the transform returned a Series"),
        (lambda rows: rows.drop(columns="delay_minutes"), "no column for the field 'delay_minutes'"),
        (lambda rows: rows.rename(columns={"flight_id": "flightid"}), "did you mean flightid AS flight_id?"),
        (lambda rows: rows.assign(carrier="UA"), "column 'carrier' is not a field of the contract"),
        (lambda rows: rows.assign(event_id="x"), "column 'event_id' is the event id, which is filled in"),
        (lambda rows: rows.set_index("flight_id"), "it is the index of the frame: reset_index()"),
        (
            lambda rows: pd.concat([rows, rows[["flight_id"]]], axis=1),
            "column flight_id stands more than once",
        ),
        (lambda rows: rows.assign(delay_minutes="1"), "column 'delay_minutes' is "),
        (lambda rows: rows.assign(delay_minutes=1j), "complex128, which has no Arrow type"),
        (lambda rows: rows.assign(delay_minutes=pd.Timedelta(1)), "duration"),
        (lambda rows: rows.assign(delay_minutes=pd.Period("2013")), "period"),
        (lambda rows: rows.assign(departed_at=pd.Timestamp("2013-01-01")), "AT TIME ZONE in the SQL"),
        (lambda rows: rows.assign(delay_minutes=True), "column 'delay_minutes' is bool"),
        (lambda rows: rows.assign(flight_id=1), "column 'flight_id' is int64, its field is string"),
    ],
)
def test_mistakes_of_the_module_are_said_once(run: Any, transform: Any, said: str) -> None:
    with pytest.raises(ConformError) as raised:
        run(transform)
    assert str(raised.value).startswith(f"{WHERE}: ")
    assert said in str(raised.value)


def test_all_mistakes_of_the_columns_are_said_together(run: Any) -> None:
    with pytest.raises(ConformError) as raised:
        run(lambda rows: rows.assign(delay_minutes="1", flight_id=1, departed_at="2013"))
    (problem,) = raised.value.problems
    assert problem.problem.splitlines() == [
        "the columns differ from the contract: other types (3 of 3):",
        "- flight_id: int64; string takes text; CAST(... AS VARCHAR) in the SQL, or .astype('string[pyarrow]') in the transform",
        "- departed_at: string; timestamp-millis takes timestamps with a zone (instants); CAST(... AS TIMESTAMPTZ) in the SQL",
        "- delay_minutes: string; int takes whole numbers (any int, or float and decimal without fractions); "
        "CAST(... AS INTEGER) in the SQL, or .astype('int32[pyarrow]') in the transform",
    ]
    batch = pa.RecordBatch.from_arrays([pa.array([1])] * 3, names=["x", "x", "flight_id"])
    with pytest.raises(ConformError) as raised:
        run(None, batch)
    assert [p.problem.split("'")[0] for p in raised.value.problems] == [
        "column x stands more than once",
        "the columns differ from the contract: missing (2 of 3): departed_at, delay_minutes; not in the contract (1): x; "
        "other types (1 of 3):\n- flight_id: int64; string takes text; CAST(... AS VARCHAR) in the SQL, or .astype(",
    ]


def test_other_names_and_other_types_are_one_difference(run: Any) -> None:
    for transform, batch in (
        (lambda rows: rows.assign(flight_id=1).rename(columns={"delay_minutes": "delay_minute"}), None),
        (
            None,
            flights(2)
            .rename_columns(["flight_id", "departed_at", "delay_minute"])
            .set_column(0, "flight_id", pa.array([1, 2])),
        ),
    ):
        with pytest.raises(ConformError) as raised:
            run(transform, batch)
        (problem,) = raised.value.problems
        assert (
            "other names: delay_minute for delay_minutes; other types (1 of 3):\n- flight_id: int64; string takes"
            in problem.problem
        )


def test_a_type_that_arrow_lacks_is_in_the_same_difference(run: Any) -> None:
    with pytest.raises(ConformError) as raised:
        run(lambda rows: rows.assign(delay_minutes=1j, flight_id=1))
    (problem,) = raised.value.problems
    assert "- delay_minutes: complex128, which has no Arrow type" in problem.problem
    assert "- flight_id: int64; string takes text" in problem.problem


def test_columns_that_differ_alike_are_one_line(contract_of: Any) -> None:
    names = [f"n{place}" for place in range(22)]
    contract = contract_of({"id": "string", "at": FIELDS["departed_at"], **dict.fromkeys(names, "int")})
    columns = {
        "id": pa.array(["a"]),
        "at": pa.array([0], pa.timestamp("us", "UTC")),
        **{name: pa.array(["1"]) for name in names},
    }
    transformer = Transformer(contract, transform=None, key="id", event_time="at", where=WHERE)
    with pytest.raises(ConformError) as raised:
        transformer.apply(pa.RecordBatch.from_pydict(columns), 0)
    (problem,) = raised.value.problems
    head, line = problem.problem.splitlines()
    assert head.endswith("other types (22 of 24):")
    assert line.startswith("- n0, n1, n2, ") and "and 10 more: string; int takes whole numbers" in line
    assert len(str(raised.value)) < 500


def test_an_empty_batch_is_no_rows(run: Any) -> None:
    for transform in (None, lambda rows: rows["no such column"]):
        outcome = run(transform, flights(0))
        assert (outcome.rows.num_rows, outcome.dead.num_rows, outcome.rows_in) == (0, 0, 0)


def test_the_event_time_must_be_an_instant(contract: Contract) -> None:
    with pytest.raises(ValueError, match="not a timestamp"):
        Transformer(
            contract,
            transform=None,
            key="flight_id",
            event_time="delay_minutes",
            window_start=DAY,
            window_end=DAY,
        )
    with pytest.raises(KeyError, match="flight_id"):
        Transformer(contract, transform=None, key="flightid", event_time="departed_at")


def test_uuid_columns_of_a_warehouse_reach_the_transform_as_text(contract_of: Any) -> None:
    contract = contract_of({"id": FIELDS["event_id"], "at": FIELDS["departed_at"]})
    raw = pa.array([bytes(range(16))], pa.binary(16))
    batch = pa.record_batch(
        {
            "id": pa.ExtensionArray.from_storage(pa.uuid(), raw),
            "at": pa.array([DAY], pa.timestamp("us", "UTC")),
        }
    )
    seen: list[Any] = []

    def look(rows: pd.DataFrame) -> pd.DataFrame:
        seen.append(rows["id"].iloc[0])
        return rows

    for transform in (None, look):
        outcome = Transformer(contract, transform=transform, key="id", event_time="at").apply(batch, 0)
        assert outcome.rows.column("id").to_pylist() == ["00010203-0405-0607-0809-0a0b0c0d0e0f"]
    assert seen == ["00010203-0405-0607-0809-0a0b0c0d0e0f"]


@pytest.mark.parametrize(
    ("base", "logical", "arrow", "count", "reason", "said"),
    [
        ("int", "date", pa.date32(), 2**31 - 1, "infinite", "infinity"),
        ("int", "date", pa.date32(), -(2**31) + 1, "infinite", "-infinity"),
        ("long", "timestamp-micros", pa.timestamp("us", "UTC"), 2**63 - 1, "infinite", "infinity"),
        ("long", "time-micros", pa.time64("us"), 86_400_000_000, "out_of_range", "86400000000"),
        ("int", "time-millis", pa.time32("ms"), 86_400_000, "out_of_range", "86400000"),
        ("long", "timestamp-nanos", pa.timestamp("s", "UTC"), 253_402_300_800, "out_of_range", "+10000-01-01T00:00:00+00:00"),
    ],
)  # fmt: skip
def test_what_python_cannot_hold_is_shown_in_words_or_as_its_count(
    contract_of: Any, base: str, logical: str, arrow: Any, count: int, reason: str, said: str
) -> None:
    contract = contract_of(
        {"id": "string", "at": FIELDS["departed_at"], "x": {"type": base, "logicalType": logical}}
    )
    raw = pa.array([count], pa.int32() if arrow.bit_width == 32 else pa.int64()).view(arrow)
    batch = pa.record_batch({"id": ["a"], "at": pa.array([DAY], pa.timestamp("us", "UTC")), "x": raw})
    (letter,) = letters(Transformer(contract, transform=None, key="id", event_time="at").apply(batch, 0))
    assert (letter["reason"], letter["value"]) == (reason, said)
    assert json.loads(letter["row"])["x"] == said


def wide(count: int, arrow: Any) -> pa.Array:
    """One value, `count` times."""
    return pa.array([count], pa.int32() if arrow.bit_width == 32 else pa.int64()).view(arrow)


ENDLESS = [
    (pa.timestamp("us", "UTC"), {"type": "long", "logicalType": "timestamp-micros"}, 2**63 - 1, "infinity"),
    (pa.timestamp("us"), {"type": "long", "logicalType": "local-timestamp-micros"}, -(2**63) + 1, "-infinity"),
    (pa.date32(), {"type": "int", "logicalType": "date"}, 2**31 - 1, "infinity"),
]  # fmt: skip


@pytest.mark.parametrize("transform", [None, lambda rows: rows])
@pytest.mark.parametrize(("arrow", "avro", "count", "said"), ENDLESS)
def test_infinity_inside_an_array_a_map_or_a_record_is_a_dead_letter(
    contract_of: Any, arrow: Any, avro: Any, count: int, said: str, transform: Any
) -> None:
    endless = wide(count, arrow)
    offsets = pa.array([0, 1], pa.int32())
    inside: dict[str, tuple[Any, Any, str]] = {
        "array": ({"type": "array", "items": avro}, pa.ListArray.from_arrays(offsets, endless), "x[0]"),
        "map": ({"type": "map", "values": avro}, pa.MapArray.from_arrays(offsets, ["k"], endless), "x['k']"),
        "record": (
            {"type": "record", "name": "N", "fields": [{"name": "a", "type": avro}]},
            pa.StructArray.from_arrays([endless], ["a"]),
            "x.a",
        ),
    }
    for kind, column, path in inside.values():
        contract = contract_of({"id": "string", "at": FIELDS["departed_at"], "x": kind})
        batch = pa.record_batch({"id": ["a"], "at": pa.array([DAY], pa.timestamp("us", "UTC")), "x": column})
        one = Transformer(contract, transform=transform, key="id", event_time="at").apply(batch, 0)
        (letter,) = letters(one)
        assert (letter["field"], letter["reason"], letter["value"]) == (path, "infinite", said)
        assert said in json.dumps(json.loads(letter["row"])["x"])


@pytest.mark.parametrize("count", [2**62, -(2**62), 253_402_300_800_000_000, -62_135_596_800_000_001])
def test_years_that_python_lacks_pass_through_a_transform_and_out_of_object_columns_they_are_dead(
    contract_of: Any, count: int
) -> None:
    contract = contract_of(
        {
            "id": "string",
            "at": FIELDS["departed_at"],
            "x": {"type": "long", "logicalType": "timestamp-micros"},
        }
    )
    batch = pa.record_batch(
        {
            "id": ["a"],
            "at": pa.array([DAY], pa.timestamp("us", "UTC")),
            "x": wide(count, pa.timestamp("us", "UTC")),
        }
    )

    def scalars(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(x=pd.Series(list(pa.array(rows["x"].array)), rows.index, dtype=object))

    kept = Transformer(contract, transform=lambda rows: rows, key="id", event_time="at").apply(batch, 0)
    assert kept.rows.column("x").view(pa.int64()).to_pylist() == [count]
    dead = Transformer(contract, transform=scalars, key="id", event_time="at").apply(batch, 0)
    (letter,) = letters(dead)
    assert (letter["field"], letter["reason"]) == ("x", "out_of_range")
    assert "years 1 to 9999" in letter["detail"]


NESTED = {
    "legs": [
        "null",
        {"type": "array", "items": {"type": "record", "name": "L", "fields": [{"name": "a", "type": "int"}]}},
    ],
    "tags": {"type": "map", "values": "int"},
    "code": {"type": "fixed", "name": "F", "size": 2},
}


@pytest.mark.parametrize("objects", [False, True])
def test_nested_rows_survive_dead_neighbours_and_halving(contract_of: Any, objects: bool) -> None:
    contract = contract_of({"id": "string", "at": FIELDS["departed_at"], **NESTED})
    rows = [
        {
            "id": f"{i}",
            "at": DAY,
            "legs": [{"a": i}] * i if i % 2 else None,
            "tags": [("t", i)],
            "code": b"ab",
        }
        for i in range(8)
    ]
    rows[3]["tags"] = [("t", 2**40)]
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("at", pa.timestamp("us", "UTC")),
            ("legs", pa.list_(pa.struct([("a", pa.int64())]))),
            ("tags", pa.map_(pa.string(), pa.int64())),
            ("code", pa.binary()),
        ]
    )

    def transform(frame: pd.DataFrame) -> pd.DataFrame:
        if (frame["id"] == "6").any():
            raise ValueError("six")
        return frame.astype({"legs": object, "tags": object}) if objects else frame

    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    outcome = Transformer(contract, transform=transform, key="id", event_time="at").apply(batch, 0)
    outcome.rows.validate(full=True)
    assert outcome.rows.to_pylist() == [row for row in rows if row["id"] not in ("3", "6")]
    assert [(d["source_row"], d["field"]) for d in letters(outcome)] == [(3, "tags['t']"), (6, "")]
    assert json.loads(letters(outcome)[0]["row"])["tags"] == [["t", 2**40]]


def test_every_value_is_shown_exactly_in_a_dead_row(contract_of: Any) -> None:
    types = {"price": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, "raw": "bytes"}
    contract = contract_of({"id": "string", "at": FIELDS["departed_at"], **types})
    batch = pa.record_batch(
        {
            "id": pa.array([None], pa.string()),
            "at": pa.array([2**62], pa.timestamp("s", "UTC")),
            "price": [Decimal("1.50")],
            "raw": [b"\xff"],
        }
    )
    (letter,) = letters(Transformer(contract, transform=None, key="id", event_time="at").apply(batch, 0))
    assert json.loads(letter["row"]) == {
        "id": None,
        "at": "+146138514283-06-19T07:45:04+00:00",
        "price": "1.50",
        "raw": "/w==",
    }
    assert letter["reason"] == "null_key" and "also: at (out_of_range)" in letter["detail"]
