"""What PostgreSQL declares about a table: its keys, comments and enums. No row is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.warehouse.catalogue import ForeignKey
from resources.warehouse.names import TableName, qualified, quoted
from resources.warehouse.postgresql.session import Transaction
from resources.warehouse.statistics import ColumnStatistics

# Without `hidden`, a partition is not listed, because its rows are rows of its
# table. A person may still name it.
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
    c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) AS inherited,
    -- Rows of a table that was never analysed are not known: -1.
    CASE WHEN c.reltuples >= 0 AND c.relkind <> 'v' THEN c.reltuples::bigint END AS rows,
    c.relkind IN ('r', 'p', 'm') AS can_be_sampled,
    ARRAY(SELECT coalesce(a.attname::text, pg_get_partkeydef(c.oid)) FROM pg_catalog.pg_partitioned_table p
        CROSS JOIN LATERAL unnest(p.partattrs::int2[]) WITH ORDINALITY AS k (attnum, place)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0
        WHERE p.partrelid = c.oid ORDER BY k.place) AS partitioned_by
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
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS own_type,
    ARRAY(SELECT e.enumlabel::text FROM bases b JOIN pg_catalog.pg_enum e ON e.enumtypid = b.type
        WHERE b.attnum = a.attnum ORDER BY e.enumsortorder) AS labels
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
"""
# Statistics of a table together with the tables that inherit from it, if there are any: a query of the table
# returns the rows of all of them.
_STATISTICS = """
SELECT DISTINCT ON (s.attname) s.attname::text AS name, s.null_frac::float8 AS null_fraction,
    CASE WHEN s.n_distinct >= 0 THEN s.n_distinct::bigint WHEN c.reltuples >= 0 THEN (-s.n_distinct * c.reltuples)::bigint END
        AS distinct_values
FROM pg_catalog.pg_stats s JOIN pg_catalog.pg_class c ON c.oid = to_regclass($1)
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE s.schemaname = n.nspname AND s.tablename = c.relname ORDER BY s.attname, s.inherited DESC
"""
# A unique index without a condition, over columns only. INCLUDEd columns come after
# the unique ones and are left out.
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
    """See SourceTable. `rows` is an estimate of their number. `columns` are facts about each column by its
    name: nullable, comment, labels, own_type."""

    kind: str
    comment: str | None
    columns: Mapping[str, Mapping[str, Any]]
    primary_key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]
    partitioned_by: tuple[str, ...]
    rows: int | None
    can_be_sampled: bool


def kept_statistics(transaction: Transaction, table: TableName) -> dict[str, ColumnStatistics]:
    """What the server keeps about the columns of a table since the last ANALYZE, as
    far as this role may read it."""
    rows = transaction.rows(_STATISTICS, f"{quoted(table.schema)}.{quoted(table.name)}")
    return {
        row["name"]: ColumnStatistics(row["null_fraction"], row["distinct_values"], source="catalogue")
        for row in rows
    }


def tables_of(transaction: Transaction, *, hidden: bool = False) -> list[TableName]:
    """The tables and views that this role may read. With `hidden`, also partitions and
    tables that it may not read."""
    rows = transaction.rows(_TABLES.format(shown="" if hidden else _SHOWN))
    return [TableName(row["schema"], row["name"], row["own"]) for row in rows]


def declared(transaction: Transaction, table: TableName) -> Declared:
    """What PostgreSQL declares about a table."""
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
        tuple(dict.fromkeys(kind["partitioned_by"])),
        kind["rows"],
        kind["can_be_sampled"],
    )
