"""`sluice new` in a separate project:
what it writes, what it does not touch, and that it runs nothing of it."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result

from pipelines import load_catalogue
from pipelines.authoring.loading import module_import, resolution
from pipelines.cli.root import sluice
from tests.fixtures_postgres import PostgresServer, execute
from tests.pipelines.drafting.test_python_literals import EVIL

New = Callable[..., Result]


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "shop.duckdb"


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "assets"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def new(assets: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> New:
    """Makes tables, and drafts `shop/thing_happened` from one of them. No module of the project may be run
    for it."""

    def run(table: str, *options: str, sql: str = "", event: str = "thing_happened") -> Result:
        if sql:
            with duckdb.connect(warehouse) as connection:
                connection.execute(sql)
        return CliRunner().invoke(sluice, ["new", event, "--domain", "shop", "--table", table, *options])

    def refused(name: str, *_: object) -> None:
        raise AssertionError(f"{name} was run")

    for name in ("SLUICE_KAFKA_BOOTSTRAP_SERVERS", "SLUICE_REGISTRY_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLUICE_HOME", str(assets.parent / ".sluice"))
    monkeypatch.setenv("SLUICE_WAREHOUSE_DEFAULT", f"duckdb://{warehouse}")
    (assets.parent / "sluice.toml").touch()
    monkeypatch.setenv("SLUICE_TOML", str(assets.parent / "sluice.toml"))
    monkeypatch.setattr(resolution, "run_module", refused)
    return run


def _left(assets: Path) -> list[str]:
    return sorted(path.relative_to(assets).as_posix() for path in assets.rglob("*"))


THINGS = "CREATE TABLE things (id VARCHAR NOT NULL, happened_at TIMESTAMPTZ NOT NULL, {}); "
ROW = "INSERT INTO things VALUES ('k1', TIMESTAMPTZ '2024-01-01 12:00:00+00', '1')"
DRAFT = ["shop", "shop/__init__.py", "shop/thing_happened.avsc", "shop/thing_happened.py"]


@pytest.mark.parametrize("name", [name for name in EVIL if "\n" not in name])
def test_a_draft_is_judged_without_being_run_and_is_the_event_that_was_judged(
    new: New, assets: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(assets.parent)
    quoted = '"' + name.replace('"', '""') + '"'
    made = new("things", sql=THINGS.format(f"{quoted} VARCHAR") + ROW)
    assert made.exit_code == 0, made.output
    assert "FAIL" not in made.output and _left(assets) == DRAFT
    monkeypatch.setattr(resolution, "run_module", module_import.run_module)
    event = load_catalogue(assets).find("thing_happened")
    assert (event.key, event.event_time, event.transform) == ("id", "happened_at", None)
    assert sorted(path.name for path in assets.parent.iterdir()) == ["assets", "sluice.toml"]


@pytest.mark.parametrize("character", ["\n", "\x00", "\x1b", "\u2028", "\u202e", "\u200b"])
def test_a_name_with_a_control_character_is_refused_and_nothing_is_left(
    new: New, assets: Path, character: str
) -> None:
    made = new("things", sql=THINGS.format(f'"a{character}b" VARCHAR'))
    assert made.exit_code == 1 and f"U+{ord(character):04X}" in made.output, made.output
    assert character == "\n" or character not in made.output
    assert _left(assets) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--owner", "bob"),
        ("--owner", 'team:x", **print(1), owner="team:y'),
        ("--owner", "team:\x1b[31m"),
        ("--start", "2024-02-30"),
        ("--start", '2024-01-01") or print("'),
        ("--key", "nothing"),
        ("--event-time", "id"),
        ("--warehouse", "other\x1b"),
    ],
)
def test_a_wrong_argument_leaves_nothing(new: New, assets: Path, option: str, value: str) -> None:
    made = new("things", option, value, sql=THINGS.format("n VARCHAR") + ROW)
    assert made.exit_code == 1 and "Error: " in made.output
    assert "\x1b" not in made.output
    assert _left(assets) == []


def test_an_interrupted_write_leaves_nothing(new: New, assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.link", interrupted)
    made = new("things", sql=THINGS.format("n VARCHAR") + ROW)
    assert made.exit_code == 130 and _left(assets) == []


DECLARED = """
CREATE TYPE state AS ENUM ('placed', 'paid'); CREATE TYPE way AS ENUM ('by air', 'by sea');
CREATE TABLE customers (id BIGINT PRIMARY KEY);
CREATE TABLE "Odd Orders" (
    tax_id VARCHAR NOT NULL, barcode VARCHAR, "Order Id" BIGINT, order_id VARCHAR,
    customer_id BIGINT REFERENCES customers (id), state state, way way, ticket UUID PRIMARY KEY,
    created_at TIMESTAMPTZ NOT NULL, loaded_at TIMESTAMPTZ NOT NULL,
    a STRUCT(b STRUCT(c INTEGER)), a_b STRUCT(c INTEGER)
);
COMMENT ON TABLE "Odd Orders" IS 'An order
was "placed" \\ \"\"\".';
COMMENT ON COLUMN "Odd Orders".barcode IS 'The code below
the bars.';
INSERT INTO "Odd Orders" SELECT 't', 'b', 1, 'o', NULL, 'paid', 'by sea', uuid(), '2024-01-01 12:00+00',
    '2024-01-02 00:00+00', {'b': {'c': 1}}, {'c': 2};
CREATE TABLE lines (order_id BIGINT, line INTEGER, note VARCHAR, "at" TIMESTAMP_NS NOT NULL, PRIMARY KEY (order_id, line));
INSERT INTO lines VALUES (1, 1, 'x', '2024-01-01 23:59:59.9999999'), (1, 2, 'y', '2024-01-02 00:00:00.0000001');
CREATE TABLE zoned AS SELECT 'a' AS id, CAST(TIMESTAMP_NS '2024-01-01 23:59:59.9999999' AS TIMESTAMPTZ_NS) AS "at";
CREATE TABLE empty (paid BOOLEAN, bid VARCHAR, day DATE);
"""


def _contract(assets: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((assets / "shop/thing_happened.avsc").read_text())
    return {**found, "fields": {field["name"]: field for field in found["fields"]}}


def test_what_the_warehouse_declares_is_in_the_draft(new: New, assets: Path) -> None:
    made = new("odd orders", sql=DECLARED)
    assert made.exit_code == 0 and "FAIL" not in made.output, made.output
    assert (
        "key         ticket: the primary key; not tax_id (its name has the word 'tax'), customer_id (refers to"
        in made.output
    )
    assert "event time  created_at: a timestamp with a time zone, never null; not loaded_at" in made.output
    assert "question" not in made.output
    contract = _contract(assets)
    fields = contract["fields"]
    assert contract["doc"] == 'An order was "placed" \\ """.'
    module = ast.parse((assets / "shop/thing_happened.py").read_text())
    assert (ast.get_docstring(module) or "").startswith(
        contract["doc"] + "\n\nOne event per row of the table "
    )
    assert fields["barcode"]["doc"] == "The code below the bars."
    assert fields["customer_id"]["doc"].endswith("; refers to customers.id.)")
    assert fields["state"]["type"][1] == {
        "type": "enum", "name": "ThingHappenedState", "symbols": ["placed", "paid"],
    }  # fmt: skip
    assert fields["way"]["type"] == ["null", "string"] and "'by air', 'by sea'" in fields["way"]["doc"]
    assert list(fields)[2:4] == ["Order_Id_2", "order_id"]
    assert fields["a_b"]["type"][1]["name"] == "ThingHappenedAB_2", "each type has a name of its own"


def test_an_open_question_stands_in_both_files_and_the_draft_is_kept(new: New, assets: Path) -> None:
    made = new("lines", sql=DECLARED)
    assert made.exit_code == 0 and "FAIL" not in made.output, made.output
    assert "The draft is kept with 1 open question" in made.output and "--key COLUMN" in made.output
    question = "the primary key (order_id, line) has 2 columns"
    assert question in made.output and question in _contract(assets)["fields"]["order_id"]["doc"]
    assert "TODO: is order_id the key?" in (assets / "shop/thing_happened.py").read_text()
    assert "record ThingHappened, order_id" in made.output, "so that it cannot be registered"


@pytest.mark.parametrize(("table", "rows"), [("lines", 2), ("zoned", 1)])
def test_nanoseconds_are_rounded_alike_in_event_time_and_window(new: New, table: str, rows: int) -> None:
    made = new(table, sql=DECLARED)
    assert made.exit_code == 0, made.output
    assert "windows     daily from 2024-01-02" in made.output and "rounded to microseconds" in made.output
    assert f"{rows} row" in made.output.replace("the only row", "1 row") and "fit" in made.output


def test_a_table_without_rows_or_required_columns_has_a_draft(new: New, assets: Path) -> None:
    made = new("EMPTY", sql=DECLARED)
    assert made.exit_code == 0 and "FAIL" not in made.output, made.output
    assert "is bid the key? nothing declares a key" in made.output
    assert list(_contract(assets)["fields"]) == ["paid", "bid", "day"]


def test_a_schema_that_is_called_as_its_database_is_named_with_it(
    new: New, assets: Path, warehouse: Path
) -> None:
    with duckdb.connect(warehouse.with_name("made.duckdb")) as connection:
        connection.execute(
            "CREATE SCHEMA shop; CREATE TABLE shop.things (id VARCHAR, happened_at TIMESTAMPTZ)"
        )
    warehouse.with_name("made.duckdb").rename(warehouse)
    made = new("shop.things")
    assert made.exit_code == 0 and "FAIL" not in made.output, made.output
    assert "FROM shop.shop.things" in (assets / "shop/thing_happened.py").read_text()


def test_names_comments_and_labels_of_postgresql_are_text_in_a_draft(
    new: New, assets: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database()
    names = list(dict.fromkeys(name[:30] for name in EVIL if "\n" not in name))

    def quoted(text: str, mark: str) -> str:
        return mark + text.replace(mark, mark * 2) + mark

    columns = ", ".join(f"{quoted(name, chr(34))} text" for name in names)
    labels = ", ".join(quoted(name, "'") for name in names)
    table = '"a.b"."Odd ""%s"" :x"'
    execute(
        url,
        f'CREATE SCHEMA "a.b"; CREATE TYPE odd AS ENUM ({labels}); CREATE TABLE {table} (id bigint PRIMARY KEY, '
        f'happened_at timestamptz NOT NULL, odd odd NOT NULL, "Id" int, {columns}); '
        f"INSERT INTO {table} VALUES (1, '2024-01-01 12:00+00', {quoted(names[0], chr(39))}, 2);"
        f"COMMENT ON TABLE {table} IS E{quoted(EVIL[0].replace(chr(10), ' ') + ' x', chr(39))};"
        + "".join(
            f"COMMENT ON COLUMN {table}.{quoted(name, chr(34))} IS {quoted(name + chr(27) + chr(10) + '…', chr(39))};"
            for name in names
        ),
    )
    monkeypatch.setenv("SLUICE_WAREHOUSE_ERP", url)
    monkeypatch.chdir(assets.parent)
    made = new('a.b.odd "%S" :X', "--warehouse", "erp")
    assert made.exit_code == 0 and "FAIL" not in made.output, made.output
    assert "1 row" in made.output or "the only row" in made.output
    monkeypatch.setattr(resolution, "run_module", module_import.run_module)
    event = load_catalogue(assets).find("thing_happened")
    assert (event.key, len(event.contract.fields)) == ("id", len(names) + 4)
    assert len({field.name.lower() for field in event.contract.fields}) == len(names) + 4
    assert sorted(path.name for path in assets.parent.iterdir()) == ["assets", "sluice.toml"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("cut", "the primary key (id, at) without the event time"),
        ("counted", "named as the id of a row of counted"),
        ("CUT_2024", "the primary key (id, at) without the event time"),
        ("history", "device: the primary key (device, at) without the event time"),
        ("partly", "is note the key? nothing declares a key"),
    ],
)
def test_tables_of_every_kind_of_postgresql_have_drafts(
    new: New, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, table: str, told: str
) -> None:
    url = postgres.new_database()
    execute(
        url,
        "CREATE TABLE cut (id bigint, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
        "CREATE TABLE cut_2024 PARTITION OF cut FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
        "INSERT INTO cut VALUES (1, '2024-01-01');"
        "CREATE MATERIALIZED VIEW counted AS SELECT id, at FROM cut; CREATE UNIQUE INDEX ON counted (id);"
        "CREATE TABLE history (device text, at timestamptz, value float8, PRIMARY KEY (device, at));"
        "CREATE TABLE partly (note text, paid text, at timestamptz);"
        "CREATE UNIQUE INDEX ON partly (paid) WHERE note IS NOT NULL",
    )
    monkeypatch.setenv("SLUICE_WAREHOUSE_ERP", url)
    made = new(table, "--warehouse", "erp")
    assert made.exit_code == 0 and "FAIL" not in made.output and told in made.output, made.output
