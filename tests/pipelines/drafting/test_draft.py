"""A draft loads, keeps every value of its table, and says what was chosen."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pipelines import load_catalogue
from pipelines.authoring.cadence import Cadence
from pipelines.authoring.event import Event
from pipelines.drafting.candidates import choose_event_time, choose_key
from pipelines.drafting.draft import Draft, Request, draft
from pipelines.encoding import RecordEncoder, decode_record
from pipelines.encoding.decode import DecodedValue
from pipelines.transform import Transformer
from resources.warehouse.duckdb.warehouse import DuckDBWarehouse

EVERY_TYPE = """
    CREATE TABLE every_type AS SELECT
        'k' AS id, TIMESTAMPTZ '2013-01-01 05:00:00.123456+00' AS at, true AS boolean_,
        1::TINYINT AS tiny, 255::UTINYINT AS utiny, 4294967295::UINTEGER AS uint, 18446744073709551615::UBIGINT AS ubig,
        (-9223372036854775808)::BIGINT AS big, 170141183460469231731687303715884105::HUGEINT AS huge,
        0.1::FLOAT AS single, 0.1::DOUBLE AS double_, 12.34::DECIMAL(10, 2) AS money, DATE '2013-01-02' AS day,
        TIME '10:00:00.000001' AS clock, TIMESTAMP '2013-01-01 00:00:00.000001' AS naive,
        TIMESTAMP_NS '2013-01-01 00:00:00.000000001' AS nanos, TIMESTAMP_S '2013-01-01' AS seconds,
        'text' AS text, '\\xFF'::BLOB AS blob, 'a'::ENUM('a', 'b') AS enum_, uuid() AS uuid_, [1, NULL] AS list_,
        {'a': 1, 'b': [{'c': 'x'}]} AS struct_, MAP {'k': 1.5} AS map_, '{}'::JSON AS json_,
        1 AS "Order", 2 AS "with space", 3 AS "select", INTERVAL 1 DAY AS span
"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBWarehouse]:
    path = tmp_path_factory.mktemp("warehouse") / "types.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(EVERY_TYPE)
        connection.execute(
            "CREATE TABLE naive AS SELECT 'x' AS name, TIMESTAMP '2013-01-01 10:00' AS happened"
        )
        connection.execute(
            "CREATE TABLE odd AS SELECT 'x' AS name, TIMESTAMPTZ '2013-01-01 10:00:00+00' AS happened,"
            " '01'::BIT AS \"Flags\", [1::UHUGEINT] AS big, {'a': 1}::VARIANT AS loose"
        )
        connection.execute("CREATE TABLE dated AS SELECT 'x' AS name, DATE '2013-01-01' AS day")
    opened = DuckDBWarehouse(str(path))
    yield opened
    opened.close()


def _drafted(
    warehouse: DuckDBWarehouse, table: str, root: Path, cadence: Cadence = "daily", **wanted: str
) -> tuple[Event, Draft]:
    source = warehouse.table(table)
    time = choose_event_time(source, wanted.get("event_time"))
    key = choose_key(source, wanted.get("key"), time.column)
    request = Request("shop", "thing_done", cadence, "2013-01-01", "default", "team:shop")
    made = draft(request, source, key, time)
    folder = root / "assets" / "shop"
    folder.mkdir(parents=True)
    (folder / "thing_done.py").write_text(made.module)
    (folder / "thing_done.avsc").write_text(made.contract)
    return load_catalogue(root / "assets").find("thing_done"), made


def _published(event: Event, warehouse: DuckDBWarehouse) -> list[dict[str, DecodedValue]]:
    """What the event's first window decodes to, after all steps of a run."""
    window = event.windows.containing(event.windows.start)
    transformer = Transformer(
        event.contract, transform=event.transform, key=event.key, event_time=event.event_time,
        window_start=window.start, window_end=window.end,
    )  # fmt: skip
    parameters = {"window_start": window.start, "window_end": window.end}
    encoder = RecordEncoder(event.contract, schema_id=1, topic=event.topic, key=event.key)
    found = []
    with warehouse.stream(
        event.source.bound("duckdb").sql, parameters, order_by=[], batch_rows=10
    ) as batches:
        for batch in batches:
            done = transformer.apply(batch, 0)
            assert done.dead.to_pylist() == []
            values = encoder.encode(done.rows).values.to_pylist()
            found += [decode_record(value, lambda _: event.contract.text) for value in values]
    return found


def test_every_type_of_column_becomes_a_field_that_loses_nothing(
    warehouse: DuckDBWarehouse, tmp_path: Path
) -> None:
    event, made = _drafted(warehouse, "every_type", tmp_path)
    (row,) = _published(event, warehouse)
    assert event.transform is None, "a draft costs nothing"
    assert made.left_out == (
        "span (INTERVAL): cannot be read exactly; to have it, write span::VARCHAR AS span "
        "(or epoch(span) for its seconds)",
    )
    assert row["id"] == "k"
    assert row["at"] == datetime(2013, 1, 1, 5, 0, 0, 123456, tzinfo=UTC)
    assert (row["tiny"], row["utiny"], row["uint"], row["big"]) == (1, 255, 4294967295, -(2**63))
    assert (int(str(row["ubig"])), int(str(row["huge"]))) == (2**64 - 1, 170141183460469231731687303715884105)
    assert (str(row["money"]), row["double_"]) == ("12.34", 0.1)
    assert row["list_"] == [1, None]
    assert row["struct_"] == {"a": 1, "b": [{"c": "x"}]}
    assert row["map_"] == {"k": 1.5}
    assert (row["Order"], row["with_space"], row["select"]) == (1, 2, 3)
    assert (row["enum_"], row["blob"]) == ("a", b"\xff")


def test_every_field_asks_for_its_meaning(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    event, _ = _drafted(warehouse, "every_type", tmp_path)
    assert all((field.doc or "").startswith("TODO") for field in event.contract.fields)


@pytest.mark.parametrize(
    ("table", "instant"), [("naive", datetime(2013, 1, 1, 10)), ("dated", datetime(2013, 1, 1))]
)
def test_a_time_without_zone_is_taken_as_utc_and_that_is_said(
    warehouse: DuckDBWarehouse, tmp_path: Path, table: str, instant: datetime
) -> None:
    event, made = _drafted(warehouse, table, tmp_path)
    (row,) = _published(event, warehouse)
    assert row[event.event_time] == instant.replace(tzinfo=UTC)
    assert any("UTC" in choice for choice in made.choices)


def test_a_column_that_cannot_be_read_exactly_is_left_out_with_what_to_write(
    warehouse: DuckDBWarehouse, tmp_path: Path
) -> None:
    event, made = _drafted(warehouse, "odd", tmp_path)
    assert made.left_out == (
        'Flags (BIT): cannot be read exactly; to have it, write "Flags"::VARCHAR AS "Flags"',
        "big (UHUGEINT[]): cannot be read exactly; to have it, write big::VARCHAR[] AS big",
        "loose (VARIANT): cannot be read exactly; to have it, write loose::JSON AS loose",
    )
    assert [field.name for field in event.contract.fields] == ["name", "happened"]
    assert len(_published(event, warehouse)) == 1
