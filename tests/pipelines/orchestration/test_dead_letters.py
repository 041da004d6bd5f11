"""Dead letters in Dagster: counted in its plots, and redriven by run configuration."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.definitions.resource import run_resources
from pipelines.orchestration.definitions.tables import build_tables
from pipelines.orchestration.keys import asset_key, op_name
from tests.pipelines.publishing.conftest import WINDOW, World, embedded_world
from tests.pipelines.publishing.test_redrive import ALIVE, BROKEN, MENDED, ROWS, SHARE
from tests.pipelines.reconciling.test_check import here as _here

__all__ = ["embedded_world"]

ALL = ("sourced", "transformed", "published")


@pytest.fixture
def here(embedded_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from _here.__wrapped__(embedded_world, monkeypatch)  # type: ignore[attr-defined]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def run(
    world: World, instance: dg.DagsterInstance, *, stages: tuple[str, ...] = ALL, **config: Any
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [build_assets(world.event), *build_tables([world.event])],
        resources=run_resources(),
        instance=instance,
        partition_key=WINDOW,
        selection=[asset_key(world.event, stage) for stage in stages],
        run_config={"ops": {op_name(world.event): {"config": config}}},
        raise_on_error=False,
    )


def redrive(world: World, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return run(world, instance, stages=("published",), redrive=True, **config)


def newest(world: World, instance: dg.DagsterInstance, stage: str) -> dict[str, Any]:
    wanted = dg.AssetRecordsFilter(asset_key=asset_key(world.event, stage), asset_partitions=[WINDOW])
    record = instance.fetch_materializations(wanted, limit=1).records[0]
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def told(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data.user_failure_data
    assert data is not None and data.description is not None
    return data.description


def test_letters_of_a_published_window_are_counted_and_redriven(
    here: World, instance: dg.DagsterInstance
) -> None:
    here.define(BROKEN, more=SHARE)
    here.rows(ROWS)
    assert run(here, instance).success
    about = newest(here, instance, "transformed")
    assert (about["rows_dead"], about["dead_null"], about["dead_share"]) == (3, 3, 0.15)
    assert about["dead_letters"].endswith(".parquet") and about["dead_letter_reasons"] == {"null": 3}
    assert [record.data["source_row"] for record in about["dead_letter_sample"].records] == [3, 7, 11]
    assert newest(here, instance, "published")["rows_dead"] == 3

    here.define(MENDED, more=SHARE)
    result = redrive(here, instance, reason="null meant none")
    assert result.success
    about = newest(here, instance, "published")
    assert (about["action"], about["rows_published"], about["rows_dead"]) == ("redrive", 2, 1)
    assert about["generation"] == 2 and "2 events repaired of 3" in about["because"]
    assert newest(here, instance, "transformed")["rows_dead"] == 1
    (fits,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "fits_contract"]
    assert fits.passed and "1 of 20 rows do not fit" in (fits.description or "")
    (reconciled,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "reconciled"]
    assert reconciled.passed
    assert here.counted() == Counter(row for row in ROWS if row[2] != 7)
    # Again, and in any run: nothing.
    assert redrive(here, instance).success
    assert newest(here, instance, "published")["action"] == "nothing"
    assert newest(here, instance, "published")["rows_dead"] == 1
    assert run(here, instance).success
    assert newest(here, instance, "published")["action"] == "nothing"


def test_a_blocked_window_is_observed_and_redriven(here: World, instance: dg.DagsterInstance) -> None:
    here.define(BROKEN)
    here.rows(ROWS)
    blocked = run(here, instance)
    assert not blocked.success and "or redrive it" in told(blocked)
    observed = instance.fetch_observations(asset_key(here.event, "transformed"), limit=1).records
    assert observed[0].asset_observation is not None
    assert observed[0].asset_observation.metadata["rows_dead"].value == 3

    here.define(MENDED)
    still = redrive(here, instance)
    assert not still.success and "1 of 20 rows do not fit" in told(still)
    # What does not fit, and that the topic does not have the window because of it.
    assert [(e.check_name, e.passed) for e in still.get_asset_check_evaluations()] == [
        ("fits_contract", False),
        ("reconciled", False),
    ]
    same = redrive(here, instance)
    assert not same.success and "nothing new to try" in told(same)
    assert "1 of 20 rows do not fit" in told(redrive(here, instance, force=True))

    here.define("return rows")
    assert redrive(here, instance).success
    assert newest(here, instance, "published")["rows_published"] == 20
    assert newest(here, instance, "transformed")["rows_dead"] == 0
    assert here.counted() == Counter(ROWS)


def test_a_redrive_publishes_whatever_is_selected_beside_it(
    here: World, instance: dg.DagsterInstance
) -> None:
    here.rows(ALIVE)
    assert run(here, instance).success
    here.rows([])
    assert run(here, instance, redrive=True).success, "nothing is sourced"
    assert here.counted() == Counter(ALIVE)
    wrong = run(here, instance, stages=("sourced", "transformed"), redrive=True)
    assert "redrive: true: publishes, and the run has sourced, transformed selected" in told(wrong)
