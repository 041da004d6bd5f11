"""The commands on a PostgreSQL warehouse, from a table to published events."""

import json
import re
from pathlib import Path

import pytest

from tests.fixtures_postgres import PostgresServer, execute
from tests.pipelines.cli.conftest import Sluice

_MADE = """
CREATE TYPE state AS ENUM ('placed', 'paid');
CREATE SCHEMA shop;
CREATE TABLE shop.orders (
    order_id uuid PRIMARY KEY, placed_at timestamptz NOT NULL, amount numeric(10, 2) NOT NULL, weight numeric,
    state state NOT NULL, tags text[], extra jsonb, took interval, "Customer" varchar(20)
);
COMMENT ON TABLE shop.orders IS 'An order, as it is.';
COMMENT ON COLUMN shop.orders.weight IS 'Kilograms.';
INSERT INTO shop.orders SELECT ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid,
    TIMESTAMPTZ '2024-02-28 12:00+00' + i * INTERVAL '1 hour', i / 100.0, i / 1000.0, 'paid',
    ARRAY['a', NULL], '{"gift": true}', '1 day', 'Zoë' FROM generate_series(1, 48) AS g(i);
CREATE TABLE measured (device text NOT NULL, measured_at timestamp NOT NULL, value float8);
INSERT INTO measured VALUES ('d1', '2024-02-29 00:00', 1.5), ('d1', '2024-03-01 00:00', 2);
CREATE TABLE dated (device text NOT NULL, day date NOT NULL);
INSERT INTO dated VALUES ('d1', '2024-02-29');
"""


@pytest.fixture(scope="module")
def erp(postgres: PostgresServer) -> dict[str, str]:
    """The settings that name the warehouse."""
    url = postgres.new_database()
    execute(url, _MADE)
    return {"SLUICE_WAREHOUSE_ERP": url}


def test_from_a_table_to_its_events(sluice: Sluice, tree: Path, erp: dict[str, str]) -> None:
    made = sluice(
        "new", "order_placed", "--domain", "shop", "--table", "shop.orders", "--warehouse", "erp", **erp
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert (
        "left out    took (interval): cannot be read exactly; to have it, write took::text AS took"
        in made.stdout
    )
    assert "from 2024-02-28" in made.stdout
    module, contract = tree / "assets/shop/order_placed.py", tree / "assets/shop/order_placed.avsc"
    assert 'warehouse="erp"' in module.read_text()
    fields = {field["name"]: field["type"] for field in json.loads(contract.read_text())["fields"]}
    assert fields["amount"] == {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
    assert fields["weight"] == ["null", "string"]
    assert fields["state"] == {"type": "enum", "name": "OrderPlacedState", "symbols": ["placed", "paid"]}
    docs = {field["name"]: field["doc"] for field in json.loads(contract.read_text())["fields"]}
    assert docs["weight"] == "Kilograms." and json.loads(contract.read_text())["doc"] == "An order, as it is."
    assert "key         order_id: the primary key" in made.stdout

    # SQL that only PostgreSQL knows, in a module that is loaded without settings.
    module.write_text(module.read_text().replace("WHERE placed_at", "WHERE extra ? 'gift' AND placed_at"))
    checked = sluice("check", "order_placed", **erp)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    seen = sluice("preview", "order_placed", "2024-02-29", "--rows", "5", **erp)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert "5 source rows" in seen.stdout
    assert "order_placed.avsc still says TODO of order_id, " in checked.stdout
    contract.write_text(contract.read_text().replace("TODO: ", ""))
    published = sluice("publish", "order_placed", "2024-02-29", **erp)
    assert published.returncode == 0, published.stdout + published.stderr
    assert "24 events published" in published.stdout
    again = sluice("publish", "order_placed", "2024-02-29", **erp)
    assert re.search(r"2024-02-29 .* 24 +0 +24 ", again.stdout), again.stdout


@pytest.mark.parametrize(("table", "column"), [("measured", "measured_at"), ("dated", "day")])
def test_a_time_without_zone_is_filtered_by_its_bare_column(
    sluice: Sluice, tree: Path, erp: dict[str, str], table: str, column: str
) -> None:
    name = f"{table}_there"
    made = sluice("new", name, "--domain", "shop", "--table", table, "--warehouse", "erp", **erp)
    assert made.returncode == 0, made.stdout + made.stderr
    text = (tree / f"assets/shop/{name}.py").read_text()
    assert f"WHERE {column} >= :window_start AND {column} < :window_end" in text
    assert "1 source row" in sluice("preview", name, "2024-02-29", **erp).stdout


def test_what_is_wrong_is_told_in_the_server_s_words(sluice: Sluice, tree: Path, erp: dict[str, str]) -> None:
    missed = sluice(
        "new", "order_missed", "--domain", "shop", "--table", "shop.order", "--warehouse", "erp", **erp
    )
    assert missed.returncode == 1
    assert "Did you mean 'shop.orders'?" in missed.stderr
    module = tree / "assets/shop/order_placed.py"
    module.write_text(module.read_text().replace("            amount,\n", "            amountt AS amount,\n"))
    checked = sluice("check", "order_placed", "--offline", **erp)
    assert checked.returncode == 1
    assert 'column "amountt" does not exist; at ' in checked.stdout, checked.stdout
    assert "orders.amount" in checked.stdout
    assert "Traceback" not in checked.stdout + checked.stderr


def test_doctor_reaches_it_or_says_why_not(sluice: Sluice, erp: dict[str, str]) -> None:
    assert "ok    warehouse erp" in sluice("doctor", **erp).stdout
    away = {"SLUICE_WAREHOUSE_ERP": "postgresql://me:hunter2@127.0.0.1:1/nowhere"}
    told = sluice("doctor", **away)
    assert told.returncode == 1
    assert "FAIL  warehouse erp" in told.stdout and "Connection refused" in told.stdout
    assert "hunter2" not in told.stdout + told.stderr
    assert "Traceback" not in told.stdout + told.stderr
