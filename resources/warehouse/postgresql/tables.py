"""What PostgreSQL declares about a table: its keys, comments and enums. Nothing of its rows is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.warehouse.names import TableName, qualified, quoted
from resources.warehouse.postgresql.session import Transaction
from resources.warehouse.protocol import ForeignKey

# Partitions are rows of their table, and are tables for those who name them.
_TABLES = """
SELECT n.nspname::text AS schema, c.relname::text AS name, pg_table_is_visible(c.oid) AS own
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND has_schema_privilege(n.oid, 'USAGE') {shown}
ORDER BY NOT pg_table_is_visible(c.oid), n.nspname COLLATE "C", c.relname COLLATE "C"
"""
_SHOWN = "AND NOT c.relispartition AND has_table_privilege(c.oid, 'SELECT')"
_KIND = """
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
        WHEN 'p' THEN 'partitioned table' ELSE 'table' END AS kind,
    obj_description(c.oid, 'pg_class') AS comment,
    -- Its keys say nothing about the rows of tables that inherit from it.
    c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) AS inherited
FROM pg_catalog.pg_class c WHERE c.oid = to_regclass($1)
"""
_COLUMNS = """
WITH RECURSIVE bases (attnum, type) AS (
    SELECT a.attnum, a.atttypid FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, t.typbasetype FROM bases b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT a.attname::text AS name, NOT (a.attnotnull OR t.typnotnull) AS nullable,
    col_description(a.attrelid, a.attnum) AS comment,
    ARRAY(SELECT e.enumlabel::text FROM bases b JOIN pg_catalog.pg_enum e ON e.enumtypid = b.type
        WHERE b.attnum = a.attnum ORDER BY e.enumsortorder) AS labels
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
"""
# An index without a condition, over columns alone; INCLUDEd columns stand behind those that are unique.
_UNIQUE = """
SELECT i.indisprimary AS primary, ARRAY(SELECT a.attname::text
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY c.relname COLLATE "C"
"""
_FOREIGN = """
SELECT n.nspname::text AS schema, c.relname::text AS name, pg_table_is_visible(c.oid) AS own,
    ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum ORDER BY k.place) AS columns,
    ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum ORDER BY k.place) AS referred
FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class c ON c.oid = f.confrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE f.conrelid = to_regclass($1) AND f.contype = 'f' ORDER BY f.conname COLLATE "C"
"""


@dataclass(frozen=True)
class Declared:
    """See SourceTable. `columns` are facts of each column by its name: nullable, comment, labels."""

    kind: str
    comment: str | None
    columns: Mapping[str, Mapping[str, Any]]
    primary_key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]


def tables_of(transaction: Transaction, *, hidden: bool = False) -> list[TableName]:
    """The tables and views that this role may read; with the `hidden` ones also partitions, and those it may not."""
    rows = transaction.rows(_TABLES.format(shown="" if hidden else _SHOWN))
    return [TableName(row["schema"], row["name"], row["own"]) for row in rows]


def declared(transaction: Transaction, table: TableName) -> Declared:
    """What is declared about a table."""
    name = f"{quoted(table.schema)}.{quoted(table.name)}"
    (kind,) = transaction.rows(_KIND, name)
    unique = [] if kind["inherited"] else transaction.rows(_UNIQUE, name)
    return Declared(
        kind["kind"],
        kind["comment"],
        {row["name"]: row for row in transaction.rows(_COLUMNS, name)},
        next((tuple(row["columns"]) for row in unique if row["primary"]), ()),
        tuple(dict.fromkeys(tuple(row["columns"]) for row in unique if not row["primary"])),
        tuple(
            ForeignKey(
                tuple(row["columns"]),
                qualified(TableName(row["schema"], row["name"], row["own"]).parts),
                tuple(row["referred"]),
            )
            for row in transaction.rows(_FOREIGN, name)
        ),
    )
