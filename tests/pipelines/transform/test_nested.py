"""Arrays, maps and records, as Arrow columns and as Python objects:
the path names the value that does not fit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.transform.conforming.leaves import ColumnMismatchError

Conform = Callable[..., Any]
LEG = {
    "type": "record",
    "name": "Leg",
    "fields": [{"name": "to", "type": "string"}, {"name": "fuel", "type": ["null", "int"]}],
}
LEGS = {"type": "array", "items": LEG}
MAP = {"type": "map", "values": "int"}
WAYS = pytest.mark.parametrize("arrow", [True, False], ids=["arrow", "objects"])
LEG_ARROW = pa.struct([("fuel", pa.int64()), ("to", pa.string())])  # another order, a wider int
LEGS_ARROW = pa.list_(LEG_ARROW)
MAP_ARROW = pa.map_(pa.string(), pa.int64())


@WAYS
def test_a_misfit_deep_inside_names_its_path(conform: Conform, arrow: bool) -> None:
    rows = [
        [{"to": "SFO", "fuel": 1}, {"to": "LAX", "fuel": None}],
        [],
        [{"to": "SFO", "fuel": 1}, {"to": "LAX", "fuel": 2}, {"to": "SEA", "fuel": 2**31}],
        [{"to": None, "fuel": 1}],
    ]
    outcome = conform(LEGS, rows, LEGS_ARROW if arrow else None)
    assert outcome.reasons == {2: "out_of_range", 3: "null"}
    assert outcome.paths == {2: "[2].fuel", 3: "[0].to"}
    assert outcome.values[:2] == rows[:2]


@WAYS
def test_null_parents_are_no_misfit_of_their_children(conform: Conform, arrow: bool) -> None:
    rows = [None, {"to": "SFO", "fuel": None}, None, {"to": None, "fuel": 1}]
    outcome = conform(["null", LEG], rows, LEG_ARROW if arrow else None)
    assert (outcome.reasons, outcome.paths) == ({3: "null"}, {3: ".to"})
    assert outcome.values[:3] == rows[:3]


@WAYS
def test_null_elements(conform: Conform, arrow: bool) -> None:
    kind = pa.list_(pa.int64()) if arrow else None
    outcome = conform({"type": "array", "items": "int"}, [[1, None], [2]], kind)
    assert (outcome.reasons, outcome.paths) == ({0: "null"}, {0: "[1]"})
    assert conform({"type": "array", "items": ["null", "int"]}, [[1, None]], kind).values == [[1, None]]


@WAYS
def test_maps(conform: Conform, arrow: bool) -> None:
    rows = [[("a", 1), ("b", 2)], [], [("a", 2**31)], [("a", 1), ("b", 1), ("a", 2)], [("a", 7)]]
    outcome = conform(MAP, rows, MAP_ARROW if arrow else None)
    assert outcome.reasons == {2: "out_of_range", 3: "duplicate_key"}
    assert outcome.paths == {2: "['a']", 3: "['a']"}
    assert [outcome.values[row] for row in (0, 1, 4)] == [rows[row] for row in (0, 1, 4)]


def test_dicts_are_maps(conform: Conform) -> None:
    outcome = conform(["null", MAP], [{"a": 1}, {1: 1}, {"a": None}, None, "a", {None: 1}])
    assert outcome.values[0] == [("a", 1)]
    assert outcome.reasons == {1: "wrong_type", 2: "null", 4: "wrong_type", 5: "null"}


def test_a_map_of_lists_of_records(conform: Conform) -> None:
    kind = pa.map_(pa.string(), LEGS_ARROW)
    rows = [[("x", [{"to": "A", "fuel": 1}])], [("x", []), ("y", [{"to": "A", "fuel": -(2**40)}])]]
    outcome = conform({"type": "map", "values": LEGS}, rows, kind)
    assert outcome.paths == {1: "['y'][0].fuel"}
    assert outcome.values[0] == rows[0]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int64()),
        pa.large_list(pa.int64()),
        pa.list_view(pa.int64()),
        pa.large_list_view(pa.int64()),
        pa.list_(pa.int64(), 2),
    ],
    ids=str,
)
def test_every_kind_of_arrow_list_sliced_or_not(conform: Conform, kind: Any) -> None:
    rows = [[9, 9], [1, 2], None, [3, 2**31], [5, 6]]
    column = pa.array(rows, kind)[1:]
    outcome = conform(["null", {"type": "array", "items": "int"}], column)
    assert outcome.paths == {2: "[1]"}
    assert [outcome.values[row] for row in (0, 1, 3)] == [[1, 2], None, [5, 6]]


def test_views_out_of_order(conform: Conform) -> None:
    offsets, sizes = pa.array([3, 0, 2, 0], pa.int32()), pa.array([2, 3, 0, 4], pa.int32())
    views = pa.ListViewArray.from_arrays(offsets, sizes, pa.array([1, 2, 3, 4, 5]))
    avro = {"type": "array", "items": "int"}
    assert conform(avro, views).values == [[4, 5], [1, 2, 3], [], [1, 2, 3, 4]]
    assert conform(avro, views[1:]).values == [[1, 2, 3], [], [1, 2, 3, 4]]


def test_sliced_maps_and_structs(conform: Conform) -> None:
    maps = pa.array([[("z", 0)], [("a", 1)], None, [("b", 2**40)]], MAP_ARROW)[1:]
    outcome = conform(["null", MAP], maps)
    assert (outcome.values[:2], outcome.paths) == ([[("a", 1)], None], {2: "['b']"})
    legs = pa.array([{"to": None}, {"to": "A"}, None, {"to": "B"}], pa.struct([("to", pa.string())]))[1:]
    outcome = conform(
        ["null", {"type": "record", "name": "R", "fields": [{"name": "to", "type": "string"}]}], legs
    )
    assert (outcome.values, outcome.reasons) == ([{"to": "A"}, None, {"to": "B"}], {})


def test_objects_of_records_say_what_is_missing_and_what_is_too_much(conform: Conform) -> None:
    outcome = conform(LEG, [{"to": "A", "fuel": 1}, {"to": "A"}, {"to": "A", "fuel": 1, "x": 1}, []])
    assert outcome.reasons == {1: "missing_field", 2: "unknown_field", 3: "wrong_type"}
    assert outcome.paths == {1: ".fuel", 2: ".x", 3: ""}


def test_struct_columns_with_other_fields_are_refused(conform: Conform) -> None:
    for fields in ([("to", pa.string())], [("to", pa.string()), ("fuel", pa.int32()), ("x", pa.int32())]):
        with pytest.raises(ColumnMismatchError, match="fields"):
            conform(LEG, [{"to": "A"}], pa.struct(fields))


def test_a_mismatch_deep_inside_names_its_path(conform: Conform) -> None:
    with pytest.raises(ColumnMismatchError) as raised:
        conform(
            LEGS,
            [[{"to": "A", "fuel": "1"}]],
            pa.list_(pa.struct([("to", pa.string()), ("fuel", pa.string())])),
        )
    assert raised.value.path == "[].fuel"


def test_lists_as_numpy_tuples_and_arrow(conform: Conform) -> None:
    avro = {"type": "array", "items": ["null", "long"]}
    rows = [np.array([1, 2]), (3,), pa.array([4, None]), {5}, np.array([1.0, np.nan]), "67"]
    outcome = conform(avro, rows)
    assert outcome.values[:3] == [[1, 2], [3], [4, None]]
    assert outcome.reasons == {3: "wrong_type", 4: "nan", 5: "wrong_type"}
    assert outcome.paths[4] == "[1]"


WIDE = {
    "type": "record",
    "name": "Wide",
    "fields": [
        {"name": "a", "type": "int"},
        {"name": "b", "type": "boolean"},
        {"name": "legs", "type": {"type": "array", "items": {"type": "map", "values": "double"}}},
    ],
}


@WAYS
def test_every_part_of_a_column_with_another_type_is_named(conform: Conform, arrow: bool) -> None:
    rows = [{"a": "x", "b": 1, "legs": [{"k": "v"}]}] * 10
    kind = pa.struct(
        [("a", pa.string()), ("b", pa.int32()), ("legs", pa.list_(pa.map_(pa.string(), pa.string())))]
    )
    with pytest.raises(ColumnMismatchError) as raised:
        conform(
            WIDE,
            [{**row, "legs": [list(row["legs"][0].items())]} for row in rows] if arrow else rows,  # type: ignore[index]
            kind if arrow else None,
        )
    assert [one.path.partition("[")[0] for one in raised.value.each] == [".a", ".b", ".legs"]
    if arrow:
        assert [one.path for one in raised.value.each] == [".a", ".b", ".legs[][]"]
        assert [str(one.field) for one in raised.value.each] == ["int", "boolean", "double"]


def test_fields_of_a_struct_with_other_names_and_types_are_said_together(conform: Conform) -> None:
    kind = pa.struct([("A", pa.int32()), ("b", pa.int32()), ("more", pa.int32())])
    with pytest.raises(ColumnMismatchError) as raised:
        conform(WIDE, [{"A": 1, "b": 2, "more": 3}], kind)
    names, types = raised.value.each
    assert "other names: A for a; missing (1 of 3): legs; not in the contract (1): more" in names.found
    assert (types.path, types.found) == (".b", "int32")


def test_keys_and_values_of_a_map_are_said_together(conform: Conform) -> None:
    with pytest.raises(ColumnMismatchError) as raised:
        conform(MAP, [[(1, "a")]], pa.map_(pa.int64(), pa.string()))
    assert [str(one.field) for one in raised.value.each] == ["string", "int"]
