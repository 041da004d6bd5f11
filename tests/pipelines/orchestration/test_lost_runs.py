"""A run whose process has ended is found and ended, whoever launched it;
a run that is alive, or is not ours, is not touched."""

import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from pipelines.orchestration.control import OF_A_TERMINAL, give
from pipelines.orchestration.definitions.build import build_location
from pipelines.orchestration.keys import HEARTBEAT
from pipelines.orchestration.liveness import lost_runs
from pipelines.orchestration.liveness.heartbeat import beating, beats_of, heartbeat, lock_folder
from pipelines.orchestration.liveness.lost_runs import LostRuns
from pipelines.orchestration.liveness.terminal_process import TAG, has_no_process, process_tag
from resources.process.lock import marks_in
from tests.pipelines.orchestration.lost_run_worlds import (
    Clock,
    a_run,
    an_instance,
    another_projects_run,
    beat,
    status_of,
    statuses,
)
from tests.resources.test_process_lock import holder, namespaces

POOL = "topic_of_the_test"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with an_instance(tmp_path / "home") as made:
        yield made


def look_for(
    seconds: float, eyes: LostRuns, clock: Clock, instance: dg.DagsterInstance, every: float = 20
) -> None:
    end = clock.now + seconds
    eyes.end(instance)
    while clock.now < end:
        clock.now += min(every, end - clock.now)
        eyes.end(instance)


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "UI"])
def test_a_run_whose_heartbeat_stops_is_failed_and_its_slot_is_free(
    instance: dg.DagsterInstance, terminal: bool
) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots(POOL, 1)
    run, clock = a_run(instance, terminal=terminal), Clock()
    assert storage.claim_concurrency_slot(POOL, run.run_id, "step").is_claimed
    beat(instance, run, 7)
    eyes = LostRuns(clock=clock, of_daemon=True)
    look_for(119, eyes, clock, instance)
    assert status_of(instance, run) == "STARTED"
    assert storage.get_concurrency_info(POOL).active_slot_count == 1
    look_for(20, eyes, clock, instance)
    assert status_of(instance, run) == "FAILURE"
    assert storage.get_concurrency_info(POOL).active_slot_count == 0
    # The daemon launches a run of the UI again; it cannot launch a terminal's run.
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.tags["dagster/will_retry"] == ("false" if terminal else "true")


def test_a_terminal_frees_the_places_of_the_daemons_lost_runs_and_leaves_their_end_to_it(
    instance: dg.DagsterInstance,
) -> None:
    """Dagster gives up the retry of a run that is marked as failed while no code server runs."""
    storage, clock = instance.event_log_storage, Clock()
    storage.set_concurrency_slots(POOL, 1)
    run = a_run(instance)
    assert storage.claim_concurrency_slot(POOL, run.run_id, "step").is_claimed
    beat(instance, run, 1)
    look_for(140, LostRuns(clock=clock), clock, instance)
    assert status_of(instance, run) == "STARTED"
    assert storage.get_concurrency_info(POOL).active_slot_count == 0


def test_who_looks_after_another_process_goes_on_from_what_that_saw(instance: dg.DagsterInstance) -> None:
    """The sensor runs in the daemon's code servers, which the daemon starts again every minute."""
    run, clock = a_run(instance), Clock()
    beat(instance, run, 1)
    memory: str | None = None
    while status_of(instance, run) == "STARTED":
        assert clock.now <= 140
        eyes = LostRuns(clock=clock, of_daemon=True)
        eyes.recall(memory)
        eyes.end(instance)
        memory = eyes.memory()
        clock.now += 20
    assert clock.now > 120
    instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": "another"})
    eyes.end(instance)
    assert eyes.memory() == "", "what has ended and is launched again is forgotten"


def test_the_clock_of_another_start_of_the_machine_is_no_clock(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, clock = a_run(instance), Clock()
    beat(instance, run, 1)
    before = LostRuns(clock=clock, of_daemon=True)
    look_for(110, before, clock, instance)
    monkeypatch.setattr(lost_runs, "boot_id", lambda: "another")
    after = LostRuns(clock=clock, of_daemon=True)
    clock.now += 1_000
    after.recall(before.memory().replace("another", "this"))
    assert after.end(instance) == []
    clock.now += 20
    assert after.end(instance) == [run.run_id]


@pytest.mark.parametrize("told", ["", "{", "[]", '{"seen": {"run": 1}}', "null"])
def test_a_memory_that_cannot_be_read_is_none(told: str) -> None:
    eyes = LostRuns()
    eyes.recall(told)
    assert eyes.memory() == ""


def test_a_run_whose_heartbeat_goes_on_is_left_alone(instance: dg.DagsterInstance) -> None:
    run, clock = a_run(instance), Clock()
    eyes = LostRuns(clock=clock, of_daemon=True)
    for count in range(20):
        beat(instance, run, count)
        # As slow as a run whose interpreter is blocked for a hundred seconds by one call.
        look_for(100, eyes, clock, instance)
    assert status_of(instance, run) == "STARTED"


def test_time_in_which_nobody_could_look_does_not_count(instance: dg.DagsterInstance) -> None:
    """After a fault of the storage, during which the run could not write either,
    the run gets time to send a heartbeat."""
    run, clock = a_run(instance), Clock()
    beat(instance, run, 1)
    eyes = LostRuns(clock=clock, of_daemon=True)
    eyes.end(instance)
    clock.now = 86_400
    assert eyes.end(instance) == []
    beat(instance, run, 2)
    look_for(100, eyes, clock, instance)
    assert status_of(instance, run) == "STARTED"


def test_who_looks_for_the_first_time_calls_no_heartbeat_old(instance: dg.DagsterInstance) -> None:
    run = a_run(instance)
    beat(instance, run, 1)
    assert LostRuns().end(instance) == []
    assert status_of(instance, run) == "STARTED"


def test_the_lock_says_at_once_that_a_process_is_gone(instance: dg.DagsterInstance) -> None:
    run, folder = a_run(instance, terminal=True), lock_folder(instance)
    with holder(folder) as process:
        mark = marks_in(folder)["run"]
        beat(instance, run, 1, **mark.as_dict())
        assert LostRuns().end(instance) == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert LostRuns().end(instance) == [run.run_id]
    assert status_of(instance, run) == "FAILURE"
    assert not marks_in(folder)
    assert LostRuns().end(instance) == [], "it is reported once"


def test_a_process_that_holds_its_lock_lives_however_old_its_heartbeat_is(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run, clock = a_run(instance), Clock()
    with holder(tmp_path) as process:
        beat(instance, run, 1, **marks_in(tmp_path)["run"].as_dict())
        process.send_signal(signal.SIGSTOP)
        look_for(1_000, LostRuns(clock=clock, of_daemon=True), clock, instance)
        assert status_of(instance, run) == "STARTED"


def test_the_lock_of_another_machine_says_nothing(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run, clock = a_run(instance), Clock()
    with holder(tmp_path) as process:
        mark = marks_in(tmp_path)["run"].as_dict()
        process.kill()
        process.wait()
    eyes = LostRuns(clock=clock, of_daemon=True)
    beat(instance, run, 1, **{**mark, "boot": "another"})
    look_for(60, eyes, clock, instance)
    assert status_of(instance, run) == "STARTED"
    look_for(80, eyes, clock, instance)
    assert status_of(instance, run) == "FAILURE"


def test_a_run_that_was_to_be_cancelled_is_cancelled_not_failed(instance: dg.DagsterInstance) -> None:
    """A failed run would be launched again."""
    ordered, canceling, clock = a_run(instance), a_run(instance), Clock()
    give(instance, ordered, "cancel", "somebody")
    instance.report_run_canceling(canceling)
    for run in (ordered, canceling):
        beat(instance, run, 1)
    look_for(140, LostRuns(clock=clock, of_daemon=True), clock, instance)
    assert statuses(instance, [ordered, canceling]) == ["CANCELED", "CANCELED"]


def test_a_run_that_began_and_never_sent_a_heartbeat(instance: dg.DagsterInstance) -> None:
    run, clock = a_run(instance), Clock()
    eyes = LostRuns(clock=clock, of_daemon=True)
    look_for(110, eyes, clock, instance)
    assert status_of(instance, run) == "STARTED"
    look_for(20, eyes, clock, instance)
    assert status_of(instance, run) == "FAILURE"


def test_runs_of_other_projects_and_of_versions_before_are_nobodys_business(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    others, clock = another_projects_run(instance), Clock()
    before = a_run(instance, terminal=True)
    with monkeypatch.context() as patch:
        # As the snapshots of their jobs have no such resource.
        patch.setattr(lost_runs, "sends_heartbeats", lambda _instance, run: run.run_id != before.run_id)
        look_for(1_000, LostRuns(clock=clock, of_daemon=True), clock, instance)
    assert statuses(instance, [others, before]) == ["STARTED", "STARTED"]
    assert not lost_runs.sends_heartbeats(instance, others)  # type: ignore[attr-defined]
    assert lost_runs.sends_heartbeats(instance, before)  # type: ignore[attr-defined]


def test_a_killed_terminal_of_a_version_without_heartbeats_is_found_by_its_tag(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, own = instance.event_log_storage, process_tag()[TAG]
    storage.set_concurrency_slots(POOL, 1)
    host, pid, mark = own.split()
    gone = f"{host} {pid} {mark}0"  # the pid now belongs to another process
    killed, lives, elsewhere = (
        a_run(instance, terminal=True, tags={TAG: tag}) for tag in (gone, own, f"another-host {pid} {mark}0")
    )
    ui = a_run(instance, tags={TAG: gone})
    assert storage.claim_concurrency_slot(POOL, killed.run_id, "step").is_claimed
    monkeypatch.setattr(lost_runs, "sends_heartbeats", lambda *_: False)
    assert LostRuns(clock=Clock()).end(instance) == [killed.run_id]
    assert statuses(instance, [killed, lives, elsewhere, ui]) == ["FAILURE", "STARTED", "STARTED", "STARTED"]
    assert storage.get_concurrency_info(POOL).active_slot_count == 0


def test_of_a_run_that_has_a_heartbeat_the_tag_says_nothing(instance: dg.DagsterInstance) -> None:
    """Its process may be in another container with the same host name."""
    run = a_run(instance, terminal=True, tags={TAG: f"{process_tag()[TAG]}0"})
    assert LostRuns(clock=Clock()).end(instance) == []
    beat(instance, run, 1)
    assert LostRuns(clock=Clock()).end(instance) == []


def test_the_process_of_another_start_of_the_machine_is_gone(instance: dg.DagsterInstance) -> None:
    host, pid, mark = process_tag()[TAG].split()
    run = a_run(instance, terminal=True, tags={TAG: f"{host} {pid} another-boot/{mark.partition('/')[2]}"})
    assert has_no_process(run)
    for odd in ("", host, f"{host} x {mark}", f"{host} {pid}"):
        assert not has_no_process(a_run(instance, terminal=True, tags={TAG: odd}))


def test_a_run_that_is_being_cancelled_and_never_sent_a_heartbeat(instance: dg.DagsterInstance) -> None:
    run, clock = a_run(instance), Clock()
    instance.report_run_canceling(run)
    eyes = LostRuns(clock=clock, of_daemon=True)
    look_for(110, eyes, clock, instance)
    assert status_of(instance, run) == "CANCELING"
    look_for(20, eyes, clock, instance)
    assert status_of(instance, run) == "CANCELED"


def test_places_of_other_projects_runs_that_have_ended_are_theirs(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots(POOL, 2)
    others, ours = another_projects_run(instance), a_run(instance)
    for run in (others, ours):
        assert storage.claim_concurrency_slot(POOL, run.run_id, "step").is_claimed
        instance.report_run_canceled(run)
    LostRuns().end(instance)
    assert storage.get_concurrency_info(POOL).active_run_ids == {others.run_id}


def test_places_of_an_ended_terminal_are_freed_though_its_assets_have_other_keys(
    instance: dg.DagsterInstance,
) -> None:
    """An earlier version used other names for its assets,
    so its runs do not name an event of this version."""
    storage, before = instance.event_log_storage, another_projects_run(instance)
    instance.add_run_tags(before.run_id, OF_A_TERMINAL)
    storage.set_concurrency_slots(POOL, 1)
    assert storage.claim_concurrency_slot(POOL, before.run_id, "step").is_claimed
    instance.report_run_failed(before)
    LostRuns().end(instance)
    assert storage.get_concurrency_info(POOL).active_slot_count == 0


def test_a_failure_that_the_daemon_has_missed_is_told_once_more(instance: dg.DagsterInstance) -> None:
    """The daemon reads the event, then the run;
    if the run's status is written after that, it never launches the run again."""

    def failures(run: dg.DagsterRun) -> int:
        return len(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE))

    missed, retried, terminal = a_run(instance), a_run(instance), a_run(instance, terminal=True)
    others = another_projects_run(instance)
    for run in (missed, retried, terminal, others):
        instance.report_run_failed(run)
    instance.add_run_tags(retried.run_id, {"dagster/auto_retry_run_id": "another"})
    clock = Clock()
    look_for(100, LostRuns(clock=clock), clock, instance)
    assert failures(missed) == 1, "without the daemon nobody would hear it"
    eyes = LostRuns(clock=clock, of_daemon=True)
    look_for(20, eyes, clock, instance)
    assert failures(missed) == 1
    look_for(200, eyes, clock, instance)
    assert [failures(run) for run in (missed, retried, terminal, others)] == [2, 1, 1, 1]
    found = instance.get_run_by_id(missed.run_id)
    assert found is not None
    assert found.tags["dagster/will_retry"] == "true"


def test_a_run_that_cannot_be_judged_holds_back_no_other(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its job was stored by a later version of Dagster."""
    lost, unreadable, clock = a_run(instance), a_run(instance), Clock()
    beat(instance, lost, 1)
    read = lost_runs.sends_heartbeats  # type: ignore[attr-defined]

    def failing(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
        if run.run_id == unreadable.run_id:
            raise ValueError("a class of a later version")
        return read(instance, run)

    monkeypatch.setattr(lost_runs, "sends_heartbeats", failing)
    look_for(200, LostRuns(clock=clock, of_daemon=True), clock, instance)
    assert statuses(instance, [lost, unreadable]) == ["FAILURE", "STARTED"]
    assert caplog.text.count("a class of a later version") == 1


def test_a_clock_that_is_behind_the_one_before_takes_nothing_back(instance: dg.DagsterInstance) -> None:
    """In another time namespace, the same boot has another monotonic clock."""
    run, there, here = a_run(instance), Clock(), Clock()
    there.now = 1_000_000
    beat(instance, run, 1)
    before = LostRuns(clock=there, of_daemon=True)
    look_for(60, before, there, instance)
    after = LostRuns(clock=here, of_daemon=True)
    after.recall(before.memory())
    look_for(60, after, here, instance)
    assert status_of(instance, run) == "FAILURE"


@pytest.mark.parametrize("left", [True, False, None])
@pytest.mark.parametrize("of_daemon", [True, False])
def test_a_run_whose_code_server_died_before_it_began(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, left: bool | None, of_daemon: bool
) -> None:
    """`left` None: the server does not answer, and may be on another host."""
    run, clock = a_run(instance, status=DagsterRunStatus.STARTING), Clock()
    monkeypatch.setattr(lost_runs, "left_by_its_server", lambda _: left)
    eyes = LostRuns(clock=clock, of_daemon=of_daemon)
    look_for(100, eyes, clock, instance)
    assert status_of(instance, run) == ("FAILURE" if left and of_daemon else "STARTING")
    look_for(60, eyes, clock, instance)
    assert status_of(instance, run) == ("STARTING" if left is False or not of_daemon else "FAILURE")


def test_a_lock_file_of_a_run_that_somebody_else_ended_is_removed(instance: dg.DagsterInstance) -> None:
    folder = lock_folder(instance)
    with holder(folder) as process:
        LostRuns().end(instance)
        assert marks_in(folder), "its holder lives"
        process.kill()
        process.wait()
    LostRuns().end(instance)
    assert not marks_in(folder)


def test_heartbeats_come_and_end_with_the_block(instance: dg.DagsterInstance) -> None:
    run = a_run(instance)
    with beating(instance, run.run_id, every_seconds=0.02):
        first = beats_of(instance, [run.run_id])[run.run_id]
        assert first.lock is not None
        assert first.lock.holder_lives() is True
        until(lambda: beats_of(instance, [run.run_id])[run.run_id].value != first.value)
        with beating(instance, run.run_id):
            pass  # the resource of a run that already has its heartbeat
        assert first.lock.holder_lives() is True
    last = beats_of(instance, [run.run_id])[run.run_id]
    assert last.lock is None
    assert not marks_in(lock_folder(instance))
    assert "sluice-heartbeat" not in {thread.name for thread in threading.enumerate()}


def test_a_storage_that_fails_for_a_while_ends_no_heartbeat(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, storage = a_run(instance), type(instance.daemon_cursor_storage)
    real, down = storage.set_cursor_values, threading.Event()

    def failing(self, pairs):
        if down.is_set():
            raise ConnectionError("the storage is away")
        real(self, pairs)

    monkeypatch.setattr(storage, "set_cursor_values", failing)
    down.set()
    with beating(instance, run.run_id, every_seconds=0.02):
        until(lambda: "the storage is away" in caplog.text)
        time.sleep(0.1)
        assert caplog.text.count("could not be written") == 1
        assert not beats_of(instance, [run.run_id])
        down.clear()
        until(lambda: bool(beats_of(instance, [run.run_id])))
        until(lambda: "is written again" in caplog.text)


def test_a_run_that_waits_for_its_place_in_a_pool_has_a_heartbeat(instance: dg.DagsterInstance) -> None:
    """Dagster starts resources before the steps claim their slots;
    a launch from the UI cannot start in another way."""
    storage = instance.event_log_storage
    storage.set_concurrency_slots(POOL, 1)
    other = a_run(instance)
    assert storage.claim_concurrency_slot(POOL, other.run_id, "step").is_claimed

    @dg.asset(pool=POOL, required_resource_keys={HEARTBEAT})
    def held(context: dg.AssetExecutionContext) -> None:
        assert beats_of(context.instance, [context.run.run_id])[context.run.run_id].lock

    def free_once_it_beats() -> None:
        until(lambda: bool(storage.get_concurrency_info(POOL).pending_run_ids))
        (waiting,) = storage.get_concurrency_info(POOL).pending_run_ids
        seen.append(waiting in beats_of(instance, [waiting]))
        storage.free_concurrency_slots_for_run(other.run_id)

    seen: list[bool] = []
    frees = threading.Thread(target=free_once_it_beats)
    frees.start()
    done = dg.materialize([held], instance=instance, resources={HEARTBEAT: heartbeat})
    frees.join()
    assert done.success
    assert seen == [True]


def test_every_code_location_has_the_sensor_and_its_tick_ends_lost_runs(instance: dg.DagsterInstance) -> None:
    from pipelines import load_catalogue

    (sensor,) = build_location(load_catalogue(), {}).get_repository_def().sensor_defs
    assert (sensor.name, sensor.default_status) == ("lost_runs", dg.DefaultSensorStatus.RUNNING)
    assert sensor.minimum_interval_seconds is not None
    assert sensor.minimum_interval_seconds <= 30
    run = a_run(instance)
    with holder(lock_folder(instance)) as process:
        beat(instance, run, 1, **marks_in(lock_folder(instance))["run"].as_dict())
        process.kill()
        process.wait()
        context = dg.build_sensor_context(instance)
        told = sensor(context)
    assert isinstance(told, dg.SkipReason)
    assert run.run_id in (told.skip_message or "")
    assert status_of(instance, run) == "FAILURE"


def test_the_sensor_keeps_what_it_saw_from_tick_to_tick(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, clock, cursor = a_run(instance), Clock(), None
    beat(instance, run, 1)
    monkeypatch.setattr(lost_runs, "LostRuns", partial(LostRuns, clock=clock))
    while status_of(instance, run) == "STARTED":
        assert clock.now <= 140
        context = dg.build_sensor_context(instance, cursor=cursor)
        lost_runs.build_sensor()(context)  # in a separate code server
        cursor = context.cursor
        clock.now += 20
    assert clock.now > 120


def test_a_live_run_in_another_pid_namespace_with_this_host_name_is_left_alone(
    instance: dg.DagsterInstance,
) -> None:
    run, folder, within = a_run(instance, terminal=True), lock_folder(instance), namespaces()
    with holder(folder, within=within) as process:
        mark = marks_in(folder)["run"]
        beat(instance, run, 1, **mark.as_dict())
        assert LostRuns().end(instance) == []
        process.kill()  # the pid of unshare, its parent; the process itself is the namespace's init
    until(lambda: mark.holder_lives() is False)
    assert LostRuns().end(instance) == [run.run_id]


def until(holds: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)
