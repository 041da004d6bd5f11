"""A query for rows as text, found by values of some columns."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from resources.warehouse.names import quoted
from resources.warehouse.plain_values import parameter_of
from resources.warehouse.postgresql.columns import ALIAS, SourceColumn

_TYPES = {
    pa.int16(): "int2",
    pa.int32(): "int4",
    pa.int64(): "int8",
    pa.bool_(): "bool",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp",
    pa.timestamp("us", "UTC"): "timestamptz",
}


def plain_query(
    query: str,
    columns: Sequence[SourceColumn],
    places: Mapping[str, Sequence[Any]],
    most_rows: int,
    *,
    in_full: bool,
) -> tuple[str, list[str]]:
    """SQL that returns each column as text, with the names c0, c1 and so on; and its
    parameters, each a JSON array."""
    by_name = {column.name: column for column in columns}
    conditions, values = [], []
    for n, (name, wanted) in enumerate(places.items(), start=1):
        kind = by_name[name].arrow_type
        conditions.append(_one_of(name, kind, n))
        values.append(json.dumps([_text(parameter_of(value, kind)) for value in wanted]))
        if pa.types.is_string(kind):
            # When char(n) values are compared, blanks at the end do not count.
            values[-1] = json.dumps([text for value in wanted for text in {value, value.rstrip(" ")}])
    shown = ", ".join(f"{_shown(column)} AS c{n}" for n, column in enumerate(columns))
    where = " AND ".join(conditions) or "TRUE"
    rows = f"SELECT {shown} FROM (\n{query}\n) AS {ALIAS}"
    if in_full:
        rows = f"WITH {ALIAS} AS MATERIALIZED (\n{query}\n) SELECT {shown} FROM {ALIAS}"
    return f"{rows} WHERE {where} LIMIT {most_rows + 1}", values


def _one_of(name: str, kind: pa.DataType, parameter: int) -> str:
    column = f"{ALIAS}.{quoted(name)}"
    listed = f"SELECT jsonb_array_elements_text(${parameter}::text::jsonb)"
    if pa.types.is_string(kind):
        return f"{column}::text = ANY (ARRAY({listed}))"
    type_name = "numeric" if pa.types.is_decimal(kind) else _TYPES[kind]
    return f"{column} = ANY (ARRAY({listed}::{type_name}))"


def _shown(column: SourceColumn) -> str:
    # format() uses the type's own output: a cast to text removes the blanks at the end of a char(n).
    place = f"{ALIAS}.{quoted(column.name)}"
    return f"CASE WHEN {place} IS NOT NULL THEN format('%s', {place}) END"


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
