"""Windows that a failed run did not change stay as they were on the pages of Dagster; the others are red."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.partition_status_cache import get_partition_subsets

from pipelines.ledger.topic_identity import TopicRemade
from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.definitions.partitions import partitions_of
from pipelines.orchestration.definitions.resource import run_resources
from pipelines.orchestration.definitions.tables import build_tables
from pipelines.orchestration.keys import asset_key, op_name, stage_of
from pipelines.orchestration.windows.unchanged_windows import UnchangedWindows
from pipelines.pacing.hold import Cancelled
from pipelines.pacing.pacer import Pacer
from pipelines.publishing.publisher import Publisher
from pipelines.reconciling.reconciler import Reconciler
from resources.errors import SluiceError, TransientError
from tests.pipelines.orchestration.test_dead_letters import ALL, embedded_world, here, instance
from tests.pipelines.orchestration.test_failed_windows import noted, raising
from tests.pipelines.publishing.conftest import World

__all__ = ["embedded_world", "here", "instance"]

FIRST, SECOND, THIRD, NEW = DAYS = ("2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04")
ROWS = [(f"{day}{n}", day * 1440 + n, n) for day in range(4) for n in range(8)]
PUBLISHED = ROWS[:24]


def run(
    world: World,
    instance: dg.DagsterInstance,
    windows: tuple[str, str] = (FIRST, NEW),
    *,
    stages: tuple[str, ...] = ALL,
    tags: dict[str, str] | None = None,
    **config: Any,
) -> dg.ExecuteInProcessResult:
    first, last = windows
    return dg.materialize(
        [build_assets(world.event), *build_tables([world.event])],
        resources=run_resources(),
        instance=instance,
        selection=[asset_key(world.event, stage) for stage in stages],
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
            **(tags or {}),
        },
        run_config={"ops": {op_name(world.event): {"config": config}}},
        raise_on_error=False,
    )


def shown(world: World, instance: dg.DagsterInstance, stage: str) -> tuple[set[str], set[str]]:
    """What the page of the asset shows as materialized and as failed."""
    found = asyncio.run(
        get_partition_subsets(
            instance,
            LoadingContextForTest(instance),
            asset_key(world.event, stage),
            instance,
            partitions_of(world.event.windows),
        )
    )
    made, failed, begun = (set(subset.get_partition_keys()) for subset in found if subset is not None)
    assert not begun
    return made - failed, failed


@pytest.fixture
def published(here: World, instance: dg.DagsterInstance) -> World:
    """Three windows are published; the rows of a fourth exist."""
    here.rows(ROWS)
    assert run(here, instance, (FIRST, THIRD)).success
    return here


def no_settings(patched: pytest.MonkeyPatch) -> None:
    patched.setenv("SLUICE_TRANSACTION_ROWS", "many")


def no_registry(patched: pytest.MonkeyPatch) -> None:
    patched.setenv("SLUICE_REGISTRY_URL", "http://127.0.0.1:1")


def no_brokers(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(Publisher, "require_fit", raising(TransientError("brokers", "do not answer")))
    patched.setattr(Publisher, "ledger", raising(TransientError("brokers", "do not answer")))


def refused(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(Publisher, "require_fit", raising(SluiceError("preflight", "it does not hold")))


def defect(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(Publisher, "require_fit", raising(TypeError("a defect")))


def nothing(_: pytest.MonkeyPatch) -> None:
    pass


REPLAY: dict[str, Any] = {"replay": "stored", "reason": "why", "stages": ("published",)}


@pytest.mark.parametrize(
    ("fault", "config"),
    [
        (no_settings, {}),
        (no_registry, {}),
        (no_brokers, {}),
        (refused, {}),
        (defect, {}),
        (no_settings, REPLAY),
        (no_brokers, REPLAY),
        (nothing, {**REPLAY, "keys_file": "/nowhere/keys.txt"}),
        (nothing, {**REPLAY, "keys": ["nobody"]}),
        (nothing, {**REPLAY, "event_time_from": "2013-01-09T00:00Z"}),
        (nothing, {**REPLAY, "to_topic": "tests.happened.v1"}),
        (nothing, {"plan_file": "/nowhere/plan.json"}),
        (nothing, {**REPLAY, "stages": ("sourced", "transformed")}),
        (nothing, {"redrive": True, "stages": ("transformed",)}),
    ],
)
def test_a_refused_run_leaves_published_windows_as_they_were(
    published: World,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[pytest.MonkeyPatch], None],
    config: dict[str, Any],
) -> None:
    monkeypatch.setattr("pipelines.orchestration.windows.run._RETRIES", 0)
    if config.get("to_topic"):
        config = {**config, "to_topic": published.topic}
    with monkeypatch.context() as patched:
        fault(patched)
        assert not run(published, instance, **config).success
    for stage in config.get("stages", ALL):
        # Only the window that was never published is shown as failed now.
        assert shown(published, instance, stage) == ({FIRST, SECOND, THIRD}, {NEW}), stage
    assert {one.window for one in noted(published)} <= {NEW}
    assert len(published.seen()) == 24


def test_a_window_says_which_run_made_it_however_many_were_refused(
    published: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = newest(published, instance, SECOND)
    with monkeypatch.context() as patched:
        refused(patched)
        first = run(published, instance)
        again = run(published, instance)
    assert not again.success
    about = newest(published, instance, SECOND)
    since = about.metadata["unchanged_since_run"].value
    assert isinstance(since, str) and since not in (first.run_id, again.run_id)
    told = f"run {again.run_id[:8]} failed and did not change it: preflight: it does not hold"
    assert about.description == f"unchanged since run {since[:8]}: {told}"
    kept = {name: value for name, value in about.metadata.items() if not name.startswith("unchanged_")}
    assert (kept, about.tags) == (made.metadata, made.tags), "its figures and versions"

    assert run(published, instance).success
    assert shown(published, instance, "published") == (set(DAYS), set())
    assert len(published.seen()) == 32


def newest(
    world: World, instance: dg.DagsterInstance, window: str, stage: str = "published"
) -> dg.AssetMaterialization:
    wanted = dg.AssetRecordsFilter(asset_key=asset_key(world.event, stage), asset_partitions=[window])
    found = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
    assert found is not None
    return found


def fail_in(window: str, error: Exception) -> Any:
    """The publication of this window fails before its first record."""
    real = Publisher.publish

    def publish(self: Publisher, key: str) -> Any:
        if key == window:
            raise error
        return real(self, key)

    return publish


def test_a_run_that_stops_half_way_leaves_the_rest_as_it_was(
    published: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.orchestration.windows.run._RETRIES", 0)
    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish", fail_in(SECOND, TransientError("brokers", "are away")))
        failed = run(published, instance)
    assert not failed.success
    assert shown(published, instance, "published") == ({FIRST, THIRD}, {SECOND, NEW})
    assert shown(published, instance, "sourced") == ({FIRST, SECOND, THIRD}, {NEW})
    assert [one.window for one in noted(published)] == [SECOND]
    assert "unchanged_since_run" in newest(published, instance, THIRD, "published").metadata
    assert "unchanged_since_run" not in newest(published, instance, FIRST, "published").metadata


def test_a_window_that_failed_is_red_and_the_others_are_made(
    published: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish", fail_in(SECOND, SluiceError("here", "it went wrong")))
        assert not run(published, instance).success
    assert shown(published, instance, "published") == ({FIRST, THIRD, NEW}, {SECOND})

    # A red window stays red: a run that is refused knows nothing newer.
    with monkeypatch.context() as patched:
        refused(patched)
        assert not run(published, instance).success
    assert shown(published, instance, "published") == ({FIRST, THIRD, NEW}, {SECOND})
    assert run(published, instance).success
    assert shown(published, instance, "published") == (set(DAYS), set())


def test_a_replay_that_fails_at_a_window_leaves_it_published(
    published: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish", fail_in(SECOND, SluiceError("here", "it went wrong")))
        assert not run(published, instance, (FIRST, THIRD), **REPLAY).success
    assert shown(published, instance, "published") == ({FIRST, SECOND, THIRD}, set())
    assert noted(published) == []


def test_a_window_that_is_replayed_in_part_is_red(
    published: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("SLUICE_TRANSACTION_ROWS", "4")
        patched.setattr(Pacer, "sent", raising(TransientError("here", "it was stopped")))
        patched.setattr("pipelines.orchestration.windows.run._RETRIES", 0)
        assert not run(published, instance, (FIRST, THIRD), **REPLAY).success
    assert shown(published, instance, "published") == ({SECOND, THIRD}, {FIRST})
    with monkeypatch.context() as patched:
        refused(patched)
        assert not run(published, instance, (FIRST, THIRD), **REPLAY).success
    assert shown(published, instance, "published") == ({SECOND, THIRD}, {FIRST})


def test_a_replay_whose_records_are_not_there_is_red(
    published: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Reconciler.reconcile

    def altered(self: Reconciler, window: str, **more: Any) -> Any:
        found = real(self, window, **more)
        return found if window != SECOND else replace(found, missing=1, verdict="differs")

    with monkeypatch.context() as patched:
        patched.setattr(Reconciler, "reconcile", altered)
        assert not run(published, instance, (FIRST, THIRD), **REPLAY).success
    assert shown(published, instance, "published") == ({FIRST, THIRD}, {SECOND})


@pytest.mark.parametrize("config", [{}, REPLAY])
def test_windows_whose_topic_was_deleted_are_red(
    published: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
) -> None:
    with monkeypatch.context() as patched:
        refused(patched)
        patched.setattr(Publisher, "ledger", raising(TopicRemade("topic", "was deleted")))
        assert not run(published, instance, (FIRST, THIRD), **config).success
    assert shown(published, instance, "published") == (set(), {FIRST, SECOND, THIRD})
    assert {one.window for one in noted(published)} == {FIRST, SECOND, THIRD}


def test_a_cancelled_run_turns_nothing_red(
    published: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Pacer, "between", raising(Cancelled("anna", "nothing was done")))
        assert not run(published, instance).success
    assert shown(published, instance, "published") == ({FIRST, SECOND, THIRD}, set())


def test_a_replay_takes_what_is_selected_beside_it_as_it_is(
    published: World, instance: dg.DagsterInstance
) -> None:
    """A backfill counts windows that its runs did not materialize as failed."""
    told = run(
        published, instance, (FIRST, THIRD), replay="stored", reason="why", tags={"dagster/backfill": "b"}
    )
    assert told.success
    assert len(published.seen()) == 48
    for stage in ALL:
        made = {
            m.partition
            for m in told.asset_materializations_for_node(op_name(published.event))
            if m.asset_key == asset_key(published.event, stage)
        }
        assert made == {FIRST, SECOND, THIRD}, stage
        assert shown(published, instance, stage) == ({FIRST, SECOND, THIRD}, set())
    sourced = newest(published, instance, FIRST, "sourced")
    assert "reads no warehouse" in (sourced.description or "")
    # Outside a backfill only what was made is recorded.
    alone = run(published, instance, (FIRST, FIRST), replay="stored", reason="why")
    assert {
        stage_of(m.asset_key) for m in alone.asset_materializations_for_node(op_name(published.event))
    } == {"published"}


def test_a_fresh_replay_reads_the_warehouse_whatever_is_selected(
    published: World, instance: dg.DagsterInstance
) -> None:
    published.rows([*ROWS, ("late", 5, 1)])
    told = run(published, instance, (FIRST, FIRST), replay="fresh", reason="why", stages=("published",))
    assert told.success
    assert [record.key for record in published.seen()].count("late") == 1


def test_a_shadow_replay_of_a_backfill_leaves_the_event_as_it_is(
    published: World, instance: dg.DagsterInstance
) -> None:
    told = run(
        published, instance, (FIRST, THIRD), **REPLAY, to_topic=f"{published.topic}.shadow",
        tags={"dagster/backfill": "b"},
    )  # fmt: skip
    assert told.success
    made = list(told.asset_materializations_for_node(op_name(published.event)))
    assert {m.partition for m in made} == {FIRST, SECOND, THIRD}
    assert all(m.metadata["action"].value == "backfill" for m in made), "as it was published"


def test_what_cannot_be_recorded_again_does_not_hide_why_the_run_failed(
    published: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        refused(patched)
        patched.setattr(UnchangedWindows, "_keep", raising(OSError("the disk is full")))
        failed = run(published, instance)
    (failure,) = [event for event in failed.all_events if event.is_step_failure]
    data = failure.step_failure_data.user_failure_data
    assert data is not None and "it does not hold" in (data.description or "")
