"""What PostgreSQL estimates without reading rows, and which rows stand for a table."""

import json

from resources.warehouse.postgresql.tables import Declared
from resources.warehouse.statistics import QueryCost

# Fixed, so that the same table gives the same rows.
_SEED = 42


def estimated(told: str) -> QueryCost:
    """What a plan says, as EXPLAIN (FORMAT JSON) writes it."""
    plan = json.loads(told)[0]["Plan"]
    rows = int(plan["Plan Rows"])
    return QueryCost(rows=rows, bytes=rows * int(plan["Plan Width"]))


def sample(facts: Declared, most_rows: int) -> str:
    """What follows a table, so that at most `most_rows` and one more rows of it are read: pages from all over it. Rows of a view,
    or of a table of which the server does not know the size, are taken from the beginning."""
    if not facts.can_be_sampled or facts.rows is None or facts.rows <= most_rows:
        return f" LIMIT {most_rows + 1}"
    percent = max(100 * most_rows / facts.rows, 0.0001)
    return f" TABLESAMPLE SYSTEM ({percent:.6f}) REPEATABLE ({_SEED}) LIMIT {most_rows}"
