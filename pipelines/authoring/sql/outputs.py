"""What a query reads and returns: its tables, and the names of its columns."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlglot import exp

from pipelines.authoring.sql.mistakes import SqlMistake
from pipelines.authoring.sql.source_sql import TableSpan
from resources.warehouse.names import joined

# None if a star over a table hides them.
Columns = tuple[str, ...] | None


def tables_read(nodes: Sequence[Any]) -> tuple[str, ...]:
    """The tables, sorted, as `joined` writes their names.
    A name that means a CTE at its place is not a table."""
    return tuple(sorted({joined([part.name for part in _parts(table)]) for table in _tables(nodes)}))


def table_spans(nodes: Sequence[Any], sql: str) -> tuple[TableSpan, ...]:
    """Where the names of these tables are in the SQL, in this order.
    A table whose place is not known is left out."""
    found = []
    for table in _tables(nodes):
        parts = _parts(table)
        if not all("start" in part.meta for part in parts):
            continue
        start, end = parts[0].meta["start"], parts[-1].meta["end"] + 1
        last = sql[parts[-1].meta["start"] : end]
        if parts[-1].name in last:  # otherwise its place is not known after all
            found.append(TableSpan(start, end, "" if table.alias else last))
    return tuple(sorted(found))


def _tables(nodes: Sequence[Any]) -> Iterator[Any]:
    for node in nodes:
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier) and not _is_cte(node):
            yield node


def _parts(table: Any) -> list[Any]:
    return [part for part in (table.args.get("catalog"), table.args.get("db"), table.this) if part]


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
    """The CTE names that `parent` makes visible to `child`, which is directly below it."""
    if isinstance(parent, exp.With):
        # Inside a CTE only the earlier CTEs are visible;
        # `WITH flights AS (SELECT * FROM flights)` reads the table.
        last = next(place for place, cte in enumerate(parent.expressions) if cte is child)
        known = parent.expressions[: last + 1 if parent.args.get("recursive") else last]
        return {cte.alias.lower() for cte in known}
    with_ = parent.args.get("with_")
    if with_ is None or with_ is child:
        return set()
    return {cte.alias.lower() for cte in with_.expressions}


def output_columns(root: Any) -> tuple[Columns, list[SqlMistake]]:
    """The names of the columns, "" for one without its own name; None if only the warehouse knows them."""
    columns = _columns(root, {})
    named = Counter(name.lower() for name in columns or () if name)
    return columns, [
        SqlMistake(0, f"the SQL gives two columns the name {name!r}", "each name once", "rename one with AS")
        for name, count in named.items()
        if count > 1
    ]


def _columns(query: Any, known: Mapping[str, Columns]) -> Columns:
    """`known` are the CTEs that `query` can see, with their columns."""
    with_ = query.args.get("with_")
    for cte in with_.expressions if with_ is not None else ():
        listed = tuple(column.name for column in cte.args["alias"].columns)
        inner = {**known, cte.alias.lower(): None} if with_.args.get("recursive") else known
        known = {**known, cte.alias.lower(): listed or _columns(cte.this, inner)}
    if not isinstance(query, exp.Select):
        # A union's columns are those of its first part.
        return _columns(query.this, known) if isinstance(query.this, exp.Query) else None
    sources = _sources(query, known)
    columns: list[str] = []
    for projection in query.expressions:
        found = _expanded(projection, sources, bool(query.args.get("joins")))
        if found is None:
            return None
        columns += found
    return tuple(columns) or None  # DuckDB lets a query begin with FROM, which selects everything


def _sources(select: Any, known: Mapping[str, Columns]) -> dict[str, Columns]:
    from_ = select.args.get("from_")
    relations = [from_.this] if from_ is not None else []
    relations += [join.this for join in select.args.get("joins") or ()]
    sources: dict[str, Columns] = {}
    for relation in relations:
        columns = None
        if isinstance(relation, exp.Subquery):
            columns = _columns(relation.this, known)
        elif isinstance(relation, exp.Table) and relation.args.get("db") is None:
            columns = known.get(relation.name.lower())
        sources[relation.alias_or_name.lower()] = columns
    return sources


def _expanded(projection: Any, sources: Mapping[str, Columns], joined: bool) -> Sequence[str] | None:
    if not projection.is_star:
        return None if projection.find(exp.Columns) is not None else [_name(projection)]
    star = projection.this if isinstance(projection, exp.Column) else projection
    if any(star.args.values()):
        return None  # EXCLUDE, REPLACE, RENAME
    if isinstance(projection, exp.Column):
        return sources.get(projection.table.lower())
    # Columns that USING merges over a join come only once: only the warehouse knows the columns then.
    return next(iter(sources.values())) if len(sources) == 1 and not joined else None


def _name(projection: Any) -> str:
    # A cast or function without AS gets a name that depends on the warehouse,
    # so nothing may rely on this name.
    return str(projection.alias_or_name) if isinstance(projection, (exp.Alias, exp.Column)) else ""
