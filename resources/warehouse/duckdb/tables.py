"""What DuckDB declares about a table: its keys, comments and enums. No row is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from resources.warehouse.catalogue import ForeignKey
from resources.warehouse.names import TableName, sql_name

_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = current_catalog() ORDER BY ALL
"""
_KIND = """
SELECT 'table' AS kind, comment FROM duckdb_tables() WHERE database_name = current_catalog() AND schema_name = $schema
    AND table_name = $name
UNION ALL
SELECT 'view', comment FROM duckdb_views() WHERE database_name = current_catalog() AND schema_name = $schema
    AND view_name = $name
"""
_COMMENTS = """
SELECT column_name, comment FROM duckdb_columns() WHERE database_name = current_catalog() AND schema_name = $schema
    AND table_name = $name AND comment IS NOT NULL
"""
_CONSTRAINTS = """
SELECT constraint_type, constraint_column_names, referenced_table, referenced_column_names FROM duckdb_constraints()
WHERE database_name = current_catalog() AND schema_name = $schema AND table_name = $name ORDER BY constraint_index
"""
_INDEXES = """
SELECT expressions FROM duckdb_indexes() WHERE database_name = current_catalog() AND schema_name = $schema
    AND table_name = $name AND is_unique AND NOT is_primary ORDER BY index_name
"""


@dataclass(frozen=True)
class Declared:
    """See SourceTable. `comments` are the comments of columns."""

    kind: str
    comment: str | None
    comments: Mapping[str, str]
    primary_key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]


def tables_of(cursor: duckdb.DuckDBPyConnection, catalog: str) -> list[TableName]:
    """The tables and views of the current database, which has the name `catalog`."""
    rows = cursor.execute(_TABLES).fetchall()
    return [
        # If a schema has the same name as its database, DuckDB finds the schema only with
        # the database's name before it.
        TableName(schema, name, schema == "main", catalog if schema.lower() == catalog.lower() else "")
        for schema, name in rows
    ]


def declared(cursor: duckdb.DuckDBPyConnection, table: TableName, columns: Sequence[str]) -> Declared:
    """What DuckDB declares about a table with these columns."""
    place = {"schema": table.schema, "name": table.name}
    as_written = {name.lower(): name for name in columns}

    def rows(sql: str) -> list[Any]:
        return cursor.execute(sql, place).fetchall()

    def own(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(as_written[name.lower()] for name in names)

    kind, comment = next(iter(rows(_KIND)), ("table", None))
    constraints = rows(_CONSTRAINTS)
    keys = [own(names) for is_a, names, *_ in constraints if is_a == "PRIMARY KEY"]
    unique = [own(names) for is_a, names, *_ in constraints if is_a == "UNIQUE"]
    for (expressions,) in rows(_INDEXES):
        names = _names(expressions)
        if names and all(name.lower() in as_written for name in names):
            unique.append(own(names))
    return Declared(
        kind,
        comment,
        dict(rows(_COMMENTS)),
        keys[0] if keys else (),
        tuple(dict.fromkeys(unique)),
        tuple(
            # In DuckDB, a foreign key refers to a table of the same schema.
            ForeignKey(own(names), sql_name(other), tuple(referred))
            for is_a, names, other, referred in constraints
            if is_a == "FOREIGN KEY"
        ),
    )


def _names(expressions: str) -> list[str]:
    """The columns of an index, from DuckDB's text: `[x, '"y z"', '((x + 1))']`. An expression
    is not the name of a column."""
    found, rest = [], expressions.strip()[1:-1].strip()
    while rest:
        if rest.startswith("'") and "'" in rest[1:]:
            one, _, rest = rest[1:].partition("'")
            rest = rest.lstrip().removeprefix(",")
        else:
            one, _, rest = rest.partition(",")
        one, rest = one.strip(), rest.strip()
        found.append(one[1:-1].replace('""', '"') if one.startswith('"') and one.endswith('"') else one)
    return found


def labels_of(kind: DuckDBPyType) -> tuple[str, ...]:
    """The labels of an enum, in its order; empty for another type."""
    if str(kind.id) != "enum":
        return ()
    return tuple(label for _, labels in kind.children if isinstance(labels, list) for label in labels)
