"""The types of a query's columns, as the server knows them: inside domains and
arrays, whatever their names are.

The driver knows a type only by its name, which is not enough: a schema may have a composite type with the
name uuid. And the driver describes an array of a domain as an array of the domain's base type.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from resources.warehouse.names import quoted

ENUM = "enum"
# An extension's text type that is compared without regard to case. Only a superuser can
# create a base type with that name.
_CITEXT = "citext"


@dataclass(frozen=True)
class ServerType:
    """A column's type. `shown` is its name as the server writes it. `arrays` is the number
    of array types around `element`.

    `element` is the name of one of PostgreSQL's own base types, `enum`,
    `citext`, or None for every other type.
    """

    shown: str
    arrays: int
    element: str | None


def types_query(query: str, columns: Sequence[str]) -> str:
    """A query for the types of the columns of `query`. For it, the server plans `query`
    and reads none of its rows."""
    types = ", ".join(f"pg_catalog.pg_typeof(source.{quoted(name)})" for name in columns)
    return f"""
WITH RECURSIVE "sluice.columns" (n, type) AS (
    SELECT c.n, c.type
    FROM (SELECT 1) AS one LEFT JOIN (\n{query}\n) AS source ON false
        CROSS JOIN LATERAL unnest(ARRAY[{types}]::oid[]) WITH ORDINALITY AS c (type, n)
),
-- From a domain to its base type, from an array to its elements.
"sluice.steps" (n, type, arrays, step) AS (
    SELECT n, type, 0, 0 FROM "sluice.columns"
    UNION ALL
    SELECT s.n,
        CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,
        CASE WHEN t.typtype = 'd' THEN s.arrays ELSE s.arrays + 1 END,
        s.step + 1
    FROM "sluice.steps" s JOIN pg_catalog.pg_type t ON t.oid = s.type
    WHERE t.typtype = 'd' OR EXISTS (
        SELECT FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid
    )
)
SELECT DISTINCT ON (s.n)
    pg_catalog.format_type(c.type, NULL) AS shown,
    s.arrays,
    t.typname::text AS name,
    t.typtype::text AS kind,
    t.typnamespace = 'pg_catalog'::regnamespace AS own
FROM "sluice.steps" s JOIN "sluice.columns" c ON c.n = s.n JOIN pg_catalog.pg_type t ON t.oid = s.type
ORDER BY s.n, s.step DESC
"""


def server_type(row: dict[str, object]) -> ServerType:
    """The type in a row of `types_query`."""
    name, kind = str(row["name"]), row["kind"]
    element = None
    if kind == "e":
        element = ENUM
    elif kind == "b" and (row["own"] or name == _CITEXT):
        element = name
    return ServerType(str(row["shown"]), int(str(row["arrays"])), element)
