"""What a query reads and gives: its tables, and the names of its columns."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from pipelines.authoring.sql_mistakes import SqlMistake


def tables_read(nodes: Sequence[Any]) -> tuple[str, ...]:
    """The tables, sorted, spelt as in the SQL. A name that a CTE has where it stands is no table."""
    found = set()
    for node in nodes:
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier) and not _is_cte(node):
            found.add(
                ".".join(
                    part.name for part in (node.args.get("catalog"), node.args.get("db"), node.this) if part
                )
            )
    return tuple(sorted(found))


def _is_cte(table: Any) -> bool:
    if table.args.get("db") is not None:
        return False
    name = table.name.lower()
    child, parent = table, table.parent
    while parent is not None:
        if name in _names_visible(parent, child):
            return True
        child, parent = parent, parent.parent
    return False


def _names_visible(parent: Any, child: Any) -> set[str]:
    """The CTE names that `parent` adds to what `child`, directly below it, can see."""
    if isinstance(parent, exp.With):
        # Inside a CTE only the earlier ones are known; `WITH flights AS (SELECT * FROM flights)` reads the table.
        last = next(place for place, cte in enumerate(parent.expressions) if cte is child)
        known = parent.expressions[: last + 1 if parent.args.get("recursive") else last]
        return {cte.alias.lower() for cte in known}
    with_ = parent.args.get("with_")
    if with_ is None or with_ is child:
        return set()
    return {cte.alias.lower() for cte in with_.expressions}


def output_columns(root: Any) -> tuple[tuple[str, ...] | None, list[SqlMistake]]:
    """The names of the columns, "" for one without a name of its own; None where a star hides them."""
    select = root
    while not isinstance(select, exp.Select):
        select = select.this  # a union's columns are those of its first part
        if not isinstance(select, exp.Query):
            return None, []
    if any(_is_star(projection) for projection in select.expressions) or not select.expressions:
        return None, []
    columns = tuple(_name(projection) for projection in select.expressions)
    twice = sorted(
        name for name, count in Counter(name.lower() for name in columns if name).items() if count > 1
    )
    return columns, [
        SqlMistake(0, f"the SQL gives two columns the name {name!r}", "each name once", "rename one with AS")
        for name in twice
    ]


def _is_star(projection: Any) -> bool:
    return projection.is_star or projection.find(exp.Columns) is not None


def _name(projection: Any) -> str:
    # A cast or function without AS gets a name that depends on the warehouse: that is no name to rely on.
    return str(projection.alias_or_name) if isinstance(projection, (exp.Alias, exp.Column)) else ""
