"""One click on one asset, or on a check: missing rows are made, and checks report the current state."""

from collections import Counter
from typing import Any

import dagster as dg
import pytest

from pipelines import Catalogue
from pipelines.orchestration.definitions.build import build_definitions
from pipelines.orchestration.keys import FITS_CONTRACT, IN_A_WINDOW, RECONCILED, key_of
from tests.pipelines.orchestration.test_dead_letters import here, instance, run
from tests.pipelines.publishing.conftest import WINDOW, World, embedded_world
from tests.pipelines.publishing.test_redrive import BROKEN, ROWS

__all__ = ["embedded_world", "here", "instance"]


def executed(
    world: World, instance: dg.DagsterInstance, window: str | None = WINDOW
) -> dict[str, tuple[bool, str, str]]:
    """*Execute all* for the checks of the event: verdict, severity and words of each."""
    definitions = build_definitions(Catalogue({world.event.full_name: world.event}, world.event.module_path))
    checks = set(definitions.resolve_asset_graph().asset_check_keys)
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.get_subset(asset_selection=set(), asset_check_selection=checks).execute_in_process(
        instance=instance, partition_key=window, raise_on_error=False
    )
    assert result.success
    assert not result.asset_materializations_for_node(f"{world.event.domain}__{world.event.name}")
    return {
        one.check_name: (one.passed, one.severity.value, one.description or "")
        for one in result.get_asset_check_evaluations()
    }


@pytest.mark.parametrize("stages", [("published",), ("transformed",), ("transformed", "published")])
def test_what_a_stage_needs_and_the_window_never_had_is_made(
    here: World, instance: dg.DagsterInstance, stages: tuple[str, ...]
) -> None:
    here.define("return rows")
    here.rows(ROWS)
    assert run(here, instance, stages=stages).success
    if "published" in stages:
        assert here.counted() == Counter(ROWS)
    made: dict[str, Any] = {}
    for stage in ("sourced", "transformed", "published"):
        key = key_of(here.event.domain, here.event.name, stage)
        made[stage] = instance.get_materialized_partitions(key)
    assert made["sourced"] == made["transformed"] == {WINDOW}
    assert made["published"] == ({WINDOW} if "published" in stages else set())


def test_a_window_that_has_its_snapshots_is_published_from_them(
    here: World, instance: dg.DagsterInstance
) -> None:
    here.define("return rows")
    here.rows(ROWS)
    assert run(here, instance, stages=("sourced", "transformed")).success
    here.rows([])
    assert run(here, instance, stages=("published",)).success
    assert here.counted() == Counter(ROWS)


def test_checks_alone_say_what_is_there_and_change_nothing(here: World, instance: dg.DagsterInstance) -> None:
    here.define("return rows")
    here.rows(ROWS)
    found = executed(here, instance)
    assert (
        found[FITS_CONTRACT][:2] == (False, "WARN") and "no transformed snapshot" in found[FITS_CONTRACT][2]
    )
    assert found[RECONCILED] == (False, "WARN", "not published yet")
    assert found[IN_A_WINDOW][0]
    assert run(here, instance).success
    found = executed(here, instance)
    assert [found[name][0] for name in (FITS_CONTRACT, RECONCILED, IN_A_WINDOW)] == [True] * 3
    assert found[FITS_CONTRACT][2] == f"{len(ROWS)} rows fitted the contract when they were transformed"
    assert here.counted() == Counter(ROWS)


def test_checks_of_a_blocked_window_stay_red(here: World, instance: dg.DagsterInstance) -> None:
    here.define(BROKEN)
    here.rows(ROWS)
    assert not run(here, instance).success
    found = executed(here, instance)
    assert found[RECONCILED][:2] == (False, "ERROR") and found[RECONCILED][2].startswith(
        "blocked: 3 of 20 rows"
    )
    assert found[FITS_CONTRACT][:2] == (False, "ERROR")


def test_checks_of_no_window_are_of_the_one_that_was_published_last(
    here: World, instance: dg.DagsterInstance
) -> None:
    """As *Execute all* on the page of an asset launches them."""
    here.define("return rows")
    here.rows(ROWS)
    found = executed(here, instance, None)
    assert found[RECONCILED] == (False, "WARN", "not published yet")
    assert found[IN_A_WINDOW][0]
    assert run(here, instance).success
    found = executed(here, instance, None)
    assert [found[name][0] for name in (FITS_CONTRACT, RECONCILED, IN_A_WINDOW)] == [True] * 3
    here.define(BROKEN)
    assert not run(here, instance).success
    found = executed(here, instance, None)
    assert found[RECONCILED][:2] == (False, "ERROR"), "what a run left blocked"


def test_assets_of_no_window_are_refused_with_what_to_do(here: World, instance: dg.DagsterInstance) -> None:
    definitions = build_definitions(Catalogue({here.event.full_name: here.event}, here.event.module_path))
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data.user_failure_data
    assert data is not None and "the run names no window" in (data.description or "")
