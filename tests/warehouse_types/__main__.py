"""Prints the tables of types in docs/warehouses.md: `python -m tests.warehouse_types`.
Starts its own PostgreSQL."""

import tempfile
from pathlib import Path

from tests.fixtures_postgres import cluster
from tests.warehouse_types import duckdb_cases, postgresql_cases
from tests.warehouse_types.table import table
from tests.warehouse_types.through import opened
from tests.warehouse_types.worlds import duckdb_world, postgresql_world


def main() -> None:
    """Both tables, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        with opened(duckdb_world(Path(folder), duckdb_cases.CASES)) as warehouse:
            print(table("DuckDB", warehouse, duckdb_cases.CASES))
        with cluster({}) as server:
            url = postgresql_world(server, postgresql_cases.SETUP, postgresql_cases.CASES)
            with opened(url) as warehouse:
                print(table("PostgreSQL", warehouse, postgresql_cases.CASES))


if __name__ == "__main__":
    main()
