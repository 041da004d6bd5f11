"""What a run has printed about a window that failed is not printed again at the end of the command."""

from typing import Any

import pytest

from pipelines.cli.actions.plan import show_plan
from pipelines.cli.runs.launcher import RunOutcome, WindowOutcome
from pipelines.cli.runs.report import tell_failed
from pipelines.dry_run.plan import Plan, WindowPlan
from pipelines.orchestration.windows.failures import RunFailure, alike, failures_in, failures_of_windows
from pipelines.publishing.request import PlannedState
from pipelines.run_events import WindowFailed
from resources.errors import Problem

DAY = "2013-01-01"
REFUSED = Problem(f"flights/x {DAY}", "the query was refused", next_step="mend its `source`")


class Named:
    full_name = "flights/x"


def outcome(failure: RunFailure, *said: str) -> Any:
    windows = (WindowOutcome("flights/x", DAY, "failed"),)
    return RunOutcome(Named(), "r" * 8, 1.0, windows, (failure,), False, said=frozenset(said))  # type: ignore[arg-type]


def test_a_reason_that_was_said_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    tell_failed(outcome(RunFailure((DAY,), (REFUSED,)), DAY))
    told = capsys.readouterr().err
    assert f"not published: {DAY} (why is said above)" in told
    assert "refused" not in told


def test_a_reason_that_was_not_said_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    tell_failed(outcome(RunFailure((DAY,), (REFUSED,))))
    told = capsys.readouterr().err
    assert told.count("the query was refused") == 1
    assert "  next:    mend its `source`" in told


def test_an_error_of_the_whole_run_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    refused = RunFailure((), (Problem("flights/x on t", "one"), Problem("flights/x on t", "two")))
    tell_failed(outcome(refused, ""))
    assert "one" not in capsys.readouterr().err
    tell_failed(outcome(refused))
    assert "two" in capsys.readouterr().err


def test_windows_that_fail_for_one_reason_are_one_message() -> None:
    failed = [
        WindowFailed(
            window=day, problems=(Problem(f"flights/x {day}", f"no room for {day}", next_step="make some"),)
        )
        for day in (f"2013-01-{number:02d}" for number in range(1, 10))
    ]
    failed.append(WindowFailed(window="2013-02-01", problems=(Problem("here", "another reason"),)))
    failure = failures_of_windows(Named(), failed, 3)  # type: ignore[arg-type]
    text = failure.description or ""
    assert text.count("no room") == 1
    assert "(the same for 2013-01-02, 2013-01-03" in text
    assert "another reason; 3 windows behind it were not begun" in text
    first, second = failures_in({name: value.value for name, value in failure.metadata.items()})
    assert (len(first.windows), first.problems) == (9, failed[0].problems)
    assert (second.windows, second.not_begun) == (("2013-02-01",), 3)
    assert alike(failed[0], "2013-01-05", failed[4].problems)
    assert not alike(failed[0], "2013-02-01", failed[-1].problems)


def test_windows_that_a_plan_refuses_for_one_reason_are_one_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(window: str, problem: Problem) -> WindowPlan:
        found = PlannedState(None, 0, 0)
        return WindowPlan(window, "refused", "no", found, refused=str(problem), problems=(problem,))

    alike = [
        refused(day, Problem(f"flights/x {day}", "there is no such file", next_step="`sluice up`"))
        for day in (f"2013-01-0{number}" for number in range(1, 5))
    ]
    other = refused("2013-02-01", Problem("here", "another reason"))
    plan = Plan("flights/x", "v", "now", {}, (), (*alike, other), 0.0, "nothing to publish")
    show_plan(Named(), plan, None)  # type: ignore[arg-type]
    told = capsys.readouterr().err
    assert told.count("there is no such file") == 1
    assert "(the same for 2013-01-02, 2013-01-03, 2013-01-04)" in told
    assert told.count("Refused: ") == 2


def test_a_fault_that_was_said_of_each_try_is_not_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    fault = Problem("registry r", "it did not answer", next_step="check the address")
    tell_failed(outcome(RunFailure((DAY,), (fault,), not_begun=3), DAY))
    told = capsys.readouterr().err
    assert "not published: 2013-01-01 (why is said above)" in told
    assert "did not answer" not in told
