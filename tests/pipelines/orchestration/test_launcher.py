"""Dagster's own run monitoring, with launchers that give every answer:
a working run of a terminal is never failed."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.launcher import DefaultRunLauncher, RunLauncher
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from pipelines import load_catalogue
from pipelines.orchestration.control import RunControl, asked_of
from pipelines.orchestration.launch import launch
from pipelines.orchestration.liveness import launcher as launcher_module
from pipelines.orchestration.liveness.launcher import MODULE_IN_DAGSTER_YAML, SluiceRunLauncher
from pipelines.orchestration.liveness.run_monitoring import monitoring_problem, require_left_alone
from resources.errors import SluiceError
from resources.process.lock import marks_in
from tests.hearing import into
from tests.pipelines.orchestration.fake_launchers import AnsweringLauncher
from tests.pipelines.orchestration.lost_run_worlds import (
    WINDOW,
    Clock,
    a_run,
    an_instance,
    another_projects_run,
    beat,
    status_of,
)
from tests.resources.test_process_lock import holder

ANSWERS = ["RUNNING", "NOT_FOUND", "FAILED", "SUCCESS", "UNKNOWN", "raises"]
_OURS = {"module": SluiceRunLauncher.__module__, "class": SluiceRunLauncher.__name__}
_FAKES = AnsweringLauncher.__module__


@contextmanager
def monitored(
    folder: Path,
    *,
    name: str = "AnsweringLauncher",
    config: dict[str, Any] | None = None,
    wrapped: bool = True,
    **monitoring: Any,
) -> Iterator[dg.DagsterInstance]:
    launcher: dict[str, Any] = {"module": _FAKES, "class": name, "config": config or {}}
    if wrapped:
        launcher = {**_OURS, "config": {"launcher": launcher}}
    more = {"run_launcher": launcher, "run_monitoring": {"enabled": True, **monitoring}}
    with an_instance(folder, "".join(f"{key}: {json.dumps(value)}\n" for key, value in more.items())) as made:
        yield made


def monitor(instance: dg.DagsterInstance, clock: Clock | None = None, seconds: float = 20) -> None:
    """One round of Dagster's daemon, `seconds` after the round before."""
    if clock:
        clock.now += seconds
        cast(Any, instance.run_launcher).sluice_lost_runs._clock = clock
    process = SimpleNamespace(instance=instance, create_request_context=lambda: SimpleNamespace())
    list(execute_run_monitoring_iteration(cast(Any, process), logging.getLogger("test")))


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_working_run_of_a_terminal_is_left_alone(tmp_path: Path, answer: str) -> None:
    with monitored(tmp_path / "home", config={"answer": answer}) as instance:
        run, clock = a_run(instance, terminal=True), Clock()
        for count in range(4):
            beat(instance, run, count)
            monitor(instance, clock)
            monitor(instance, clock, 60)
        assert status_of(instance, run) == "STARTED"
        launcher = cast(AnsweringLauncher, instance.run_launcher)
        assert launcher.asked == [], "nobody but the run's process knows of it"


@pytest.mark.parametrize("answer", ["NOT_FOUND", "FAILED", "UNKNOWN"])
def test_without_the_launcher_of_sluice_it_is_refused_before_it_begins(tmp_path: Path, answer: str) -> None:
    """Because Dagster would fail the run."""
    with monitored(tmp_path / "home", config={"answer": answer}, wrapped=False) as instance:
        run = a_run(instance, terminal=True)
        monitor(instance)
        assert status_of(instance, run) == "FAILURE"
        with pytest.raises(SluiceError) as refused:
            require_left_alone(instance)
        catalogue = load_catalogue()
        event = catalogue.find("flight_departed")
        with pytest.raises(SluiceError, match="AnsweringLauncher"):
            launch(event, event.windows.parse(WINDOW), instance, catalogue=catalogue, tell=into([]))
        assert [one.run_id for one in instance.get_runs()] == [run.run_id], "no run was made"
    assert "AnsweringLauncher" in str(refused.value)
    assert f"module: {MODULE_IN_DAGSTER_YAML}\n" in str(refused.value)


def test_the_advice_is_what_must_be_written_and_shows_no_secret(tmp_path: Path) -> None:
    config = {"answer": "UNKNOWN", "password": "hunter2"}
    with monitored(tmp_path / "one", config=config, wrapped=False) as instance:
        problem = monitoring_problem(instance)
        assert problem is not None
        assert "hunter2" not in str(problem)
        advice = problem.next_step
    assert advice is not None
    lines = advice.partition("run_launcher:")[2]
    written = f"run_launcher:{lines}".replace(
        "# here the lines that stand below `config:` now", "answer: UNKNOWN\n        password: hunter2"
    )
    with an_instance(tmp_path / "other", f"{written}\nrun_monitoring: {{enabled: true}}\n") as instance:
        assert monitoring_problem(instance) is None
        launcher = instance.run_launcher
        assert isinstance(launcher, AnsweringLauncher)
        assert (launcher.answer, launcher.password) == ("UNKNOWN", "hunter2")


def test_nothing_is_refused_where_nobody_asks_about_runs(tmp_path: Path) -> None:
    with monitored(tmp_path / "off", config={"answer": "FAILED"}, wrapped=False, enabled=False) as instance:
        require_left_alone(instance)
    with monitored(tmp_path / "default", name="QuietLauncher", wrapped=False) as instance:
        require_left_alone(instance)
    with an_instance(tmp_path / "plain", "run_monitoring: {enabled: true}\n") as instance:
        require_left_alone(instance)
    require_left_alone(dg.DagsterInstance.ephemeral())


def test_a_launcher_that_cannot_be_made_on_this_machine(tmp_path: Path) -> None:
    """A launcher of containers may only work inside its cluster."""
    config = {"answer": "FAILED"}
    with monitored(tmp_path / "alone", name="ClusterLauncher", config=config, wrapped=False) as instance:
        assert monitoring_problem(instance) is not None
    with monitored(tmp_path / "wrapped", name="ClusterLauncher", config=config) as instance:
        assert monitoring_problem(instance) is None


@pytest.mark.parametrize("resumes", [0, 3])
def test_a_lost_run_of_a_terminal_is_failed_within_three_minutes_and_never_resumed(
    tmp_path: Path, resumes: int
) -> None:
    config = {"answer": "RUNNING", "resumes": bool(resumes)}
    with monitored(tmp_path / "home", config=config, max_resume_run_attempts=resumes) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("topic", 1)
        run, clock = a_run(instance, terminal=True), Clock()
        assert storage.claim_concurrency_slot("topic", run.run_id, "step").is_claimed
        beat(instance, run, 1)
        while status_of(instance, run) == "STARTED":
            assert clock.now < 160
            monitor(instance, clock)
        assert clock.now > 120
        assert status_of(instance, run) == "FAILURE"
        assert storage.get_concurrency_info("topic").active_slot_count == 0
        assert cast(AnsweringLauncher, instance.run_launcher).resumed == []


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [("RUNNING", 160), ("UNKNOWN", 160), ("NOT_FOUND", 160), ("FAILED", 80), ("raises", 160)],
)
def test_a_lost_run_of_the_launcher(tmp_path: Path, answer: str, seconds: float) -> None:
    """For example a Celery that answers RUNNING forever for a run on a dead host; or a cluster that answers
    before the time limit for heartbeats."""
    with monitored(tmp_path / "home", config={"answer": answer}) as instance:
        run, clock = a_run(instance), Clock()
        beat(instance, run, 1)
        while status_of(instance, run) == "STARTED":
            assert clock.now < seconds
            monitor(instance, clock)
        assert status_of(instance, run) == "FAILURE"
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.tags["dagster/will_retry"] == "true"


def test_a_run_that_is_resumed_gets_one_new_worker_with_time_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"answer": "RUNNING", "resumes": True}
    with monitored(tmp_path / "home", config=config, max_resume_run_attempts=3) as instance:
        run, clock = a_run(instance), Clock()
        monkeypatch.setattr(launcher_module.time, "monotonic", clock)  # type: ignore[attr-defined]
        launcher = cast(AnsweringLauncher, instance.run_launcher)
        beat(instance, run, 1)
        while not launcher.resumed:
            assert clock.now < 160
            monitor(instance, clock)
        until = clock.now + 100
        while clock.now < until:
            monitor(instance, clock)
        assert len(launcher.resumed) == 1
        beat(instance, run, 2)
        monitor(instance, clock)
        # The new worker dies too.
        while len(launcher.resumed) < 2:
            assert clock.now < until + 180
            monitor(instance, clock)
        assert status_of(instance, run) == "STARTED"


def test_a_run_whose_process_is_known_to_be_gone_is_left_to_the_sensor_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason: where the sensor ends the run, there is a code server for the retry; a dead one is started
    again in the meantime."""
    revived: list[str] = []
    monkeypatch.setattr(launcher_module, "revive_server", lambda run: revived.append(run.run_id))
    with an_instance(
        tmp_path / "home", f"run_launcher: {json.dumps(_OURS)}\nrun_monitoring: {{enabled: true}}\n"
    ) as instance:
        run, clock = a_run(instance), Clock()
        monkeypatch.setattr(launcher_module.time, "monotonic", clock)  # type: ignore[attr-defined]
        with holder(tmp_path) as process:
            beat(instance, run, 1, **marks_in(tmp_path)["run"].as_dict())
            process.kill()
            process.wait()
            while clock.now < 100:
                monitor(instance, clock)
                assert status_of(instance, run) == ("STARTED" if clock.now < 120 else "FAILURE")
            monitor(instance, clock)
        assert status_of(instance, run) == "FAILURE"
        assert set(revived) == {run.run_id}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_run_of_the_launcher_that_sends_heartbeats_is_left_alone(tmp_path: Path, answer: str) -> None:
    with monitored(tmp_path / "home", config={"answer": answer}) as instance:
        run, clock = a_run(instance), Clock()
        for count in range(5):
            beat(instance, run, count)
            monitor(instance, clock)
        assert status_of(instance, run) == "STARTED"


@pytest.mark.parametrize("answer", ANSWERS)
def test_runs_without_a_heartbeat_are_the_launchers_alone(tmp_path: Path, answer: str) -> None:
    """Runs of other projects, and one of ours that has not sent a heartbeat yet."""
    with monitored(tmp_path / "home", config={"answer": answer}) as instance:
        runs = [another_projects_run(instance), a_run(instance)]
        monitor(instance)
        told = "FAILURE" if answer in ("NOT_FOUND", "FAILED", "UNKNOWN") else "STARTED"
        assert [status_of(instance, run) for run in runs] == [told, told]


def test_with_dagsters_own_launcher_other_projects_runs_are_never_judged(tmp_path: Path) -> None:
    with an_instance(
        tmp_path / "home", f"run_launcher: {json.dumps(_OURS)}\nrun_monitoring: {{enabled: true}}\n"
    ) as instance:
        others, ours, clock = another_projects_run(instance), a_run(instance), Clock()
        assert isinstance(instance.run_launcher, DefaultRunLauncher)
        for _ in range(30):
            monitor(instance, clock)
        assert status_of(instance, others) == "STARTED"
        assert status_of(instance, ours) == "FAILURE"


def test_everything_else_is_the_launchers_own(tmp_path: Path) -> None:
    with monitored(tmp_path / "home", config={"answer": "RUNNING", "resumes": True}) as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, AnsweringLauncher)
        assert type(launcher).__name__ == "AnsweringLauncher"
        run = a_run(instance)
        launcher.launch_run(cast(Any, SimpleNamespace(dagster_run=run)))
        launcher.resume_run(cast(Any, SimpleNamespace(dagster_run=run)))
        assert launcher.terminate(run.run_id)
        assert (launcher.launched, launcher.resumed, launcher.terminated) == ([run.run_id],) * 3
        assert launcher.supports_resume_run
        assert launcher.get_run_worker_debug_info(run) == f"debug info of {run.run_id}, True"
        assert launcher.has_instance
    assert launcher.ended == 1
    overridden = {name for name in vars(type(launcher).__mro__[1]) if not name.startswith("_")}
    assert overridden == {
        "supports_check_run_worker_health",
        "check_run_worker_health",
        "resume_run",
        "terminate",
    }
    assert overridden <= set(dir(RunLauncher))


def test_the_uis_terminate_ends_a_run_of_a_terminal_in_order(tmp_path: Path) -> None:
    with monitored(tmp_path / "home", config={"answer": "UNKNOWN"}) as instance:
        run = a_run(instance, terminal=True)
        control = RunControl(instance, run.run_id)
        assert control.cancelled_by() is None
        assert instance.run_launcher.terminate(run.run_id)
        assert cast(AnsweringLauncher, instance.run_launcher).terminated == []
        assert RunControl(instance, run.run_id).cancelled_by() == "Dagster's UI"
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status == DagsterRunStatus.CANCELING
        assert asked_of(found) == ("cancel", "Dagster's UI")
        instance.report_run_canceled(found)
        assert not instance.run_launcher.terminate(run.run_id)
