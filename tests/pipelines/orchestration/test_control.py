"""If Dagster's storage does not answer for a while,
a run continues, and waits before it could be regarded as lost."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from pipelines.authoring.limits import Limits
from pipelines.orchestration import control, launch
from pipelines.orchestration.control import RunControl, give
from pipelines.orchestration.liveness.lost_runs import PATIENCE_SECONDS
from pipelines.pacing.hold import RunEnded
from pipelines.pacing.pacer import Pacer
from resources.errors import SluiceError
from tests.pipelines.orchestration.lost_run_worlds import Clock, a_run, an_instance


class Away:
    """The storage does not answer whenever a test requires that."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.away = instance, False

    def get_run_by_id(self, run_id: str) -> dg.DagsterRun | None:
        if self.away:
            raise OperationalError("SELECT", {}, Exception("database is locked\nand more"))
        return self.instance.get_run_by_id(run_id)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Away]:
    with an_instance(tmp_path / "home") as made:
        yield Away(made)


def test_a_run_goes_on_without_its_storage_for_a_while_and_then_waits_for_it(
    storage: Away, caplog: pytest.LogCaptureFixture
) -> None:
    assert control._BLIND_SECONDS < PATIENCE_SECONDS
    run, clock = a_run(storage.instance), Clock()
    operator = RunControl(storage, run.run_id, clock=clock)  # type: ignore[arg-type]
    assert operator.hold() is None
    storage.away = True
    for _ in range(85):
        clock.now += 1
        assert operator.hold() is None
        assert operator.cancelled_by() is None
    clock.now += 10
    held = operator.hold()
    assert held is not None
    assert (held.cause, "does not answer" in held.text) == ("storage", True)
    assert caplog.text.count("Dagster's storage does not answer: OperationalError") == 1
    assert "and more" not in caplog.text
    storage.away = False
    clock.now += 1
    assert operator.hold() is None
    assert "answers again" in caplog.text


def test_an_order_in_force_stays_in_force_and_an_end_is_seen_as_soon_as_the_storage_answers(
    storage: Away,
) -> None:
    run, clock = a_run(storage.instance), Clock()
    operator = RunControl(storage, run.run_id, clock=clock)  # type: ignore[arg-type]
    give(storage.instance, run, "pause", "somebody")
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        clock.now += 1
        waited.append(seconds)
        if len(waited) == 5:
            storage.away = True
        if len(waited) == 150:
            storage.instance.report_run_failed(run, "taken for lost")
            storage.away = False

    pacer = Pacer(Limits(), groups=lambda: None, operator=operator, clock=clock, sleep=sleep)  # type: ignore[arg-type, return-value]
    with pytest.raises(RunEnded):
        pacer.between("2013-01-01", "nothing")
    assert len(waited) == 150
    assert pacer.waited["storage"] > 50


def test_a_terminal_says_in_a_sentence_that_the_storage_failed() -> None:
    from pipelines import load_catalogue

    event = load_catalogue().find("flight_departed")
    with pytest.raises(SluiceError) as raised, launch._said_of_storage(event):
        raise OperationalError("INSERT", {}, Exception("database is locked\nand more"))
    assert "Dagster's storage: could not be read or written" in str(raised.value)
    assert "database is locked; what is committed" in str(raised.value)
    assert "and more" not in str(raised.value)
