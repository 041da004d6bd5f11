"""Whether every row of a part of a query is one row of its result:
only then can rows be counted in that part."""

from collections.abc import Sequence
from typing import Any

from sqlglot import exp

_MERGING = {
    "group": "GROUP BY merges rows",
    "having": "HAVING filters groups",
    "distinct": "DISTINCT merges rows",
    "qualify": "QUALIFY filters by other rows",
    "limit": "LIMIT cuts rows off",
    "offset": "OFFSET cuts rows off",
    "sample": "a sample leaves rows out",
}


class Unremovable(Exception):
    """Why the window cannot be removed from a query without a change of the query's meaning."""


def require_all_rows_reach(select: Any, root: Any, conditions: Sequence[Any]) -> None:
    """Raise Unremovable unless each row
    that `select` would return without `conditions` is one row of the query's result."""
    _require_row_by_row(select)
    _require_no_padding(select, conditions)
    node = select
    while node is not root:
        node, read_in = _reader(node, root)
        if isinstance(node, exp.Select):
            _require_row_by_row(node)
            if node.args.get("where") is not None:
                raise Unremovable("conditions further out leave out rows, and which of them is not known")
            # The right side of a LEFT JOIN reaches the result only if it finds a match.
            if any(join.side != "LEFT" or join is read_in for join in node.args.get("joins") or ()):
                raise Unremovable("its rows are joined further out, where some may be left out")


def require_filter_only(select: Any, main: Any, root: Any) -> None:
    """Raise Unremovable unless the window in `select` only leaves out rows that `main` would read row by
    row."""
    node = select
    while node is not main:
        if isinstance(node, exp.Select):
            _require_row_by_row(node, windows=True)
        node, read_in = _reader(node, root)
        for join in node.args.get("joins") or () if isinstance(node, exp.Select) else ():
            padded = join.side in ("RIGHT", "FULL") or (join.side == "LEFT" and join is read_in)
            if padded:
                raise Unremovable("an outer join fills up what a window further in leaves out")


def _require_row_by_row(select: Any, *, windows: bool = False) -> None:
    for name, reason in _MERGING.items():
        if select.args.get(name) is not None:
            raise Unremovable(reason)
    if any(table.args.get("sample") is not None for table in _tables(select)):
        raise Unremovable(_MERGING["sample"])
    for expression in select.expressions:
        for node in expression.find_all(exp.AggFunc, exp.Window):
            if node.find_ancestor(exp.Select) is not select:
                continue
            if isinstance(node, exp.Window):
                if windows:
                    raise Unremovable("a window function looks at other rows of its window")
            elif node.find_ancestor(exp.Window) is None:
                raise Unremovable("an aggregate merges rows")


def _tables(select: Any) -> list[Any]:
    from_ = select.args.get("from_")
    return [part.this for part in (from_, *(select.args.get("joins") or ())) if part is not None]


def _require_no_padding(select: Any, conditions: Sequence[Any]) -> None:
    """Raise Unremovable if the time may come from the empty side of an outer join: a row without a match has
    no time, and is not a row of the event."""
    from_ = select.args.get("from_")
    seen = [from_.this.alias_or_name.lower()] if from_ is not None else []
    padded: set[str] = set()
    for join in select.args.get("joins") or ():
        name = join.this.alias_or_name.lower()
        if join.side in ("RIGHT", "FULL"):
            padded |= set(seen)
        if join.side in ("LEFT", "FULL"):
            padded.add(name)
        seen.append(name)
    if not padded:
        return
    named = {one.alias.lower(): one.this for one in select.expressions if isinstance(one, exp.Alias)}
    for condition in conditions:
        for column in condition.find_all(exp.Column):
            meant = [column]
            if not column.table and column.name.lower() in named:
                meant = list(named[column.name.lower()].find_all(exp.Column))
            if any(not one.table or one.table.lower() in padded for one in meant):
                raise Unremovable(
                    "its time may come from the side of an outer join that is empty where nothing matches"
                )


def _reader(node: Any, root: Any) -> tuple[Any, Any]:
    """The query that reads the rows of `node`, directly, through a UNION ALL, or by the name of a CTE; and
    the FROM or JOIN that reads them, None if there is none."""
    parent: Any = node.parent
    if isinstance(parent, exp.SetOperation):
        if not isinstance(parent, exp.Union) or parent.args.get("distinct"):
            raise Unremovable(f"{parent.key.upper()} merges rows")
        if parent.args.get("limit") is not None or parent.args.get("offset") is not None:
            raise Unremovable("LIMIT cuts rows off")
        return parent, None
    if isinstance(parent, exp.Subquery):
        if any(parent.args.get(name) is not None for name in ("sample", "pivots", "limit")):
            raise Unremovable("a part of it is sampled, pivoted or limited")
        return _reading(parent, root)
    if isinstance(parent, exp.CTE):
        with_: Any = parent.parent
        if with_.args.get("recursive") or with_.parent is not root:
            raise Unremovable("its CTEs are recursive or nested")
        name = parent.alias.lower()
        users = [
            table
            for table in with_.parent.find_all(exp.Table)
            if table.name.lower() == name and not table.db and table.find_ancestor(exp.CTE) is not parent
        ]
        if len(users) != 1:
            raise Unremovable(f"{parent.alias} is read {len(users)} times")
        return _reading(users[0], root)
    raise Unremovable("its window stands in a part that is not read as rows")


def _reading(relation: Any, root: Any) -> tuple[Any, Any]:
    if relation is root:
        return root, None
    parent: Any = relation.parent
    if isinstance(parent, exp.Subquery | exp.SetOperation | exp.CTE):
        return _reader(relation, root)
    if isinstance(parent, exp.From | exp.Join) and isinstance(parent.parent, exp.Select):
        if relation.args.get("sample") is not None or relation.args.get("pivots"):
            raise Unremovable("a part of it is sampled or pivoted")
        if isinstance(parent, exp.Join) and parent.kind in ("SEMI", "ANTI"):
            raise Unremovable("its window stands in a part that is not read as rows")
        return parent.parent, parent
    raise Unremovable("its window stands in a part that is not read as rows")
