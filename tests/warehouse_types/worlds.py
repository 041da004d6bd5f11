"""A database of each kind of warehouse with a view or table `c<n>` for each case:
its values and a null, with ids in order."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from tests.fixtures_postgres import PostgresServer, execute
from tests.warehouse_types.cases import Case


def duckdb_world(folder: Path, cases: Sequence[Case]) -> str:
    """The URL of a DuckDB file."""
    path = folder / "types.duckdb"
    with duckdb.connect(str(path)) as connection:
        for number, case in enumerate(cases):
            connection.execute(_view(number, case))
    return f"duckdb://{path}"


def postgresql_world(server: PostgresServer, setup: str, cases: Sequence[Case]) -> str:
    """The URL of a new database, in which `setup` ran first."""
    url = server.new_database()
    # Not views: a view may not have a constant of some types.
    made = (_view(number, case).replace("CREATE VIEW", "CREATE TABLE") for number, case in enumerate(cases))
    execute(url, ";\n".join([setup, *made]))
    return url


def _view(number: int, case: Case) -> str:
    rows = ", ".join(
        f"('{place:03}', TIMESTAMPTZ '2013-01-01 12:00:00+00', ({value})::{case.type})"
        for place, value in enumerate([*case.values, "NULL"])
    )
    return f"CREATE VIEW c{number} AS SELECT * FROM (VALUES {rows}) AS v(id, happened_at, x)"
