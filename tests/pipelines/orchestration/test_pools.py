"""A warehouse's pool: the operator's limit holds, no limit means no wait."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from pipelines.orchestration.pools import pool_slot

POOL = "warehouse_default"


def hold_a_slot(instance: dg.DagsterInstance, meanwhile: Callable[[], None] = lambda: None) -> None:
    @dg.asset
    def held(context: dg.AssetExecutionContext) -> None:
        with pool_slot(context, POOL, "test"):
            meanwhile()

    assert dg.materialize([held], instance=instance).success


def an_instance(folder: Path, dagster_yaml: str) -> dg.DagsterInstance:
    # No captured output: its helper processes are what Dagster forgets to wait for.
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
