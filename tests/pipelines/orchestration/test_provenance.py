"""Dagster can tell what is out of date: every materialization names its version and those it was made from."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from pipelines.orchestration.assets import build_assets
from pipelines.orchestration.resource import PlatformResource
from pipelines.orchestration.tables import build_tables
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
            resources={"platform": PlatformResource()},
            instance=instance,
            partition_key=WINDOW,
            selection=[dg.AssetKey(["tests", "happened", stage]) for stage in stages],
        )
        assert done.success

    def out_of_date() -> set[str]:
        graph = dg.Definitions(
            assets=[build_assets(here.event), *build_tables([here.event])],
            resources={"platform": PlatformResource()},
        ).get_repository_def().asset_graph  # fmt: skip
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return {
            stage
            for stage in ("sourced", "transformed", "published")
            if resolver.get_status(dg.AssetKey(["tests", "happened", stage]), WINDOW) != StaleStatus.FRESH
        }

    with dg.instance_for_test() as instance:
        run(("sourced", "transformed", "published"))
        assert out_of_date() == set()
        here.rows([("late", 5, 1)])
        run(("sourced",))
        assert out_of_date() == {"transformed"}  # published equals the transformed rows that there still are
        run(("transformed",))
        assert out_of_date() == {"published"}
        run(("published",))
        assert out_of_date() == set()
