"""What DuckDB estimates without reading rows, and the SQL that takes a sample of a table."""

import json
from collections.abc import Mapping, Sequence

import duckdb

# The seed of the sample is fixed, so that the same table gives the same rows.
_SEED = 42
_ROWS = """
SELECT estimated_size FROM duckdb_tables() WHERE database_name = current_catalog()
    AND schema_name = $schema AND table_name = $name
"""
_SCHEMA = "main"
# A sample of DuckDB takes or leaves out whole vectors of so many rows.
_VECTOR = 2048
_VECTORS = 8


def estimated_rows(plan: str) -> int | None:
    """The number of rows that a plan estimates, in the form of EXPLAIN (FORMAT json); None if
    no operator has an estimate."""
    try:
        return _estimate(json.loads(plan))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _estimate(operators: Sequence[Mapping[str, object]]) -> int | None:
    """The estimate of the first operator, from the root down, that has one."""
    for operator in operators:
        facts = operator.get("extra_info")
        told = facts.get("Estimated Cardinality") if isinstance(facts, dict) else None
        if told is not None:
            return int(told)
        children = operator.get("children")
        below = _estimate(children) if isinstance(children, list) else None
        if below is not None:
            return below
    return None


def rows_of(cursor: duckdb.DuckDBPyConnection, parts: Sequence[str]) -> int | None:
    """The number of rows of a table that DuckDB keeps; None for a view."""
    schema = parts[-2] if len(parts) > 1 else _SCHEMA
    found = cursor.execute(_ROWS, {"schema": schema, "name": parts[-1]}).fetchone()
    return None if found is None else int(found[0])


def sample(rows: int | None, most_rows: int) -> str:
    """SQL to write after a table with `rows` rows, so that at most `most_rows` + 1 rows are
    read: blocks from all over the table. For a view (`rows` None) and for a small table, the
    rows are taken from the beginning."""
    if rows is None or rows <= max(most_rows, _VECTORS * _VECTOR):
        return f" LIMIT {most_rows + 1}"
    percent = 100 * max(most_rows, _VECTORS * _VECTOR) / rows
    return f" TABLESAMPLE system({percent:.9f} PERCENT) REPEATABLE ({_SEED}) LIMIT {most_rows}"
