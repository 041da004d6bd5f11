"""Columns of events are compared to the last bit of a float, whatever they contain."""

import math
import struct
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.event_check.outcome import exactly, first_difference

_FLOATS = st.sampled_from(
    [0.0, -0.0, 1.5, math.inf, math.nan, struct.unpack("d", struct.pack("Q", 0x7FF8000000000001))[0]]
)
_LIST = pa.list_(pa.float64())
_KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.float64(), _FLOATS),
    (pa.float32(), _FLOATS),
    (_LIST, st.lists(_FLOATS | st.none(), max_size=2)),
    (pa.large_list(pa.float32()), st.lists(_FLOATS, max_size=2)),
    (pa.struct({"x": pa.float64(), "y": _LIST}), st.fixed_dictionaries({"x": _FLOATS, "y": st.lists(_FLOATS, max_size=2)})),
    (pa.list_(pa.struct({"x": pa.float64()})), st.lists(st.fixed_dictionaries({"x": _FLOATS}), max_size=2)),
    (pa.map_(pa.string(), pa.float64()), st.lists(st.tuples(st.sampled_from("ab"), _FLOATS), max_size=1)),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 1), max_size=2)),
    (pa.string(), st.sampled_from("ab")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values"), _KINDS, ids=[str(kind) for kind, _ in _KINDS])
@given(data=st.data())
def test_the_first_row_that_differs_is_found(
    kind: pa.DataType, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(values | st.none(), max_size=6))
    others = [value if data.draw(st.booleans()) else data.draw(values | st.none()) for value in rows]
    start = data.draw(st.integers(0, len(rows)))
    # One of them is a slice, as halves and single rows are.
    one, other = pa.array(rows, kind).slice(start), pa.array(others[start:], kind)
    differ = [row for row, (a, b) in enumerate(zip(one, other, strict=True)) if exactly(a) != exactly(b)]
    assert first_difference(one, other) == (differ[0] if differ else None)


@pytest.mark.parametrize(
    "nested", [lambda x: x, lambda x: [x], lambda x: [[x]]], ids=["plain", "list", "list of lists"]
)
def test_zero_has_a_sign_and_nan_has_none(nested: Any) -> None:
    assert first_difference(pa.array([nested(1.0), nested(0.0)]), pa.array([nested(1.0), nested(-0.0)])) == 1
    assert first_difference(pa.array([nested(math.nan)]), pa.array([nested(-math.nan)])) is None
