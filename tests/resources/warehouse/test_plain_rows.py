"""Rows that are queried again as plain values are the same as in the stream:
in both warehouses, for every accepted type."""

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from pipelines.independent_judge.source_rows import agree
from pipelines.independent_judge.values import reader_of
from resources.warehouse import TookTooLong, Warehouse, open_warehouse
from resources.warehouse.plain_values import UNKNOWN, number_of, of_driver, of_text
from tests.fixtures_postgres import PostgresServer, execute
from tests.matrix import one_of

TIMES = [
    "TIMESTAMP '2013-01-01 10:11:12.123456'", "TIMESTAMP '1969-12-31 23:59:59.999999'", "TIMESTAMP '10000-01-01 00:00:00'",
    "TIMESTAMP 'infinity'", "TIMESTAMP '-infinity'", "TIMESTAMPTZ '2013-01-01 10:11:12.5+05:45'", "TIMESTAMPTZ 'infinity'",
    "DATE '2000-02-29'", "DATE '10000-01-01'", "DATE 'infinity'", "DATE '-infinity'", "DATE '1600-03-01'", "TIME '23:59:59.999999'",
    "TIME '00:00:00'", "TIME '24:00:00'",
]  # fmt: skip
SAME = [
    "1::smallint", "(-2147483648)::int", "9223372036854775807::bigint", "true", "false", "0.1::real", "0.1::double precision",
    "'NaN'::double precision", "'-Infinity'::real", "(-0.0)::double precision", "3.4028235e38::real", "'text, ü'::text", "''::text",
    "12345.678::numeric(18, 3)", "(-99999999999999999999999999999999999.999)::numeric(38, 3)", "'6ccd780c-baba-1026-9564-5b8c656024db'::uuid",
    "NULL::int", "NULL::text",
]  # fmt: skip
DUCKDB = [
    "DATE '0044-03-15 (BC)'", "TIMESTAMP '0044-01-01 (BC) 00:00:00'", "TIMESTAMPTZ '290300-01-01 (BC) 00:00:00+00'",
    "TIMESTAMP_NS '2020-01-01 00:00:00.123456789'", "TIMESTAMP_MS '2020-01-01 00:00:00.123'", "TIMESTAMP_S '2020-01-01 00:00:00'",
    "'\\xAA\\x00'::BLOB", "1::UTINYINT", "18446744073709551615::UBIGINT", "170141183460469231731687303715884105727::HUGEINT",
    "[1, NULL, 3]", "[]::INT[]", "[1, 2]::INT[2]", "{'a': 1, 'b': ['x', NULL]}", "MAP {'a': 1, 'b': NULL}", "MAP {'key': [1], 'value': [2]}",
    "'b'::ENUM('a', 'b')", "'{\"a\": 1}'::JSON", "[DATE '2000-01-01', DATE '10000-01-01']", "[TIMESTAMP '2000-01-01 00:00:00.000001']",
    "{'at': TIMESTAMPTZ '2000-01-01 00:00:00+00'}", "['6ccd780c-baba-1026-9564-5b8c656024db'::UUID]", "[1.50::DECIMAL(9, 2)]",
]  # fmt: skip
POSTGRESQL = [
    "DATE '0044-03-15 BC'", "TIMESTAMP '0044-01-01 00:00:00 BC'", "TIMESTAMPTZ '4713-01-01 00:00:00+00 BC'", "TIMESTAMP '294200-12-31 23:59:59'",
    "'\\xaa00'::bytea", "'ab'::char(5)", "'abc'::varchar(10)", "1.5::numeric", "'x'::name", "'{\"a\": 1}'::jsonb", "'{\"a\": 1}'::json",
    "'{1,NULL,3}'::int[]", "'{}'::int[]", "ARRAY['a,b', '\"q\"', '\\', 'NULL', NULL, '', ' sp ']", "ARRAY[1.50, NULL]::numeric[]",
    "ARRAY[DATE '2000-01-01', 'infinity']::date[]", "ARRAY[true, false]", "ARRAY[0.1]::real[]", "ARRAY['ab']::char(5)[]",
    "ARRAY['6ccd780c-baba-1026-9564-5b8c656024db']::uuid[]",
]  # fmt: skip
# DuckDB's driver does not return dates within other values exactly.
NOT_TOLD = {"MAP {'key': [1], 'value': [2]}"}


@pytest.fixture(scope="module")
def warehouses(duckdb_url: str, postgresql_url: str) -> Any:
    made = {
        name: open_warehouse("w", {"w": url}, memory_limit="128MB")
        for name, url in (("duckdb", duckdb_url), ("postgresql", postgresql_url))
    }
    yield made
    for one in made.values():
        one.close()


@pytest.mark.parametrize(
    ("kind", "value"),
    [(kind, value) for kind in ("duckdb", "postgresql") for value in (*TIMES, *SAME)]
    + [("duckdb", value) for value in DUCKDB]
    + [("postgresql", value) for value in POSTGRESQL],
)
def test_a_value_is_the_same_in_the_stream_and_in_plain_values(
    warehouses: dict[str, Warehouse], kind: str, value: str
) -> None:
    warehouse = warehouses[kind]
    sql = f"SELECT 1::bigint AS id, 'k'::text AS key, {value} AS x"
    with warehouse.stream(sql, {}, order_by=["id"], batch_rows=10) as batches:
        (batch,) = list(batches)
        found = warehouse.plain_rows(sql, {}, {"id": [1], "key": ["k", "other"]}, most_rows=5)
        again = warehouse.plain_rows(sql, {}, {"id": [1]}, most_rows=5, in_full=True)
    streamed = {
        name: reader_of(column)(0) for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    assert len(found) == 1 and repr(found) == repr(again)
    assert agree(streamed, found[0]), (streamed, found[0])
    assert value in NOT_TOLD or "not known" not in repr(found[0]), found[0]


@pytest.mark.parametrize("kind", one_of("postgresql", "duckdb"))
@pytest.mark.parametrize(
    ("column", "values", "rows"),
    [
        ("i", [3, 5, 99], 2),
        ("s", ["3", "it's"], 1),
        ("at", [1357002000_000000], 1),
        ("day", [15706], 24),
        ("c", ["a    "], 24),
    ],
)
def test_rows_are_found_by_values_of_every_type_that_locates(
    warehouses: dict[str, Warehouse], kind: str, column: str, values: list[Any], rows: int
) -> None:
    warehouse = warehouses[kind]
    char = "'a'::char(5)" if kind == "postgresql" else "'a    '"
    sql = f"SELECT i::bigint AS i, i::text AS s, aware AS at, DATE '2013-01-01' AS day, {char} AS c FROM t"
    with warehouse.stream(sql, {}, order_by=["at", "i"], batch_rows=50) as batches:
        assert sum(batch.num_rows for batch in batches) == 24
        found = warehouse.plain_rows(sql, {}, {column: values}, most_rows=30)
        assert len(found) == rows
        assert len(warehouse.plain_rows(sql, {}, {column: values}, most_rows=1)) <= 2


@pytest.mark.parametrize("kind", one_of("postgresql", "duckdb"))
def test_a_question_that_takes_too_long_is_cancelled_and_the_stream_ends_in_order(
    warehouses: dict[str, Warehouse], kind: str
) -> None:
    warehouse = warehouses[kind]
    slow = {
        "duckdb": "SELECT count(*) AS i FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 9",
        "postgresql": "SELECT 3 AS i FROM pg_sleep(30)",
    }[kind]
    with warehouse.stream("SELECT i FROM t", {}, order_by=["i"], batch_rows=50) as batches:
        assert sum(batch.num_rows for batch in batches) == 24
        with warehouse.within(0.3), pytest.raises(TookTooLong):
            warehouse.plain_rows(slow, {}, {"i": [3]}, most_rows=5)
        assert len(warehouse.plain_rows("SELECT i FROM t", {}, {"i": [3]}, most_rows=5)) == 1
    with warehouse.stream("SELECT i FROM t", {}, order_by=["i"], batch_rows=50) as batches:
        assert sum(batch.num_rows for batch in batches) == 24


def test_the_rows_of_another_transaction_are_not_seen(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    execute(url, "CREATE TABLE a (i int, x int); INSERT INTO a VALUES (1, 5)")
    warehouse = open_warehouse("w", {"w": url}, memory_limit="128MB")
    with warehouse.stream("SELECT * FROM a", {}, order_by=["i"], batch_rows=5) as batches:
        assert next(batches).num_rows == 1
        assert next(batches, None) is None
        execute(url, "UPDATE a SET x = 6")
        assert warehouse.plain_rows("SELECT * FROM a", {}, {"i": [1]}, most_rows=5) == [{"i": 1, "x": 5}]
    warehouse.close()


def test_parameters_of_the_window_are_filled_in(warehouses: dict[str, Warehouse]) -> None:
    bounds = {"window_start": datetime.fromisoformat("2013-01-01T03:00:00+00:00")}
    for kind, marked in (("duckdb", "$window_start"), ("postgresql", "%(window_start)s")):
        sql = f"SELECT i, aware FROM t WHERE aware < {marked}"
        assert [row["i"] for row in warehouses[kind].plain_rows(sql, bounds, {"i": [2, 4]}, most_rows=5)] == [
            2
        ]


@pytest.mark.parametrize("text", ["", "x", "12:00", "2013-01-01T", "infinite", "24-01", "2013-01-01 25"])
def test_text_that_is_no_time_is_not_known(text: str) -> None:
    for kind in (pa.date32(), pa.timestamp("us")):
        number = number_of(kind)
        assert number is not None and number(text) is UNKNOWN


def test_values_that_the_driver_cuts_or_bends_are_not_known() -> None:
    assert of_driver(pa.list_(pa.timestamp("ns")))([datetime(2020, 1, 1)]) == [UNKNOWN]
    assert of_driver(pa.list_(pa.timestamp("us")))([datetime.max]) == [UNKNOWN]
    assert of_driver(pa.binary())("0101") is UNKNOWN
    assert of_driver(pa.int64())("1") is UNKNOWN
    assert of_text(pa.list_(pa.int64()))("{{1,2},{3,4}}") is UNKNOWN
    assert of_text(pa.list_(pa.int64()))("[0:1]={1,2}") is UNKNOWN
