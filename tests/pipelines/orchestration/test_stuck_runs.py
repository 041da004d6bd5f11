"""What an operator without a daemon sees of a UI run whose process has ended,
and what an order to it does."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus

from pipelines.cli.actions import doctor as examining
from pipelines.cli.runs import control as controlling
from pipelines.orchestration.control import Order, asked_of
from pipelines.orchestration.liveness import stuck_runs
from pipelines.orchestration.liveness.stuck_runs import sensor_is_off
from resources.process.lock import marks_in
from resources.settings import load_settings
from tests.pipelines.orchestration.lost_run_worlds import (
    a_run,
    an_instance,
    another_projects_run,
    beat,
    status_of,
)
from tests.resources.test_process_lock import holder


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    with an_instance(tmp_path / "home") as made:
        monkeypatch.setattr(controlling, "dagster_instance", lambda _: made)
        settings = load_settings({"SLUICE_HOME": str(tmp_path)})
        monkeypatch.setattr(controlling, "load_settings", lambda: settings)
        yield made


def a_dead_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    run = a_run(instance)
    locks = Path(instance.root_directory) / "locks"
    with holder(locks) as process:
        beat(instance, run, 1, **marks_in(locks)["run"].as_dict())
        process.kill()
        process.wait()
    return run


@pytest.mark.parametrize(
    ("order", "said", "status"),
    [
        ("cancel", "cancelled. Its process ended without a word", "CANCELED"),
        ("pause", "the run that is launched in its place will be paused. Its process ended", "STARTED"),
    ],
)
def test_an_order_to_a_run_whose_process_is_gone(
    instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str], order: Order, said: str, status: str
) -> None:
    """Nobody else ends it if no daemon runs, and it occupies the slot of its topic."""
    run = a_dead_run(instance)
    instance.event_log_storage.set_concurrency_slots("topic", 1)
    assert instance.event_log_storage.claim_concurrency_slot("topic", run.run_id, "step").is_claimed
    controlling.order_runs(run.run_id[:8], order)
    assert said in capsys.readouterr().out
    assert status_of(instance, run) == status
    assert instance.event_log_storage.get_concurrency_info("topic").active_slot_count == 0
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert asked_of(found)[0] == order
    assert "dagster/will_retry" not in found.tags


def test_runs_that_wait_for_their_end_are_named_and_those_that_live_are_not(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, before, lives = a_dead_run(instance), a_run(instance), a_run(instance)
    beat(instance, lives, 1)
    another_projects_run(instance)
    a_run(instance, status=DagsterRunStatus.STARTING)
    monkeypatch.setattr(stuck_runs, "sends_heartbeats", lambda _instance, run: run.run_id != before.run_id)
    told = {text.split()[1]: (text, advice) for text, advice in stuck_runs.stuck_runs(instance)}
    assert set(told) == {dead.run_id[:8], before.run_id[:8]}
    assert "its process is gone" in told[dead.run_id[:8]][0]
    assert f"sluice cancel {dead.run_id[:8]}" in told[dead.run_id[:8]][1]
    assert "a version of Sluice without heartbeats" in told[before.run_id[:8]][0]


def test_doctor_tells_of_the_sensor_that_is_off_and_of_stuck_runs(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.orchestration import launch

    a_dead_run(instance)
    assert not sensor_is_off(instance)
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="sluice")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), "lost_runs")
    instance.add_instigator_state(
        InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.STOPPED, None)
    )
    assert sensor_is_off(instance)
    monkeypatch.setattr(launch, "dagster_instance", lambda _: Open(instance))
    told = [finding.told for finding in examining._dagster(Platform())]  # type: ignore[arg-type]
    assert any("the sensor lost_runs is off" in text for text in told)
    assert any("its process is gone" in text for text in told)


class Platform:
    settings = None


class Open:
    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def __enter__(self) -> dg.DagsterInstance:
        return self._instance

    def __exit__(self, *_: object) -> None: ...
