"""A run that is recorded as ended while it still works stops, and records no other end."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from pipelines.orchestration.control import RunControl, asked_of
from pipelines.orchestration.liveness.lost_runs import end_run
from pipelines.orchestration.windows import run as run_module
from pipelines.publishing.publisher import Publisher
from tests.pipelines.orchestration.test_dead_letters import here, instance, run, told
from tests.pipelines.publishing.conftest import World, embedded_world
from tests.pipelines.publishing.test_redrive import ROWS

__all__ = ["embedded_world", "here", "instance"]


def lose(instance: dg.DagsterInstance, run_id: str) -> None:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    assert end_run(instance, found, "its heartbeat did not change")


def cancel(instance: dg.DagsterInstance, run_id: str) -> None:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    instance.report_run_canceled(found)


@pytest.mark.parametrize("published", [False, True], ids=["before", "after the last window"])
@pytest.mark.parametrize(("end", "status"), [(lose, "FAILURE"), (cancel, "CANCELED")])
def test_it_ends_as_it_is_recorded(
    here: World,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[dg.DagsterInstance, str], None],
    status: str,
    published: bool,
) -> None:
    """It does not record a success after a failure for which a retry was launched."""
    here.rows(ROWS)
    monkeypatch.setattr(run_module, "_DAEMON_DECIDES_SECONDS", 0)
    # It checks at each opportunity, not once a second.
    monkeypatch.setattr("pipelines.orchestration.control._LOOK_EVERY_SECONDS", 0)
    real = Publisher.publish

    def publish(publisher: Publisher, window: str) -> Any:
        if published:
            done = real(publisher, window)
            end(instance, run_id())
            return done
        end(instance, run_id())
        return real(publisher, window)

    def run_id() -> str:
        return instance.get_runs(limit=1)[0].run_id

    monkeypatch.setattr(Publisher, "publish", publish)
    result = run(here, instance)
    assert not result.success
    (recorded,) = instance.get_runs()
    assert recorded.status.value == status
    said = "\n".join(entry.user_message for entry in instance.all_logs(recorded.run_id))
    assert "although its process still works" in said
    if status == "FAILURE":
        assert "another run may have taken over" in told(result)
    else:
        # For somebody who waits at a terminal.
        assert asked_of(recorded) == ("cancel", "Dagster's UI")
    assert bool(here.seen()) == published


def test_who_asks_what_an_operator_wants_is_told_that_the_run_has_ended(instance: dg.DagsterInstance) -> None:
    from pipelines.pacing.hold import RunEnded

    @dg.job
    def nothing() -> None: ...

    made = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
    control = RunControl(instance, made.run_id)
    assert control.cancelled_by() is None
    control.require_under_way()
    lose(instance, made.run_id)
    with pytest.raises(RunEnded, match="failure"):
        RunControl(instance, made.run_id).hold()
    with pytest.raises(RunEnded):
        control.require_under_way()
