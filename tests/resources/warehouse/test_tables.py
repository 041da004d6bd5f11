"""What each kind of warehouse reports about a table:
keys, comments and enums; and how a table is found by its name."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.warehouse import ForeignKey, Warehouse, WarehouseError
from resources.warehouse.names import TableName, UnknownName, joined, parts_of, qualified, table_named
from tests.fixtures_postgres import PostgresServer, execute
from tests.matrix import one_of
from tests.resources.warehouse.conftest import opened

SQL = """
CREATE TYPE state AS ENUM ('placed', 'in transit');
CREATE TABLE customers (id BIGINT PRIMARY KEY, email VARCHAR UNIQUE);
CREATE TABLE orders (
    order_id BIGINT NOT NULL, line INTEGER NOT NULL, "Ticket No" VARCHAR NOT NULL UNIQUE, "OrderRef" BIGINT NOT NULL,
    customer BIGINT REFERENCES customers (id), state state, note VARCHAR, PRIMARY KEY (order_id, line)
);
CREATE UNIQUE INDEX one_ref ON orders ("OrderRef");
CREATE UNIQUE INDEX one_pair ON orders (note, "Ticket No");
CREATE UNIQUE INDEX one_sum ON orders ((order_id + 1));
CREATE INDEX no_key ON orders (note);
COMMENT ON TABLE orders IS 'Orders, line
by line.';
COMMENT ON COLUMN orders.note IS 'It''s "free" text';
CREATE VIEW latest AS SELECT * FROM orders;
COMMENT ON VIEW latest IS 'The latest.';
CREATE SCHEMA "a.b";
CREATE TABLE "a.b"."Odd Table" (id INTEGER);
CREATE TABLE "a.b"."x.y" (id INTEGER);
CREATE SCHEMA sales;
CREATE TABLE sales.orders (other INTEGER);
CREATE TABLE sales.only_here (id INTEGER);
CREATE TABLE "Blank Name" (id INTEGER);
"""
POSTGRESQL = """
CREATE UNIQUE INDEX one_placed ON orders (customer) WHERE state = 'placed';
CREATE UNIQUE INDEX one_included ON orders (line) INCLUDE (note);
CREATE MATERIALIZED VIEW counted AS SELECT 1 AS id; CREATE UNIQUE INDEX ON counted (id);
CREATE TABLE cut (id BIGINT, at DATE, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE cut_2024 PARTITION OF cut FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE hashed (id BIGINT) PARTITION BY HASH (id, (id + 1));
CREATE TABLE parent (id BIGINT PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
CREATE DOMAIN of_state AS state NOT NULL; CREATE TABLE with_domain (state of_state);
CREATE TABLE "Case" (a INTEGER); CREATE TABLE "case" (b INTEGER);
"""


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, str]:
    made = tmp_path_factory.mktemp("dwh") / "made.duckdb"
    with duckdb.connect(made) as connection:
        connection.execute(SQL)
    # Now its schema `sales` has the same name as the database.
    file = made.rename(made.with_name("sales.duckdb"))
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database()
    execute(url, SQL + POSTGRESQL)
    return {"duckdb": f"duckdb://{file}", "postgresql": url}


@pytest.fixture(params=one_of("postgresql", "duckdb"))
def warehouse(request: pytest.FixtureRequest, urls: dict[str, str]) -> Iterator[Warehouse]:
    with closing(opened(urls[request.param])) as made:
        yield made


@pytest.fixture
def postgresql(urls: dict[str, str]) -> Iterator[Warehouse]:
    with closing(opened(urls["postgresql"])) as made:
        yield made


def test_a_table_comes_with_its_keys_comments_and_enums(warehouse: Warehouse) -> None:
    found = warehouse.table("orders")
    assert (found.parts, found.sql, found.kind) == (("orders",), "orders", "table")
    assert found.comment == "Orders, line\nby line."
    assert found.primary_key == ("order_id", "line")
    assert set(found.unique) >= {("Ticket No",), ("OrderRef",), ("note", "Ticket No")}
    assert all(len(key) > 1 or key[0] in ("Ticket No", "OrderRef", "line") for key in found.unique)
    assert found.foreign_keys == (ForeignKey(("customer",), "customers", ("id",)),)
    columns = {column.name: column for column in found.columns}
    assert columns["state"].labels == ("placed", "in transit") and columns["note"].labels == ()
    assert columns["note"].comment == 'It\'s "free" text' and columns["line"].comment is None
    assert [column.name for column in found.columns if not column.nullable] == [
        "order_id", "line", "Ticket No", "OrderRef",
    ]  # fmt: skip


def test_a_view_declares_no_key_and_has_its_own_comment(warehouse: Warehouse) -> None:
    found = warehouse.table("latest")
    assert (found.kind, found.comment, found.primary_key, found.unique) == ("view", "The latest.", (), ())


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("orders", "orders"), ("ORDERS", "orders"), ('"orders"', "orders"), ("Blank Name", '"Blank Name"'),
        ('"Blank Name"', '"Blank Name"'), ("blank name", '"Blank Name"'), ("a.b.Odd Table", '"a.b"."Odd Table"'),
        ('"a.b"."Odd Table"', '"a.b"."Odd Table"'), ("A.B.odd table", '"a.b"."Odd Table"'),
        ("a.b.x.y", '"a.b"."x.y"'), ('"a.b"."x.y"', '"a.b"."x.y"'), ("Sales.Only_Here", "sales.only_here"),
    ],
)  # fmt: skip
def test_a_table_is_found_however_its_name_is_written(warehouse: Warehouse, text: str, sql: str) -> None:
    found = warehouse.table(text)
    assert found.sql.replace("sales.sales.", "sales.") == sql, "DuckDB needs the database too"
    # The drafted query contains the name as it is.
    assert len(warehouse.describe(f"SELECT * FROM {found.sql}", {})) == len(found.columns)


def test_the_same_name_in_another_schema_is_another_table(warehouse: Warehouse) -> None:
    assert [column.name for column in warehouse.table("sales.orders").columns] == ["other"]
    assert warehouse.table("orders").columns[0].name == "order_id"
    own = "main" if warehouse.dialect == "duckdb" else "public"
    assert warehouse.table(f"{own}.orders").columns[0].name == "order_id"
    assert warehouse.table(warehouse.table("sales.orders").sql).columns[0].name == "other"
    with pytest.raises(
        WarehouseError, match=r"there is no table 'only_here'\. Did you mean 'sales.only_here'"
    ):
        warehouse.table("only_here")
    with pytest.raises(WarehouseError, match="Did you mean 'customers'"):
        warehouse.table("CUSTOMER")


def test_what_postgresql_alone_has(postgresql: Warehouse) -> None:
    found = postgresql.table("orders")
    assert ("customer",) not in found.unique, "unique among some rows alone"
    assert ("line",) in found.unique, "what an index includes is not unique"
    assert postgresql.table("counted").kind == "materialized view"
    assert postgresql.table("counted").unique == (("id",),)
    cut = postgresql.table("cut")
    assert (cut.kind, cut.primary_key, cut.partitioned_by) == ("partitioned table", ("id", "at"), ("at",))
    assert postgresql.table("hashed").partitioned_by == ("id", "HASH (id, ((id + 1)))")
    assert postgresql.table("cut_2024").columns and "cut_2024" not in postgresql.tables()
    assert postgresql.table("parent").primary_key == (), "its children may have the same ids"
    (column,) = postgresql.table("with_domain").columns
    assert column.labels == ("placed", "in transit") and not column.nullable


def test_of_names_that_differ_in_case_alone_the_exact_one_is_meant(postgresql: Warehouse) -> None:
    assert postgresql.table("Case").columns[0].name == "a"
    assert postgresql.table("case").columns[0].name == "b"
    with pytest.raises(WarehouseError, match="'CASE' may be one of 2 tables"):
        postgresql.table("CASE")


def test_tables_that_cannot_be_shown_are_listed_as_escapes(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "odd.duckdb") as connection:
        connection.execute('CREATE TABLE "a\x1b[31mb" (id INTEGER)')
    with (
        closing(opened(f"duckdb://{tmp_path / 'odd.duckdb'}")) as made,
        pytest.raises(WarehouseError) as caught,
    ):
        made.table("b")
    assert str(caught.value).isprintable() and r"\u001b" in str(caught.value)


NAMES = st.text(st.sampled_from("ab.\"' AÖ"), min_size=1, max_size=5)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6, unique=True), st.data())
def test_the_sql_of_a_name_always_means_that_table(
    places: list[tuple[str, str]], data: st.DataObject
) -> None:
    known = [TableName(schema, name, schema == places[0][0]) for schema, name in places]
    table = data.draw(st.sampled_from(known))
    quoted = '"' + '"."'.join(part.replace('"', '""') for part in table.parts) + '"'
    assert table_named(quoted, known) == table
    assert '"' not in qualified(table.parts) or table_named(qualified(table.parts), known) == table


def test_a_name_of_nothing_is_unknown() -> None:
    for text in ("", ".", '"', '""', '"a', 'a"."', '"a"."b"."c"."d"', "a..b"):
        with pytest.raises(UnknownName):
            table_named(text, [TableName("main", "t", True)])
    with pytest.raises(UnknownName) as caught:
        table_named("t", [])
    assert caught.value.allowed == ""


@given(st.lists(st.text('ab." ', min_size=1, max_size=4), min_size=1, max_size=3))
def test_the_parts_of_a_name_come_back_from_one_text(parts: list[str]) -> None:
    assert parts_of(joined(parts)) == parts
