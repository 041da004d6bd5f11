"""Dagster can show what is out of date:
every materialization names its version and the versions that it was made from."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.definitions.resource import run_resources
from pipelines.orchestration.definitions.tables import build_tables
from pipelines.orchestration.keys import key_of
from tests.pipelines.publishing.conftest import WINDOW, World, embedded_world
from tests.pipelines.reconciling.test_check import here as _here

__all__ = ["embedded_world"]


@pytest.fixture
def here(embedded_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from _here.__wrapped__(embedded_world, monkeypatch)  # type: ignore[attr-defined]


def test_a_window_is_in_sync_until_what_it_was_made_from_changes(here: World) -> None:
    def run(stages: tuple[str, ...]) -> None:
        done = dg.materialize(
            [build_assets(here.event), *build_tables([here.event])],
            resources=run_resources(),
            instance=instance,
            partition_key=WINDOW,
            selection=[key_of("tests", "happened", stage) for stage in stages],
        )
        assert done.success

    def out_of_date() -> set[str]:
        graph = dg.Definitions(
            assets=[build_assets(here.event), *build_tables([here.event])],
            resources=run_resources(),
        ).get_repository_def().asset_graph  # fmt: skip
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return {
            stage
            for stage in ("sourced", "transformed", "published")
            if resolver.get_status(key_of("tests", "happened", stage), WINDOW) != StaleStatus.FRESH
        }

    with dg.instance_for_test() as instance:
        run(("sourced", "transformed", "published"))
        assert out_of_date() == set()
        here.rows([("late", 5, 1)])
        run(("sourced",))
        assert out_of_date() == {"transformed"}  # published equals the transformed rows, which still exist
        run(("transformed",))
        assert out_of_date() == {"published"}
        run(("published",))
        assert out_of_date() == set()
