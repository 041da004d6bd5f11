"""The same on Dagster's PostgreSQL storage, which several hosts share. Needs dagster-postgres, which is not
in the lock file."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipelines.orchestration.liveness.heartbeat import beating, beats_of, lock_folder
from pipelines.orchestration.liveness.lost_runs import LostRuns
from resources.process.lock import marks_in
from tests.fixtures_postgres import PostgresServer
from tests.pipelines.orchestration.lost_run_worlds import Clock, a_run, beat, plain_instance, status_of
from tests.pipelines.orchestration.test_lost_runs import POOL, look_for, until
from tests.resources.test_process_lock import holder

pytest.importorskip("dagster_postgres", reason="needs dagster-postgres, which is not in the lock")


@pytest.fixture
def instance(postgres: PostgresServer, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    url = postgres.new_database().replace("postgresql://", "postgresql+psycopg2://")
    with plain_instance(tmp_path / "home", f"storage: {{postgres: {{postgres_url: '{url}'}}}}\n") as made:
        yield made


def test_heartbeats_pools_and_the_end_of_lost_runs(instance: dg.DagsterInstance) -> None:
    storage, clock = instance.event_log_storage, Clock()
    storage.set_concurrency_slots(POOL, 1)
    lost, alive = a_run(instance), a_run(instance)
    assert storage.claim_concurrency_slot(POOL, lost.run_id, "step").is_claimed
    beat(instance, lost, 1)
    with beating(instance, alive.run_id, every_seconds=0.05):
        first = beats_of(instance, [alive.run_id])[alive.run_id]
        until(lambda: beats_of(instance, [alive.run_id])[alive.run_id].value != first.value)
        look_for(140, LostRuns(clock=clock, of_daemon=True), clock, instance)
    assert (status_of(instance, lost), status_of(instance, alive)) == ("FAILURE", "STARTED")
    assert storage.get_concurrency_info(POOL).active_slot_count == 0
    assert "sluice-heartbeat" not in {thread.name for thread in threading.enumerate()}


def test_the_lock_says_at_once_that_a_process_is_gone(instance: dg.DagsterInstance) -> None:
    run, folder = a_run(instance, terminal=True), lock_folder(instance)
    with holder(folder) as process:
        beat(instance, run, 1, **marks_in(folder)["run"].as_dict())
        assert LostRuns().end(instance) == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert LostRuns().end(instance) == [run.run_id]
