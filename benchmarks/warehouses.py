"""Rows per second out of a warehouse: Sluice's streams, what their order and exact numerics cost, and other readers.

python benchmarks/warehouses.py [--rows 1000000] [--repeat 3] [--url postgresql://user@host/empty_database]

Without --url a private PostgreSQL is started (Debian's package postgresql) with its default settings. The
table is shaped like TPC-H's lineitem: 16 columns, four of them numeric(15, 2). Every way reads the whole
table in a separate process; the ways are interleaved, and each cell is the median. connectorx and psycopg
take part if they are installed. At the end, it measures what a window's bounds cost in a sequential scan, for
each way to pass them.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

_ROWS = """
SELECT i AS l_orderkey, i * 7919 % 200000 AS l_partkey, i % 10000 AS l_suppkey, (i % 7)::integer AS l_linenumber,
    (1 + i % 50)::numeric(15, 2) AS l_quantity, (900 + i * 37 % 90000)::numeric(15, 2) AS l_extendedprice,
    (i % 11)::numeric(15, 2) AS l_discount, (i % 9)::numeric(15, 2) AS l_tax,
    CASE i % 3 WHEN 0 THEN 'A' WHEN 1 THEN 'N' ELSE 'R' END AS l_returnflag,
    CASE i % 2 WHEN 0 THEN 'O' ELSE 'F' END AS l_linestatus,
    DATE '1992-01-01' + (i % 2500)::integer AS l_commitdate, DATE '1992-02-01' + (i % 2500)::integer AS l_receiptdate,
    TIMESTAMPTZ '1992-01-01 00:00:00+00' + i * 7919 % 200000 * INTERVAL '1 minute' AS l_shipped_at,
    CASE i % 4 WHEN 0 THEN 'DELIVER IN PERSON' ELSE 'COLLECT COD' END AS l_shipinstruct,
    CASE i % 3 WHEN 0 THEN 'AIR' ELSE 'TRUCK' END AS l_shipmode, 'comment number ' || i AS l_comment
"""
_NUMERICS = ("l_quantity", "l_extendedprice", "l_discount", "l_tax")
_ALL = "SELECT * FROM lineitem"
_BETWEEN = "WHERE l_shipped_at >= {} AND l_shipped_at < {}"


def _make(url: str, path: Path, rows: int) -> None:
    """The table in both warehouses."""
    import duckdb

    from tests.fixtures_postgres import execute

    execute(
        url,
        f"SET statement_timeout = 0; SET TimeZone = 'UTC';"
        f"CREATE TABLE lineitem AS {_ROWS} FROM generate_series(1::bigint, {rows}) AS g(i); ANALYZE lineitem",
    )
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE lineitem AS {_ROWS} FROM range(1, {rows} + 1) AS g(i)")


def _stream(url: str, columns: str = "*", order_by: tuple[str, ...] = ("l_shipped_at", "l_orderkey")) -> int:
    from resources.warehouse import open_warehouse

    with closing(open_warehouse("bench", {"bench": url}, memory_limit="128MB")) as warehouse:
        sql = f"SELECT {columns} FROM lineitem"
        with warehouse.stream(sql, {}, order_by=order_by, batch_rows=32768) as batches:
            return sum(batch.num_rows for batch in batches)


def _adbc(url: str, sql: str) -> int:
    import adbc_driver_postgresql.dbapi as driver

    with driver.connect(url) as connection, connection.cursor() as cursor:
        cursor.executescript("SET statement_timeout = 0")
        cursor.execute(sql)
        return sum(batch.num_rows for batch in cursor.fetch_record_batch())


def _connectorx(url: str) -> int:
    import connectorx

    return int(connectorx.read_sql(url, _ALL, return_type="arrow").num_rows)


def _psycopg(url: str) -> int:
    import psycopg

    with (
        psycopg.connect(url, options="-c statement_timeout=0") as connection,
        connection.cursor(name="rows", binary=True) as cursor,
    ):
        cursor.itersize = 32768
        return sum(1 for _ in cursor.execute(_ALL))


def _ways(url: str, duckdb_url: str) -> dict[str, Callable[[], int]]:
    few = ", ".join(name for name in _columns() if name not in _NUMERICS)
    in_order = f"{_ALL} ORDER BY l_shipped_at, l_orderkey"
    ways: dict[str, Callable[[], int]] = {
        "Sluice, PostgreSQL": lambda: _stream(url),
        "the same without the four numerics": lambda: _stream(url, few),
        "ADBC, ordered by two columns, numerics opaque": lambda: _adbc(url, in_order),
        "ADBC, unordered, numerics opaque": lambda: _adbc(url, _ALL),
        "Sluice, DuckDB": lambda: _stream(duckdb_url),
    }
    if find_spec("connectorx"):
        ways["connectorx, unordered, whole table in memory"] = lambda: _connectorx(url)
    if find_spec("psycopg"):
        ways["psycopg, server cursor, unordered"] = lambda: _psycopg(url)
    return ways


def _columns() -> Iterator[str]:
    for part in _ROWS.split(" AS ")[1:]:
        yield part.replace("\n", " ").split(",")[0].split()[0]


def _measure(way: str, url: str, duckdb_url: str) -> None:
    run = _ways(url, duckdb_url)[way]
    begun = time.perf_counter()
    rows = run()
    seconds = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    # Not ru_maxrss: a process inherits it from the process that started it.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu": cpu, "peak": peak}))


def _bounds(url: str, repeat: int) -> None:
    """Seconds of a scan that keeps one row in a hundred, for each way to pass its bounds."""
    import adbc_driver_postgresql.dbapi as driver

    begin, end = datetime(1992, 2, 1, tzinfo=UTC), datetime(1992, 2, 2, tzinfo=UTC)
    setting = "current_setting('sluice.bench_{}')::timestamptz"
    ways = {
        "literal (Sluice)": (f"TIMESTAMPTZ '{begin.isoformat()}'", f"TIMESTAMPTZ '{end.isoformat()}'"),
        "setting, read by the query": (setting.format("begin"), setting.format("end")),
        "setting, read once by a subquery": tuple(f"(SELECT {setting.format(n)})" for n in ("begin", "end")),
    }
    found: dict[str, list[float]] = defaultdict(list)
    planned: dict[str, str] = {}
    with driver.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executescript(
            f"SET sluice.bench_begin = '{begin.isoformat()}'; SET sluice.bench_end = '{end.isoformat()}'; SET jit = off;"
            "SET max_parallel_workers_per_gather = 0; SET statement_timeout = 0"
        )
        for _ in range(repeat):
            for way, (low, high) in ways.items():
                sql = f"SELECT l_orderkey FROM lineitem {_BETWEEN.format(low, high)}"
                begun = time.perf_counter()
                cursor.execute(sql)
                rows = cursor.fetch_arrow_table().num_rows
                found[way].append(time.perf_counter() - begun)
                planned[way] = f"{_estimate(cursor, sql):>10,} / {rows:,}"
    best = median(found["literal (Sluice)"])
    print(f"\n{'bounds of a sequential scan':<48}{'seconds':>9}{'ratio':>7}   rows planned / found")
    for way, seconds in found.items():
        print(f"{way:<48}{median(seconds):>9.3f}{median(seconds) / best:>7.2f}   {planned[way]}")


def _estimate(cursor: Any, sql: str) -> int:
    cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
    try:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        (plan,) = cursor.fetch_arrow_table().column(0).to_pylist()
    finally:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "true"})
    return int((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"])


def main() -> None:
    """Make the tables, run every way in turn, print the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--url", help="an empty PostgreSQL database; without it a private server is started")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--duckdb", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        _measure(given.way, given.url, given.duckdb)
        return
    from tests.fixtures_postgres import cluster

    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        url = given.url or stack.enter_context(cluster({})).url()
        path = Path(folder) / "lineitem.duckdb"
        _make(url, path, given.rows)
        duckdb_url = f"duckdb://{path}"
        found: dict[str, list[dict[str, float]]] = defaultdict(list)
        for _ in range(given.repeat):
            for way in _ways(url, duckdb_url):
                command = [sys.executable, __file__, "--way", way, "--url", url, "--duckdb", duckdb_url]
                told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
                found[way].append(json.loads(told.stdout))
                if found[way][-1]["rows"] != given.rows:
                    raise SystemExit(f"{way} read {found[way][-1]['rows']} rows of {given.rows}")
        print(
            f"{'reading ' + format(given.rows, ',') + ' rows':<48}{'rows/s':>12}{'ratio':>7}{'CPU s':>8}{'peak MB':>9}"
        )
        first = median(run["seconds"] for run in found["Sluice, PostgreSQL"])
        for way, runs in found.items():
            seconds, cpu, peak = (median(run[name] for run in runs) for name in ("seconds", "cpu", "peak"))
            print(f"{way:<48}{given.rows / seconds:>12,.0f}{first / seconds:>7.2f}{cpu:>8.1f}{peak:>9.0f}")
        _bounds(url, given.repeat)


if __name__ == "__main__":
    main()
