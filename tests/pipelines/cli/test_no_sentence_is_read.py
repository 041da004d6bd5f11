"""Nothing depends on the words of a sentence:
with an additional word before each of them, everything still works."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines import run_events
from pipelines.cli.runs import control as ordering
from pipelines.cli.runs.launcher import Shown
from pipelines.cli.runs.report import failure_lines, tell_failed
from pipelines.orchestration.control import RunControl, give
from pipelines.orchestration.windows.failures import RunFailure, failures_in, failures_of_windows
from pipelines.run_events import (
    Paused,
    Said,
    WentOn,
    WindowDone,
    WindowFailed,
    WindowStarted,
    as_dict,
    from_dict,
    sentence,
)
from resources.errors import Problem
from tests.pipelines.cli.test_said_once import Named, outcome
from tests.pipelines.orchestration.lost_run_worlds import Clock, a_run, an_instance

DAYS = [f"2013-01-0{day}" for day in range(1, 5)]
FAULT = Problem("flights/x 2013-01-02", "no room; next: to a part of it", next_step="make some")


class Bar:
    redrawn = False

    def __init__(self) -> None:
        self.places: list[tuple[int, str]] = []

    def at(self, place: int, text: str) -> None:
        self.places.append((place, text))


class Day:
    def __init__(self, key: str) -> None:
        self.key = key


@pytest.fixture(autouse=True)
def another_word_before_each(monkeypatch: pytest.MonkeyPatch) -> None:
    real = run_events._told
    monkeypatch.setattr(run_events, "_told", lambda event: (told := real(event)) and f"§ {told}")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with an_instance(tmp_path / "home") as made:
        yield made


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    shown = Shown(bar, [Day(key) for key in DAYS], every_window=True)  # type: ignore[misc]
    for number, day in enumerate(DAYS):
        shown.tell(WindowStarted(window=day, done=number, of=4))
        shown.tell(from_dict(as_dict(Said(window=day, text=f"{DAYS[0]}: a word about another window"))))
    shown.tell(WindowFailed(window=DAYS[3], problems=(FAULT,)))
    assert [place for place, _ in bar.places] == [0, 1, 2, 3, 3]
    assert shown.said == {DAYS[3]}
    assert "§" in capsys.readouterr().err


@pytest.mark.parametrize("order", ["pause", "resume"])
def test_an_order_is_answered(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, order: Any
) -> None:
    run, clock = a_run(instance), Clock()
    operator = RunControl(instance, run.run_id, clock=clock)
    give(instance, run, order, "anna")
    answer: Any = (
        Paused(by="anna", run_id=run.run_id) if order == "pause" else WentOn(cause="operator", seconds=3)
    )
    operator.answer(answer)
    monkeypatch.setattr(ordering, "_WAIT_SECONDS", 1.0)
    told = ordering._outcome(instance, run, order, "anna", time.monotonic() + 1)
    assert told == sentence(answer), "what the run itself has answered"


def test_an_answer_to_an_order_before_is_none_to_this_one(instance: dg.DagsterInstance) -> None:
    run = a_run(instance)
    operator = RunControl(instance, run.run_id, clock=Clock())
    give(instance, run, "pause", "anna")
    operator.answer(Paused(by="anna", run_id=run.run_id))
    give(instance, run, "resume", "anna")
    told = ordering._outcome(instance, run, "resume", "anna", time.monotonic())
    assert told.startswith("goes on within a second")


def test_the_parts_of_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    failed = WindowFailed(window=DAYS[1], problems=(FAULT,))
    failure = failures_of_windows(Named(), [failed], 0)  # type: ignore[arg-type]
    (found,) = failures_in({name: value.value for name, value in failure.metadata.items()})
    assert failure_lines(found) == [
        "flights/x 2013-01-02: no room; next: to a part of it",
        "  next:    make some",
    ]
    tell_failed(outcome(RunFailure((DAYS[0],), (FAULT,)), DAYS[0]))
    assert "why is said above" in capsys.readouterr().err


def test_a_window_that_is_done_is_told_with_its_counts() -> None:
    done = WindowDone(window=DAYS[0], action="backfill", because="new", outcome="published", published=2)
    assert from_dict(as_dict(done)) == done
    assert sentence(done).startswith(f"{DAYS[0]}: § backfill: 2 published")
