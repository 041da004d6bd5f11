"""One small database, the same in every kind of warehouse, so that one promise is one test."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from resources.warehouse import Warehouse, open_warehouse
from tests.fixtures_postgres import PostgresServer, execute
from tests.matrix import one_of

# In both dialects. The time zone and the unusual names are deliberate difficulties.
_TABLES = """
SET TimeZone = 'America/New_York';
CREATE TABLE t AS SELECT i, TIMESTAMP '2013-01-01' + i * INTERVAL '1 hour' AS naive,
    TIMESTAMPTZ '2013-01-01 00:00:00+00' + i * INTERVAL '1 hour' AS aware FROM {range}(0, 23 {off}) AS r(i);
CREATE SCHEMA raw;
CREATE TABLE raw.orders (order_id INTEGER NOT NULL, "odd ""name" VARCHAR);
CREATE TABLE wide AS SELECT i, repeat('x', 100) || i AS s FROM {range}(0, 399999 {off}) AS r(i);
"""
_DUCKDB = _TABLES.format(range="range", off="+ 1")
_POSTGRESQL = _TABLES.format(range="generate_series", off="")


@pytest.fixture(scope="session")
def duckdb_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A DuckDB file with the tables."""
    file = tmp_path_factory.mktemp("dwh") / "sales.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(_DUCKDB)
    return f"duckdb://{file}"


@pytest.fixture(scope="session")
def postgresql_url(postgres: PostgresServer) -> str:
    """A PostgreSQL database with the tables."""
    url = postgres.new_database()
    execute(url, _POSTGRESQL)
    return url


@pytest.fixture(params=one_of("postgresql", "duckdb"))
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """Each kind of warehouse in turn, over the same tables."""
    with closing(opened(request.getfixturevalue(f"{request.param}_url"))) as made:
        yield made


@pytest.fixture
def path(duckdb_url: str) -> Path:
    """The DuckDB file."""
    return Path(duckdb_url.removeprefix("duckdb://"))


def opened(url: str) -> Warehouse:
    """The warehouse of this URL, named `sales`."""
    return open_warehouse("sales", {"sales": url}, memory_limit="100MB")


def marked(warehouse: Warehouse, sql: str) -> str:
    """The SQL with `<name>` as this warehouse's parameter."""
    before, after = {"duckdb": ("$", ""), "pyformat": ("%(", ")s")}[warehouse.parameter_style]
    if warehouse.parameter_style == "pyformat":
        sql = sql.replace("%", "%%")
    for name in ("window_start", "window_end"):
        sql = sql.replace(f"<{name}>", f"{before}{name}{after}")
    return sql


def taken(
    warehouse: Warehouse,
    sql: str,
    parameters: dict[str, datetime] | None = None,
    order_by: tuple[str, ...] = (),
    batch_rows: int = 1000,
) -> pa.Table:
    """All rows of a query."""
    with warehouse.stream(sql, parameters or {}, order_by=order_by, batch_rows=batch_rows) as batches:
        return pa.Table.from_batches(list(batches), warehouse.describe(sql, parameters or {}))
