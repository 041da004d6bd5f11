"""A warehouse's pool: the operator's limit is kept; without a limit there is no wait."""

import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from pipelines.orchestration import pools
from pipelines.orchestration.pools import pool_slot, telling_of_pool, wait_for_pool
from pipelines.run_events import RunEvent, sentence
from tests.hearing import into

POOL = "warehouse_default"


def hold_a_slot(instance: dg.DagsterInstance, meanwhile: Callable[[], None] = lambda: None) -> None:
    @dg.asset
    def held(context: dg.AssetExecutionContext) -> None:
        with pool_slot(context, POOL, "test"):
            meanwhile()

    assert dg.materialize([held], instance=instance).success


def an_instance(folder: Path, dagster_yaml: str) -> dg.DagsterInstance:
    # Output is not captured: that needs helper processes, which Dagster does not wait for.
    quiet = "telemetry:\n  enabled: false\ncompute_logs:\n  module: dagster._core.storage.noop_compute_log_manager\n  class: NoOpComputeLogManager\n"
    (folder / "dagster.yaml").write_text(quiet + dagster_yaml)
    return dg.DagsterInstance.from_config(str(folder))


WITH_DEFAULT = "concurrency:\n  pools:\n    granularity: op\n    default_limit: 1\n"


@pytest.fixture
def never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def waited(_: float) -> None:
        raise AssertionError("waited for a slot that nobody holds")

    monkeypatch.setattr("pipelines.orchestration.pools.time.sleep", waited)


@pytest.mark.usefixtures("never_waits")
def test_without_any_limit_nothing_waits(tmp_path: Path) -> None:
    with an_instance(tmp_path, "") as instance:
        hold_a_slot(instance)


@pytest.mark.usefixtures("never_waits")
def test_an_operators_limit_is_kept(tmp_path: Path) -> None:
    with an_instance(tmp_path, WITH_DEFAULT) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots(POOL, 4)
        taken: list[int] = []
        hold_a_slot(instance, lambda: taken.append(storage.get_concurrency_info(POOL).active_slot_count))
        assert taken == [1]
        assert storage.get_concurrency_info(POOL).slot_count == 4
        assert storage.get_concurrency_info(POOL).active_slot_count == 0


@pytest.mark.usefixtures("never_waits")
def test_the_default_limit_is_for_a_pool_without_one(tmp_path: Path) -> None:
    with an_instance(tmp_path, WITH_DEFAULT) as instance:
        hold_a_slot(instance)
        assert instance.event_log_storage.get_concurrency_info(POOL).slot_count == 1


OTHER = "0123456789abcdef"


def an_instance_with_a_full_pool(folder: Path, granularity: str = "op") -> dg.DagsterInstance:
    instance = an_instance(folder, WITH_DEFAULT.replace("granularity: op", f"granularity: {granularity}"))
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default(POOL)
    assert storage.claim_concurrency_slot(POOL, OTHER, "step").is_claimed
    return instance


def test_a_command_that_waits_for_a_pool_says_who_has_it_and_looks_for_dead_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(pools, "_ASK_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(pools, "_SAY_EVERY_SECONDS", 0.02)
    with an_instance_with_a_full_pool(tmp_path) as instance:

        def frees() -> None:
            instance.event_log_storage.free_concurrency_slots_for_run(OTHER)

        wait_for_pool(instance, POOL, tell=into(said), look=frees)
    assert said[0] == f"waiting for a place in pool {POOL}: run 01234567 has it"
    assert len(said) > 2 and "(for " in said[1], "again and again"
    assert said[-1].startswith(f"has its place in pool {POOL} after ")


@pytest.mark.usefixtures("never_waits")
def test_a_command_does_not_wait_where_dagster_would_not_hold_it(tmp_path: Path) -> None:
    with an_instance_with_a_full_pool(tmp_path, granularity="run") as instance:
        wait_for_pool(instance, POOL, tell=into([]))
        wait_for_pool(instance, "pool_without_a_limit", tell=into([]))


def test_a_run_that_was_a_moment_late_says_so_while_dagster_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_ASK_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(pools, "_SAY_AFTER_SECONDS", 0.05)
    said: list[str] = []
    told = threading.Event()
    with an_instance_with_a_full_pool(tmp_path) as instance:
        storage = instance.event_log_storage

        def says(event: RunEvent) -> None:
            said.append(sentence(event))
            if "has its place" in said[-1]:
                told.set()
            storage.free_concurrency_slots_for_run(OTHER)

        @dg.asset(pool=POOL)
        def held() -> None:
            assert told.wait(60)

        run_id = str(uuid4())
        job = dg.Definitions(assets=[held]).resolve_implicit_global_asset_job_def()
        with telling_of_pool(instance, POOL, run_id, tell=says):
            assert job.execute_in_process(instance=instance, run_id=run_id).success
    assert said[0] == f"waiting for a place in pool {POOL}: run 01234567 has it"
    assert "has its place" in said[-1]
