"""In Dagster: the check `reconciled` is shown beside what a run published,
and fails the window that does not agree."""

import os
from collections.abc import Iterator

import dagster as dg
import pytest

from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.definitions.resource import run_resources
from pipelines.orchestration.keys import key_of
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.request import PublishRequest, Replay
from pipelines.publishing.result import PublishResult
from pipelines.reconciling import reconciler, window
from pipelines.reconciling.expected import Records
from resources.errors import TransientError
from tests.pipelines.publishing.conftest import WINDOW, World
from tests.pipelines.reconciling.test_generations import rows

NEXT = "2013-01-02"
KEY = key_of("tests", "happened", "published")


@pytest.fixture
def here(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)
    world.rows([*rows(20), *((f"n{n}", 1440 + n, n) for n in range(5))])
    yield world


def run(world: World, instance: dg.DagsterInstance, *, raises: bool = False) -> dg.ExecuteInProcessResult:
    """Both windows in one run."""
    tags = {"dagster/asset_partition_range_start": WINDOW, "dagster/asset_partition_range_end": NEXT}
    return dg.materialize(
        [build_assets(world.event)],
        resources=run_resources(),
        instance=instance,
        tags=tags,
        raise_on_error=not raises,
    )


def evaluations(done: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        str(evaluation.partition): evaluation
        for evaluation in done.get_asset_check_evaluations()
        if evaluation.check_name == "reconciled"
    }


def published(done: dg.ExecuteInProcessResult) -> set[str | None]:
    return {event.partition for event in done.get_asset_materialization_events() if event.asset_key == KEY}


def test_each_published_window_is_reconciled_once(here: World) -> None:
    with dg.instance_for_test() as instance:
        found = evaluations(run(here, instance))
        assert set(found) == {WINDOW, NEXT}
        first = found[WINDOW]
        assert (first.passed, first.asset_key, first.severity) == (True, KEY, dg.AssetCheckSeverity.ERROR)
        metadata = {name: value.value for name, value in first.metadata.items()}
        assert (metadata["expected"], metadata["found"], metadata["missing"]) == (20, 20, 0)
        assert metadata["checksum_expected"] == metadata["checksum_found"]
        assert metadata["bytes_read"] > 0
        assert metadata["seconds"] >= 0

        # Nothing was published, so nothing is read back.
        again = run(here, instance)
        assert again.success
        assert evaluations(again) == {}


def test_what_the_ledger_says_is_read_back_not_what_this_run_wrote(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run has published the window again in between."""
    real = Publisher.publish

    def publish(self: Publisher, window: str) -> PublishResult:
        done = real(self, window)
        if window == NEXT:
            other = Replay(request="other")
            with Publisher(
                here.event,
                here.platform(),
                run_id="other",
                request=PublishRequest(replay=other, reason="again"),
            ) as publisher:
                assert real(publisher, window).generation == 2
        return done

    monkeypatch.setattr(Publisher, "publish", publish)
    with dg.instance_for_test() as instance:
        found = evaluations(run(here, instance))
        generations = {window: found[window].metadata["generation"].value for window in found}
        assert generations == {WINDOW: 1, NEXT: 2}


def test_switched_off_nothing_is_read_back(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_RECONCILE", "false")
    with dg.instance_for_test() as instance:
        done = run(here, instance)
        assert done.success
        assert evaluations(done) == {}


def test_a_window_that_does_not_agree_fails_by_name_and_the_other_stands(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = window.expected_records  # type: ignore[attr-defined]

    def one_more(event: object, platform: object, entry: object, contract: object) -> Iterator[Records]:
        for records in true(event, platform, entry, contract):  # type: ignore[arg-type]
            yield records
            if entry.window == WINDOW:  # type: ignore[attr-defined]
                yield Records(records.keys.slice(3, 1), records.values.slice(4, 1))

    monkeypatch.setattr(window, "expected_records", one_more)
    with dg.instance_for_test() as instance:
        done = run(here, instance, raises=True)
        assert not done.success
        found = evaluations(done)
        assert (found[WINDOW].passed, found[NEXT].passed) == (False, True)
        assert published(done) == {NEXT}, "a window that does not agree does not count as published"
        (failure,) = done.get_step_failure_events()
        told = failure.step_failure_data.error_display_string
        assert "1 window of tests/happened failed" in told
        assert "its topic does not hold what it should: of 21 records 1 missing: missing 'k" in told
        assert f"sluice verify tests/happened {WINDOW}" in told

        # The next run publishes nothing, but it must not turn the window green without reading the topic.
        again = run(here, instance, raises=True)
        assert not again.success
        assert published(again) == {NEXT}
        assert set(evaluations(again)) == {WINDOW}
        monkeypatch.setattr(window, "expected_records", true)
        mended = run(here, instance)
        assert mended.success
        assert evaluations(mended)[WINDOW].passed
        assert evaluations(run(here, instance)) == {}


def test_a_fault_while_reading_back_is_tried_again_and_not_forgotten(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.orchestration.windows.run._FIRST_WAIT_SECONDS", 0)
    true = reconciler.Reconciler.reconcile
    faults = [TransientError("topic", "not now")]

    def faulty(self: reconciler.Reconciler, window: str, **more: object) -> object:
        if faults:
            raise faults.pop()
        return true(self, window, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(reconciler.Reconciler, "reconcile", faulty)
    with dg.instance_for_test() as instance:
        done = run(here, instance)
        assert done.success
        assert not faults
        found = evaluations(done)
        assert {window: evaluation.passed for window, evaluation in found.items()} == {
            WINDOW: True,
            NEXT: True,
        }
