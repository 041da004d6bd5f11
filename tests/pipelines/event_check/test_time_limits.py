"""A slow transform and a slow query each have their own time limit, and what was not tried is reported."""

import signal
import threading
import time
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pipelines.event_check.speed import Speed
from pipelines.event_check.time_limits import Asking, Calls
from pipelines.preflight.finding import Finding
from pipelines.transform.authors_code import OutOfTime
from resources.warehouse import TookTooLong
from tests.pipelines.event_check.conftest import TABLE, Made, failed, level

_SLEEP: dict[str, Any] = {"imports": "import time"}
# More than a sample takes, so that windows are searched for a long time.
_MANY = TABLE.replace("range(40)", "range(1400)")
_SLOW_QUERY = (
    "SELECT id, happened_at, n FROM things {where} AND "
    "(SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range > n) > 0"
)


def told(findings: list[Finding], subject: str) -> str:
    """All findings of a subject, as text."""
    return "\n".join(one.told for one in findings if one.subject == subject)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transform has two seconds: time for four of the longest calls below, on a busy machine too."""
    monkeypatch.setattr("pipelines.event_check.findings.Calls", lambda: Calls(2))


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("more", ["", "whole_window=True,"])
@pytest.mark.parametrize(
    ("body", "takes"),
    [("time.sleep(0.4)\nreturn rows", "a call"), ("time.sleep(0.02 * len(rows))\nreturn rows", "a row")],
)
def test_what_a_slow_transform_was_not_tried_with_is_said(
    made: Made, body: str, takes: str, more: str
) -> None:
    findings = made(body, table=_MANY, more=more, **_SLEEP).check()
    assert level(findings, "row by row") == {"ok", "warning"}
    (warning,) = [one for one in findings if one.subject == "row by row" and one.level == "warning"]
    assert f" {takes}: " in warning.told
    # A call's time varies by more than rows cost on a busy machine: which rows are tried then is tested with exact times.
    assert takes == "a call" or "were tried" in warning.told
    assert ("tried one by one" in warning.told) == (takes == "a call" and not more)
    # The time of the transform is not time of the warehouse.
    assert level(findings, "repeatable") == {"ok"}
    assert "cancelled" not in str(findings)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "body",
    [
        "while len(rows):\n    pass\nreturn rows",
        "time.sleep(100)\nreturn rows",
        "try:\n    time.sleep(100)\nexcept BaseException as error:\n    raise ValueError(1) from error\nreturn rows",
    ],
    ids=["busy", "asleep", "raises another error"],
)
def test_a_transform_that_does_not_return_is_interrupted(made: Made, body: str) -> None:
    before = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0
    findings = made(body, **_SLEEP).check()
    (warning,) = [one for one in findings if one.subject == "rows"]
    assert warning.level == "warning" and "did not return in time" in warning.told
    assert warning.window == "2024-01-02"
    assert level(findings, "repeatable") == {"ok"}
    assert before == (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0)


@pytest.mark.usefixtures("hasty")
def test_what_a_transform_returns_late_is_taken(made: Made) -> None:
    body = "try:\n    time.sleep(100)\nexcept BaseException:\n    time.sleep(0.1)\nreturn rows"
    findings = made(body, **_SLEEP).check()
    assert "the first row of window 2024-01-02 fits the contract" in told(findings, "rows")
    assert "only 1 row of 40 was tried" in told(findings, "row by row")


@pytest.mark.usefixtures("hasty")
def test_a_transform_that_hangs_on_no_rows_is_interrupted_too(made: Made) -> None:
    findings = made(
        "time.sleep(100)\nreturn rows", table=TABLE.replace("range(40)", "range(0)"), **_SLEEP
    ).check()
    assert "did not return in time" in told(findings, "rows")


@pytest.mark.usefixtures("hasty")
def test_mistakes_of_a_slow_transform_are_still_found(made: Made) -> None:
    slow = "time.sleep(0.008 * len(rows))\n"
    mean = slow + 'return rows.assign(n=(rows["n"] - rows["n"].mean()).round().astype(int))'
    assert "column 'n' of source row" in failed(made(mean, table=_MANY, **_SLEEP).check(), "row by row")
    chance = "time.sleep(0.4)\nreturn rows.assign(n=time.perf_counter_ns())"
    # Another value in each call:
    # the duration of the calls decides which comparison is made first, and that one finds it.
    assert "has another value when" in failed(made(chance, table=_MANY, **_SLEEP).check(), "row by row")


def test_a_query_that_is_slow_is_what_is_named(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.event_check.findings.Asking", lambda warehouse: Asking(warehouse, 3))
    findings = made(source=_SLOW_QUERY).check()
    assert "a query was cancelled; all queries of an event together get 3 s in a check" in told(
        findings, "rows"
    )
    assert level(findings, "rows") == {"unknown"}


def test_time_between_queries_does_not_count(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    world, now = made(), [0.0]
    monkeypatch.setattr("pipelines.event_check.time_limits.time", SimpleNamespace(monotonic=lambda: now[0]))
    warehouse = world.platform.warehouse("default")
    asking = Asking(warehouse, 60)
    for _ in range(3):
        with asking:
            warehouse.tables()
            now[0] += 19
        now[0] += 100


def test_no_query_is_started_once_the_time_is_used_up(made: Made) -> None:
    asking = Asking(made().platform.warehouse("default"), 0.01)
    with asking:
        time.sleep(0.02)
    with pytest.raises(TookTooLong, match="no query was started") as raised, asking:
        raise AssertionError("not reached")
    assert " 0 s" not in str(raised.value)


def test_another_timer_goes_on() -> None:
    rang: list[bool] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(True))
    timer = signal.setitimer(signal.ITIMER_REAL, 1000)
    try:
        calls = Calls(0.05)
        with pytest.raises(OutOfTime), calls.counted():
            time.sleep(100)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 900 and not rang
        with pytest.raises(OutOfTime), calls.counted():
            raise AssertionError("not reached")
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)


def test_in_another_thread_the_time_counts_and_nothing_is_interrupted() -> None:
    calls, raised = Calls(0.01), []

    def run() -> None:
        with calls.counted():
            time.sleep(0.02)
        try:
            with calls.counted():
                raise AssertionError("not reached")
        except OutOfTime as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert raised


@pytest.mark.parametrize(
    ("call", "row", "rows", "sizes"),
    [
        (0.0, 0.00001, 1000, [1, 16, 1000]),
        (3.0, 0.0, 1000, [1, 2, 1000]),
        (3.0, 1 / 64, 1000, [1, 2, 192]),
        (0.0, 1 / 64, 1000, [1, 16, 120]),
        (0.0, 3.0, 1000, [1, 2]),
        (0.0, 0.00001, 1, [1]),
        (0.0, 0.00001, 9, [1, 9]),
    ],
)
def test_the_first_frames_show_how_many_rows_there_is_time_for(
    call: float, row: float, rows: int, sizes: list[int]
) -> None:
    speed, tried = Speed(), []
    for size in speed.frames(rows, 1.875):
        tried.append(size)
        speed.measured(size, call + row * size)
    assert tried == sizes


def test_a_first_call_that_loads_something_does_not_make_a_transform_slow() -> None:
    speed = Speed()
    speed.measured(1, 4.0)
    speed.measured(2, 0.001)
    assert speed.of(1000) < 0.01
    assert str(speed) == "1 ms a call"


def test_what_a_kept_call_gave_is_given_again(made: Made) -> None:
    world = made("return rows.assign(n=time.perf_counter_ns())", **_SLEEP)
    timed, repeated = Calls(5).kept(world.event)
    assert timed.transform and repeated.transform
    rows = pd.DataFrame({"n": [1, 2]})
    first = timed.transform(rows)
    assert repeated.transform(rows).equals(first)
    assert not repeated.transform(rows.iloc[:1]).equals(first.iloc[:1])
