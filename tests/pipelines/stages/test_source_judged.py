"""Sourced rows are compared with the warehouse's own answers,
in the session that reads them: in both warehouses."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from pipelines.independent_judge.errors import Misjudged
from pipelines.stages.source import source_window
from pipelines.stages.source_and_transform import source_and_transform
from resources.platform import Platform
from resources.snapshots import Snapshot
from resources.warehouse.duckdb.warehouse import DuckDBWarehouse
from resources.warehouse.postgresql.warehouse import PostgreSQLWarehouse
from tests.fixtures_postgres import execute
from tests.matrix import one_of

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import World

WINDOW, ROWS = "2013-01-01", 300


@pytest.fixture(params=one_of("duckdb", "postgresql"))
def world(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[World]":
    from tests.pipelines.publishing.conftest import World

    made = World(tmp_path, "127.0.0.1:1", "http://127.0.0.1:1")
    made.rows([(f"k{n}", n, n) for n in range(ROWS)])
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
        execute(
            url,
            "CREATE TABLE happenings AS SELECT 'k' || i AS id, TIMESTAMPTZ '2013-01-01 00:00:00+00' + i * INTERVAL '1 minute' "
            f"AS happened_at, i::bigint AS amount FROM generate_series(0, {ROWS - 1}) AS r(i)",
        )
        made.environ["SLUICE_WAREHOUSE_DEFAULT"] = url
    yield made
    made.close()


def sourced(world: "World", platform: Platform | None = None) -> Snapshot:
    window = world.event.windows.window(WINDOW)
    return source_window(world.event, window, platform or world.platform(), run_id="r")


def bend(monkeypatch: pytest.MonkeyPatch, change: Callable[[pa.RecordBatch], pa.RecordBatch]) -> None:
    """Change the rows of both drivers, as a bug in them would."""

    def batches(self: Any, reader: Any, sql: str) -> Iterator[pa.RecordBatch]:
        for batch in duckdb(self, reader, sql):
            yield change(batch) if batch.num_columns == 3 else batch

    def converted(self: Any, batch: Any, columns: Any) -> pa.RecordBatch:
        return change(postgresql(self, batch, columns))

    duckdb, postgresql = DuckDBWarehouse._batches, PostgreSQLWarehouse._converted
    monkeypatch.setattr(DuckDBWarehouse, "_batches", batches)
    monkeypatch.setattr(PostgreSQLWarehouse, "_converted", converted)


def shifted(name: str) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        column = batch.column(name)
        moved = pa.concat_arrays([column.slice(1), column.slice(0, 1)])
        place = batch.schema.get_field_index(name)
        return batch.set_column(place, batch.schema.field(place), moved)

    return change


def only_the_greatest(batch: pa.RecordBatch) -> pa.RecordBatch:
    values = [999 if value == 217 else value for value in batch.column("amount").to_pylist()]
    place = batch.schema.get_field_index("amount")
    return batch.set_column(place, batch.schema.field(place), pa.array(values, pa.int64()))


def test_rows_are_judged_and_counted(world: "World") -> None:
    first, second = sourced(world), sourced(world)
    assert first.facts["judged"] == second.facts["judged"] >= 4
    assert not {"unsteady", "not_judged"} & first.facts.keys()


@pytest.mark.parametrize("column", ["id", "happened_at", "amount"])
@pytest.mark.parametrize("together", [True, False], ids=["in one pass", "step by step"])
def test_a_driver_whose_column_moves_by_a_row_makes_no_snapshot(
    world: "World", monkeypatch: pytest.MonkeyPatch, column: str, together: bool
) -> None:
    bend(monkeypatch, shifted(column))
    platform = world.platform()
    with pytest.raises(Misjudged) as caught:
        if together:
            window = world.event.windows.window(WINDOW)
            source_and_transform(world.event, window, platform, run_id="r")
        else:
            sourced(world, platform)
    assert "nothing was published" in str(caught.value)
    assert platform.snapshots.current(world.event.full_name, WINDOW, "sourced") is None


def test_a_wrong_extreme_alone_is_found(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    # 217 is the largest value of all, and no last row has it.
    redefined(world, "CASE WHEN amount > 217 THEN 1 ELSE amount END")
    bend(monkeypatch, only_the_greatest)
    with pytest.raises(Misjudged) as caught:
        sourced(world)
    assert (caught.value.row, caught.value.column, caught.value.found, caught.value.plain) == (
        217,
        "amount",
        999,
        217,
    )


def test_a_wrong_value_that_hides_an_extreme_is_found(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    redefined(world, "CASE WHEN amount = 217 THEN 5000 ELSE amount END")

    def hide(batch: pa.RecordBatch) -> pa.RecordBatch:
        values = [5 if value == 5000 else value for value in batch.column("amount").to_pylist()]
        return batch.set_column(2, batch.schema.field(2), pa.array(values, pa.int64()))

    bend(monkeypatch, hide)
    with pytest.raises(Misjudged) as caught:
        sourced(world)
    assert (
        "the greatest of all sourced rows is 299, the warehouse's own answer in plain values is 5000"
        in str(caught.value)
    )
    assert "(key 'k217', event time 2013-01-01T03:37:00Z)" in str(caught.value)


def redefined(world: "World", expression: str) -> None:
    from pipelines import load_catalogue

    path = world.event.module_path
    path.write_text(path.read_text().replace("happened_at, amount", f"happened_at, {expression} AS amount"))
    world.event = load_catalogue(world.folder / "assets").find("happened")


def test_a_query_that_answers_differently_each_time_is_a_warning_with_its_column(world: "World") -> None:
    redefined(world, "CAST(random() * 1000000000 AS BIGINT)")
    made = sourced(world)
    assert made.facts["unsteady"] == ["amount"]


def test_a_refused_question_is_no_fault_of_the_rows(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    from resources.warehouse import WarehouseError

    def refused(*_: Any, **__: Any) -> Any:
        raise WarehouseError("w", "no")

    for kind in (DuckDBWarehouse, PostgreSQLWarehouse):
        monkeypatch.setattr(kind, "plain_rows", refused)
    made = sourced(world)
    assert made.rows == ROWS and made.facts["not_judged"].endswith("again: no")
