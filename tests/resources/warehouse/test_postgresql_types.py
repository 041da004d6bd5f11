"""PostgreSQL's types, limits included: each is exact in Arrow, or the error says what to write instead."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from resources.warehouse import Warehouse, WarehouseError
from tests.fixtures_postgres import PostgresServer, execute
from tests.resources.warehouse.conftest import opened, taken

_MADE = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS integer CHECK (value > 0);
CREATE DOMAIN price AS numeric(12, 2);
CREATE TYPE pair AS (a integer, b text);
CREATE TABLE odd (
    id integer PRIMARY KEY, at timestamptz NOT NULL, amount numeric(10, 2), cost price NOT NULL, n numeric,
    took interval, cash money, who mood, tags text[], doc jsonb, "Mixed Case" varchar(5)
);
"""


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> str:
    made = postgres.new_database()
    execute(made, _MADE)
    return made


@pytest.fixture
def erp(url: str) -> Iterator[Warehouse]:
    with closing(opened(url)) as made:
        yield made


def column(warehouse: Warehouse, kind: str, *values: str) -> pa.ChunkedArray:
    """A column `x` of `kind` with the values, given as SQL, and a null; in their order."""
    told = ", ".join(f"({n}, ({value})::{kind})" for n, value in enumerate((*values, "NULL")))
    return taken(
        warehouse, f"SELECT n, x FROM (VALUES {told}) AS v(n, x)", order_by=("n",), batch_rows=2
    ).column("x")


EXACT: list[tuple[str, pa.DataType, list[tuple[str, Any]]]] = [
    ("bool", pa.bool_(), [("true", True), ("false", False)]),
    ("int2", pa.int16(), [("-32768", -(2**15)), ("32767", 2**15 - 1)]),
    ("int4", pa.int32(), [("-2147483648", -(2**31)), ("2147483647", 2**31 - 1)]),
    ("int8", pa.int64(), [("'-9223372036854775808'", -(2**63)), ("9223372036854775807", 2**63 - 1)]),
    ("float4", pa.float32(), [("'-Infinity'", float("-inf")), ("1.5", 1.5), ("1e-45", 1.401298464324817e-45)]),
    ("float8", pa.float64(), [("0.1", 0.1), ("1e308", 1e308), ("5e-324", 5e-324), ("'Infinity'", float("inf"))]),
    ("text", pa.string(), [("''", ""), ("'a\tb\n'", "a\tb\n"), ("'żółw 🐢'", "żółw 🐢"), ("'NULL'", "NULL")]),
    ("varchar(3)", pa.string(), [("'abc'", "abc")]),
    ("char(3)", pa.string(), [("'a'", "a  ")]),
    ("name", pa.string(), [("'relname'", "relname")]),
    ("bytea", pa.binary(), [("''", b""), (r"'\x00ff'", b"\x00\xff")]),
    ("date", pa.date32(), [("'0001-01-01'", date.min), ("'1970-01-01'", date(1970, 1, 1)), ("'9999-12-31'", date.max)]),
    ("time", pa.time64("us"), [("'00:00'", time()), ("'23:59:59.999999'", time.max)]),
    (
        "timestamp",
        pa.timestamp("us"),
        [("'0001-01-01'", datetime.min), ("'9999-12-31 23:59:59.999999'", datetime.max)],
    ),
    (
        "timestamptz",
        pa.timestamp("us", "UTC"),
        [("'2013-07-01 00:00:00.000001+05:45'", datetime(2013, 6, 30, 18, 15, 0, 1, UTC))],
    ),
    (
        "uuid",
        pa.string(),
        [("'00112233-4455-6677-8899-AABBCCDDEEFF'", "00112233-4455-6677-8899-aabbccddeeff")],
    ),
    ("json", pa.string(), [("""'{"b":  1, "a": 1.0}'""", '{"b":  1, "a": 1.0}')]),
    ("jsonb", pa.string(), [("""'{"b":  1, "a": 1.0}'""", '{"a": 1.0, "b": 1}')]),
    ("xml", pa.string(), [("'<a/>'", "<a/>")]),
    ("mood", pa.string(), [("'sad'", "sad"), ("'happy'", "happy")]),
    ("positive", pa.int32(), [("7", 7)]),
    ("price", pa.decimal128(12, 2), [("9999999999.99", Decimal("9999999999.99"))]),
    ("int4[]", pa.list_(pa.int32()), [("'{1,NULL,3}'", [1, None, 3]), ("'{}'", [])]),
    ("text[]", pa.list_(pa.string()), [("""'{"a,b",NULL,"NULL"}'""", ["a,b", None, "NULL"])]),
    ("float8[]", pa.list_(pa.float64()), [("'{0.1,-Infinity}'", [0.1, float("-inf")])]),
    ("date[]", pa.list_(pa.date32()), [("'{2020-02-29}'", [date(2020, 2, 29)])]),
    (
        "timestamptz[]",
        pa.list_(pa.timestamp("us", "UTC")),
        [("'{2020-01-01 00:00+01}'", [datetime(2019, 12, 31, 23, tzinfo=UTC)])],
    ),
    ("mood[]", pa.list_(pa.string()), [("'{ok,sad}'", ["ok", "sad"])]),
    ("uuid[]", pa.list_(pa.string()), [("'{00112233-4455-6677-8899-AABBCCDDEEFF}'", ["00112233-4455-6677-8899-aabbccddeeff"])]),
    ("numeric[]", pa.list_(pa.string()), [("'{1.50,-0.001}'", ["1.50", "-0.001"])]),
    # Declared numerics: every digit, at both limits.
    ("numeric(10,2)", pa.decimal128(10, 2), [("-99999999.99", Decimal("-99999999.99")), ("0.01", Decimal("0.01"))]),
    ("numeric(38,0)", pa.decimal128(38, 0), [("9" * 38, Decimal("9" * 38)), ("-" + "9" * 38, Decimal("-" + "9" * 38))]),
    ("numeric(38,38)", pa.decimal128(38, 38), [("0." + "9" * 38, Decimal("0." + "9" * 38))]),
    ("numeric(76,10)", pa.decimal256(76, 10), [("9" * 66 + ".0000000001", Decimal("9" * 66 + ".0000000001"))]),
    ("numeric(5,-2)", pa.decimal128(7, 0), [("1234567", Decimal(1234600))]),
    ("numeric(3,5)", pa.decimal128(5, 5), [("0.00999", Decimal("0.00999"))]),
    # Undeclared, and wider than Arrow's decimals: exactly the same digits, as text.
    ("numeric", pa.string(), [("1.500", "1.500"), ("1e-20", "0.00000000000000000001"), ("1e40", "1" + "0" * 40)]),
    ("numeric(77,0)", pa.string(), [("9" * 77, "9" * 77)]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "arrow", "values"), EXACT, ids=[case[0] for case in EXACT])
def test_every_type_is_exact(
    erp: Warehouse, kind: str, arrow: pa.DataType, values: list[tuple[str, Any]]
) -> None:
    found = column(erp, kind, *(told for told, _ in values))
    assert found.type == arrow
    assert found.to_pylist() == [*(value for _, value in values), None]


def test_a_column_of_nulls_has_its_type(erp: Warehouse) -> None:
    found = taken(erp, "SELECT NULL AS t, NULL::numeric(5, 1) AS n, NULL::int[] AS a")
    assert found.schema.types == [pa.string(), pa.decimal128(5, 1), pa.list_(pa.int32())]
    assert found.to_pylist() == [{"t": None, "n": None, "a": None}]


@pytest.mark.parametrize(
    ("kind", "value"),
    # PostgreSQL itself refuses infinities in a declared numeric.
    [
        ("numeric(10,2)", "NaN"),
        ("numeric", "NaN"),
        ("numeric", "Infinity"),
        ("numeric", "-Infinity"),
        ("numeric[]", "Infinity"),
    ],
)
def test_a_numeric_that_is_no_number_is_an_error_that_names_the_column(
    erp: Warehouse, kind: str, value: str
) -> None:
    with pytest.raises(WarehouseError, match=rf"warehouse sales, column x: .*is {value}") as caught:
        column(erp, kind, "NULL", f"'{{{value}}}'" if kind.endswith("[]") else f"'{value}'")
    step = caught.value.next_step or ""
    if kind.endswith("[]"):
        assert "::text[]" in step and "NULLIF" not in step
    else:
        assert f"NULLIF(x, '{value}')" in step and step.endswith("x::text AS x")


@pytest.mark.parametrize(
    ("kind", "largest"), [("date", 2**31 - 1), ("timestamp", 2**63 - 1), ("timestamptz", 2**63 - 1)]
)
def test_infinity_is_the_end_of_the_integer_and_never_a_date(erp: Warehouse, kind: str, largest: int) -> None:
    found = column(erp, kind, "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'2020-01-01'")
    counts = [
        value
        for chunk in found.chunks
        for value in chunk.view(pa.int32() if kind == "date" else pa.int64()).to_pylist()
    ]
    # What DuckDB returns too, and what becomes a dead letter of the class `infinite`.
    assert counts[:2] == [largest, -largest]
    per_day = 1 if kind == "date" else 86_400_000_000
    assert counts[2:] == [-2_440_550 * per_day, 18_262 * per_day, None]


def test_a_timestamp_beyond_what_arrow_counts_is_an_error(erp: Warehouse) -> None:
    assert column(erp, "timestamp", "'294246-12-31'").type == pa.timestamp("us")
    with pytest.raises(WarehouseError, match=r"column x: .*after the year 294246"):
        column(erp, "timestamp", "'294276-12-31'")


@pytest.mark.parametrize(
    ("expression", "told", "instead"),
    [
        ("INTERVAL '1 day'", "interval", "EXTRACT(EPOCH FROM x)"),
        ("'1.50'::money", "money", "x::numeric(19, 2)"),
        ("4294967295::oid", "oid", "x::bigint"),
        ("'10.0.0.1'::inet", "inet", "host(x)"),
        ("'12:00+02'::timetz", "time with time zone", "x::time"),
        ("int4range(1, 2)", "int4range", "x::text"),
        ("ROW(1, 'a')::pair", "pair", "x::text"),
        ("B'101'", "bit", "x::text"),
        ("ARRAY[INTERVAL '1 day']", "interval[]", "x::text[]"),
    ],
)
def test_a_type_without_an_equal_in_arrow_is_refused_with_what_to_write(
    erp: Warehouse, expression: str, told: str, instead: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        erp.describe(f"SELECT {expression} AS x", {})
    assert caught.value.where == "warehouse sales, column x"
    assert told in caught.value.problem
    assert instead in str(caught.value.next_step)
    # And what the error says to write is accepted.
    told = str(caught.value.next_step).removeprefix("write in the query: ")
    first, _, other = told.removesuffix(")").partition(" AS x (or ") if "(or" in told else (told, "", "")
    for written in (first.removesuffix(" AS x"), other.partition(" to ")[0].partition(" for ")[0]):
        if written:
            erp.describe(f"SELECT {written} AS x FROM (SELECT {expression} AS x) AS s", {})


def test_an_array_of_two_dimensions_is_not_flattened(erp: Warehouse) -> None:
    with pytest.raises(
        WarehouseError, match="column x: an array has several dimensions or a first index other than 1"
    ):
        column(erp, "int[]", "'{1,2}'", "'{{1,2},{3,4}}'")


def test_a_query_with_two_columns_of_one_name_is_refused(erp: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="two columns the name 'id'"):
        erp.describe("SELECT a.*, b.id FROM odd a JOIN odd b USING (id)", {})


def test_a_table_is_described_with_what_it_has(erp: Warehouse) -> None:
    found = {c.name: (c.arrow_type, c.nullable) for c in erp.columns("odd")}
    assert found["id"] == (pa.int32(), False)
    assert found["at"] == (pa.timestamp("us", "UTC"), False)
    assert found["amount"] == (pa.decimal128(10, 2), True)
    assert found["cost"] == (pa.decimal128(12, 2), False)
    assert found["n"] == (pa.string(), True)
    assert found["Mixed Case"] == (pa.string(), True)
    # A column that a draft leaves out raises no error.
    assert found["took"][0].type_name == "interval"
    assert found["cash"][0].type_name == "money"


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_text_leaves_as_utf_8_whatever_the_database_keeps(postgres: PostgresServer, encoding: str) -> None:
    url = postgres.new_database(f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    execute(url, "CREATE TABLE t AS SELECT convert_from('\\xe9', 'LATIN1') AS x" if encoding == "LATIN1" else
            "SET client_encoding = 'SQL_ASCII'; CREATE TABLE t (x text); INSERT INTO t VALUES (E'\\351')")  # fmt: skip
    with closing(opened(url)) as warehouse:
        if encoding == "LATIN1":
            assert taken(warehouse, "SELECT x FROM t").to_pylist() == [{"x": "é"}]
        else:
            with pytest.raises(
                WarehouseError, match=r"a text is not UTF-8: invalid byte sequence.*convert_from"
            ):
                taken(warehouse, "SELECT x FROM t")


@pytest.mark.parametrize("value", ["'[0:1]={1,2}'", "'[2:2]={7}'", "'[-1:-1]={7}'"])
def test_an_array_with_another_first_index_is_refused_and_not_numbered_anew(
    erp: Warehouse, value: str
) -> None:
    for kind in ("int[]", "numeric[]"):
        with pytest.raises(WarehouseError, match=r"column x: .*a first index other than 1") as caught:
            column(erp, kind, "'{1,2}'", value)
        assert caught.value.next_step is not None and "x::text AS x" in caught.value.next_step


def test_a_numeric_in_an_array_that_is_no_number_is_an_error_that_names_the_column(erp: Warehouse) -> None:
    for value in ("NaN", "Infinity"):
        with pytest.raises(WarehouseError, match=rf"column x: .*{value}"):
            column(erp, "numeric[]", "'{1}'", f"'{{1,{value}}}'")


@pytest.mark.parametrize(
    ("kind", "values", "count"),
    [
        ("numeric", ("1", "'NaN'", "NULL", "'NaN'"), "at least 2 values"),
        ("numeric(5, 2)", ("1", "'NaN'", "NULL"), "at least 1 values"),
        ("numeric[]", ("'{1}'", "'{1,Infinity,Infinity}'", "NULL"), "at least 2 values"),
        ("int[]", ("'{1}'", "'{{1}}'", "'[2:2]={7}'", "NULL", "'{}'"), "at least 2 rows"),
    ],
)
def test_what_is_to_be_written_for_values_that_stop_a_window_can_be_run_as_it_is_told(
    erp: Warehouse, kind: str, values: tuple[str, ...], count: str
) -> None:
    """The error says how many there are at least, and the condition that leaves out exactly these rows."""
    rows = " UNION ALL ".join(f"SELECT {value}::{kind} AS x" for value in values)
    with pytest.raises(WarehouseError, match=count) as caught:
        taken(erp, rows)
    told = re.search(r"WHERE (.*?)(?=, make them null|, or read|$)", str(caught.value.next_step))
    assert told is not None
    found = taken(erp, f"SELECT * FROM ({rows}) AS t WHERE {told[1]}")
    bad = sum("NaN" in value or "Inf" in value or "{{" in value or "[2" in value for value in values)
    assert found.num_rows == len(values) - bad


def test_a_type_that_changed_between_two_windows_is_noticed(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    execute(url, "CREATE TABLE t AS SELECT 1 AS x")
    with closing(opened(url)) as warehouse:
        assert warehouse.describe("SELECT x FROM t", {}).field("x").type == pa.int32()
        execute(url, "ALTER TABLE t ALTER x TYPE bit varying USING '101'")
        with pytest.raises(WarehouseError, match="type bit varying cannot be read exactly"):
            warehouse.describe("SELECT x FROM t", {})


def test_a_query_of_tables_named_as_those_of_the_look_at_types_is_read(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    execute(url, "CREATE TABLE columns AS SELECT 1 AS n; CREATE TABLE steps AS SELECT 2 AS n")
    with closing(opened(url)) as warehouse:
        assert taken(warehouse, "SELECT c.n, s.n AS m FROM columns c, steps s").to_pylist() == [
            {"n": 1, "m": 2}
        ]
