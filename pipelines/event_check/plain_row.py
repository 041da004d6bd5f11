"""A row of simple values: with it the conformer can check types before any row is read."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa

_T = pa.types
_PLAIN: list[tuple[Callable[[Any], bool], Any]] = [
    (_T.is_boolean, True),
    (_T.is_integer, 0),
    (_T.is_floating, 0.0),
    (_T.is_decimal, Decimal(0)),
    (_T.is_string, "x"),
    (_T.is_large_string, "x"),
    (_T.is_string_view, "x"),
    (_T.is_date, dt.date(2000, 1, 1)),
    (_T.is_time, dt.time(0)),
    (_T.is_timestamp, dt.datetime(2000, 1, 1)),
]


def plain_row(schema: pa.Schema) -> pa.RecordBatch:
    """One row with a value in every column; null if no value of the column's type is known."""
    values = [pa.array([_plain_value(column.type)], column.type) for column in schema]
    return pa.RecordBatch.from_arrays(values, schema=schema)


def _plain_value(kind: pa.DataType) -> Any:
    """A value that is valid for this type; None if no such value is known."""
    if _T.is_dictionary(kind):
        return _plain_value(kind.value_type)
    if _T.is_list(kind) or _T.is_large_list(kind):
        return [_plain_value(kind.value_type)]
    if _T.is_fixed_size_list(kind):
        return [_plain_value(kind.value_type)] * kind.list_size
    if _T.is_struct(kind):
        return {child.name: _plain_value(child.type) for child in kind}
    if _T.is_map(kind):
        return [(_plain_value(kind.key_type), _plain_value(kind.item_type))]
    if _T.is_binary(kind) or _T.is_large_binary(kind):
        return b"x"
    return next((value for fits, value in _PLAIN if fits(kind)), None)
