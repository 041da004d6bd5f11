"""The data: TPC-H lineitem and orders by tpchgen-cli, and flights;
each is one table in one DuckDB file, made once."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.compare.job import DAY, EVENT_TIME
from benchmarks.compare.tools import peers_program
from resources.dev.sample import build_sample_warehouse

_FLIGHT_ROWS = 1_000_000

# Row number i of n, spread over one day: one window covers all rows, and the rows are stored in the order of
# their event time, as in any table that grows by appending.
_SPREAD = f"TIMESTAMPTZ '{DAY} 00:00:00+00' + to_microseconds((i * 86400000000 // {{rows}})::BIGINT)"


@dataclass(frozen=True)
class Dataset:
    """A table of `rows` rows with a text `key`, an event time, and a contract for all its columns."""

    name: str
    database: Path
    contract: Path
    key: str
    rows: int
    columns: tuple[str, ...]
    said: str


_TIME = {"type": "long", "logicalType": "timestamp-micros"}
_MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 15, "scale": 2}
_DATE = {"type": "int", "logicalType": "date"}

# Column -> Avro type; every column of TPC-H's may be null, as in its files.
_LINEITEM: dict[str, Any] = {
    "l_orderkey": "long",
    "l_partkey": "long",
    "l_suppkey": "long",
    "l_linenumber": "int",
    "l_quantity": _MONEY,
    "l_extendedprice": _MONEY,
    "l_discount": _MONEY,
    "l_tax": _MONEY,
    "l_returnflag": "string",
    "l_linestatus": "string",
    "l_shipdate": _DATE,
    "l_commitdate": _DATE,
    "l_receiptdate": _DATE,
    "l_shipinstruct": "string",
    "l_shipmode": "string",
    "l_comment": "string",
}
_ORDERS: dict[str, Any] = {
    "o_orderkey": "long",
    "o_custkey": "long",
    "o_orderstatus": "string",
    "o_totalprice": _MONEY,
    "o_orderdate": _DATE,
    "o_orderpriority": "string",
    "o_clerk": "string",
    "o_shippriority": "int",
    "o_comment": "string",
}
_FLIGHTS: dict[str, Any] = {
    "carrier": "string",
    "flight_number": "int",
    "tail_number": "string",
    "origin": "string",
    "destination": "string",
    "scheduled_at": _TIME,
    "departed_at": _TIME,
    "delay_minutes": "int",
    "air_time_minutes": "int",
    "distance_miles": "int",
}


def _tpch(cache: Path, table: str, scale: int) -> Path:
    folder = cache / f"tpch-{scale}"
    ready = folder / f"{table}.parquet"
    if not ready.exists():
        scratch = folder / f".{table}"
        command = [str(peers_program("tpchgen-cli")), "parquet", "-s", str(scale), "--tables", table]
        subprocess.run([*command, "--output-dir", str(scratch)], check=True, capture_output=True)
        (scratch / f"{table}.parquet").rename(ready)
        scratch.rmdir()
    return ready


def _lineitem(cache: Path, scale: int) -> tuple[str, str]:
    source = _tpch(cache, "lineitem", scale)
    return f"'{source}'", "l_orderkey || '-' || l_linenumber"


def _orders(cache: Path, scale: int) -> tuple[str, str]:
    return f"'{_tpch(cache, 'orders', scale)}'", "o_orderkey::VARCHAR"


def _flights(cache: Path, scale: int) -> tuple[str, str]:
    sample = cache / "sample.duckdb"
    if not sample.exists():
        build_sample_warehouse(sample)
    departures = f"""
        SELECT concat_ws('-', make_date(year, month, day), carrier, flight, origin, copy) AS flight_id,
            carrier, flight AS flight_number, tailnum AS tail_number, origin, dest AS destination,
            time_hour + to_minutes(minute) AS scheduled_at,
            time_hour + to_minutes(minute + dep_delay) AS departed_at,
            dep_delay AS delay_minutes, air_time AS air_time_minutes, distance AS distance_miles
        FROM sample.flights, range({4 * scale}) AS copies(copy)
        WHERE dep_delay IS NOT NULL ORDER BY copy, departed_at, flight_id LIMIT {_FLIGHT_ROWS * scale}
    """
    return f"({departures})", "flight_id"


_Source = Callable[[Path, int], tuple[str, str]]
_MAKERS: dict[str, tuple[str, dict[str, Any], _Source, str]] = {
    "lineitem": ("line_id", _LINEITEM, _lineitem, "TPC-H lineitem"),
    "orders": ("order_id", _ORDERS, _orders, "TPC-H orders"),
    "flights": (
        "flight_id",
        _FLIGHTS,
        _flights,
        "departures from New York in 2013, repeated under further keys",
    ),
}
DATASETS = tuple(_MAKERS)


def make_dataset(name: str, cache: Path, *, scale: int, rows: int | None) -> Dataset:
    """The data set at this scale, cut to its first `rows` rows if `rows` is given; kept in `cache`."""
    key, fields, source, said = _MAKERS[name]
    columns = (key, EVENT_TIME, *(field for field in fields if field != key))
    stem = f"{name}-{scale}" + (f"-{rows}" if rows else "")
    database, contract = cache / f"{stem}.duckdb", cache / f"{name}.avsc"
    cache.mkdir(parents=True, exist_ok=True)
    contract.write_text(json.dumps(_contract(name, key, fields), indent=2))
    if not database.exists():
        scratch = database.with_suffix(".part")
        scratch.unlink(missing_ok=True)
        relation, key_sql = source(cache, scale)
        with duckdb.connect(str(scratch)) as connection:
            if name == "flights":
                connection.execute(f"ATTACH '{cache / 'sample.duckdb'}' AS sample (READ_ONLY)")
            given = ", ".join(field for field in fields if field != key)
            limit = f" LIMIT {rows}" if rows else ""
            rows_sql = f"SELECT * FROM {relation}{limit}"
            (count,) = connection.execute(f"SELECT count(*) FROM ({rows_sql})").fetchone() or (0,)
            connection.execute(
                f"""
                CREATE TABLE {name} AS
                SELECT {key_sql} AS {key}, {_SPREAD.format(rows=count)} AS {EVENT_TIME}, {given}
                FROM (SELECT *, row_number() OVER () - 1 AS i FROM ({rows_sql}))
                """
            )
        shutil.move(scratch, database)
    with duckdb.connect(str(database), read_only=True) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone() or (0,)
    return Dataset(name, database, contract, key, count, columns, said)


def _contract(name: str, key: str, fields: dict[str, Any]) -> dict[str, Any]:
    nullable = [
        {"name": field, "type": ["null", kind], "default": None, "doc": f"{field}, as in the source."}
        for field, kind in fields.items()
    ]
    return {
        "type": "record",
        "name": name.capitalize(),
        "namespace": "bench",
        "doc": f"A row of {name}.",
        "fields": [
            {"name": key, "type": "string", "doc": "Which row; the key of the record."},
            {"name": EVENT_TIME, "type": _TIME, "doc": "When it was recorded, UTC."},
            *nullable,
        ],
    }
