"""What PostgreSQL estimates without reading rows, and the SQL that takes a sample of a table."""

import json

from resources.warehouse.postgresql.tables import Declared
from resources.warehouse.statistics import QueryCost

# The seed is fixed, so that the same table gives the same rows.
_SEED = 42


def estimated(told: str) -> QueryCost:
    """The cost from a plan in the form of EXPLAIN (FORMAT JSON)."""
    plan = json.loads(told)[0]["Plan"]
    rows = int(plan["Plan Rows"])
    return QueryCost(rows=rows, bytes=rows * int(plan["Plan Width"]))


def sample(facts: Declared, most_rows: int) -> str:
    """SQL to write after a table, so that at most `most_rows` + 1 of its rows
    are read: pages from all over it.

    For a view, and for a table whose size the server does not know, the rows are taken from the beginning.
    """
    if not facts.can_be_sampled or facts.rows is None or facts.rows <= most_rows:
        return f" LIMIT {most_rows + 1}"
    percent = max(100 * most_rows / facts.rows, 0.0001)
    return f" TABLESAMPLE SYSTEM ({percent:.6f}) REPEATABLE ({_SEED}) LIMIT {most_rows}"
