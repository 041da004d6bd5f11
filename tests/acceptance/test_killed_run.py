"""Runs that are killed, and several runs of one window at once:
in the end every event is on the topic exactly once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines import Event, Window
from tests.acceptance.conftest import Project
from tests.acceptance.expected import sorted_rows, warehouse_rows
from tests.acceptance.outsiders import Offsets

ROOT = Path(__file__).resolve().parents[2]
# More kills find rarer instants: ACCEPTANCE_KILLS=40 pytest tests/acceptance/test_killed_run.py
KILLS = int(os.environ.get("ACCEPTANCE_KILLS", "5"))
SEED = int(os.environ.get("ACCEPTANCE_SEED", "20130101"))
EVENT = "flight_departed"
# A killed run's transaction ends after at most 45 s; the next run of its window ends it at once.
_SECONDS = 120
# Small transactions, for most of a minute:
# a run that was seen at work is still at work, however slow the check is.
SLOWLY = {"SLUICE_TRANSACTION_ROWS": "5", "SLUICE_MAX_ROWS_PER_SECOND": "20"}

# An operator's own dagster.yaml, without limits:
# here Kafka's fencing must protect the window, not Dagster's pools.
_WITHOUT_POOLS = "telemetry:\n  enabled: false\n"
# The small dose of the chaos suite (tests/chaos) is part of `make test`. It has the same kinds of fault as
# the tests here that are cases of the matrix: kills at any stage, two launches at once, a run that is fenced,
# a dead run's slot in a pool.


@contextmanager
def publishing(project: Project, window: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """`sluice publish` of one window in a separate process, as from a terminal; killed at the end."""
    run = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "publish", EVENT, window],
        cwd=ROOT,
        env={**os.environ, **project.environ, "SLUICE_TRANSACTION_ROWS": "40", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield run
    finally:
        run.kill()
        run.communicate()


def finished(run: subprocess.Popen[str]) -> str:
    """What a run printed; waits until it has ended by itself."""
    try:
        told, _ = run.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        run.kill()
        told, _ = run.communicate()
        pytest.fail(f"the run still waits after {_SECONDS} s; it said:\n{told}", pytrace=False)
    return told


def ledger_entry(project: Project, window: str) -> dict[str, Any] | None:
    """The window's newest committed ledger entry, read by a plain consumer."""
    entries = project.outsider.newest(project.environ["SLUICE_LEDGER_TOPIC"])
    found = [entry for entry in entries.values() if entry["window"] == window]
    assert len(found) <= 1
    return found[0] if found else None


def without_pools(tmp_path: Path, name: str = "dagster") -> dict[str, str]:
    """A Dagster home of an operator who sets no limits."""
    home = tmp_path / f"{name}-without-pools"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(_WITHOUT_POOLS)
    return {"DAGSTER_HOME": str(home)}


def assert_once(project: Project, warehouse: Path, window: str, since: Offsets) -> None:
    """Assert that the topic has each of the window's rows once, and that the ledger says so."""
    event = project.catalogue.find(EVENT)
    records = project.outsider.read(event.topic, since)
    wanted = warehouse_rows(warehouse, event, [window_of(event, window)])
    ids = Counter((record.value or {})["event_id"] for record in records)
    assert [event_id for event_id, times in ids.items() if times > 1] == []
    found = [{k: v for k, v in (r.value or {}).items() if k != "event_id"} for r in records]
    assert sorted_rows(found) == sorted_rows(wanted)
    entry = ledger_entry(project, window)
    assert entry is not None
    assert (entry["status"], entry["kind"], entry["generation"]) == ("published", "backfill", 1)
    assert entry["rows_done"] == entry["rows_total"] == len(wanted)


def window_of(event: Event, key: str) -> Window:
    return event.windows.window(key)


def killed_in_between(run: subprocess.Popen[str], project: Project, window: str) -> dict[str, Any]:
    """Kill the run when some of its transactions are committed and others are not."""
    while run.poll() is None:
        entry = ledger_entry(project, window)
        if entry is not None and entry["status"] == "publishing" and entry["rows_done"] > 0:
            run.send_signal(signal.SIGKILL)
            run.wait()
            left = ledger_entry(project, window)
            assert left is not None
            return left
    pytest.fail(f"the run ended before it could be killed:\n{run.communicate()[0]}", pytrace=False)


def test_a_run_killed_between_two_transactions_goes_on_where_it_stopped(
    project: Project, sample_warehouse: Path, tmp_path: Path
) -> None:
    window, since = "2013-07-01", project.outsider.ends(project.catalogue.find(EVENT).topic)
    free = without_pools(tmp_path)
    with publishing(project, window, **SLOWLY, **free) as run:
        left = killed_in_between(run, project, window)
    assert (left["status"], left["kind"]) == ("publishing", "backfill"), "killed too late to show anything"
    assert 0 < left["rows_done"] < left["rows_total"]

    with publishing(project, window, **free) as run:
        told = finished(run)
    assert run.returncode == 0, told
    assert "resume" in told, told
    assert f"{left['rows_total'] - left['rows_done']:,} published" in told, told
    assert_once(project, sample_warehouse, window, since)

    after = project.outsider.ends(project.catalogue.find(EVENT).topic)
    with publishing(project, window, **free) as run:
        assert "Nothing was published" in finished(run)
    assert project.outsider.ends(project.catalogue.find(EVENT).topic) == after


@pytest.mark.matrix
def test_a_killed_run_holds_back_no_later_run(project: Project, sample_warehouse: Path) -> None:
    """With the dagster.yaml that Sluice writes: a slot in the topic's pool must be free after the run that
    had it was killed."""
    window, since = "2013-07-02", project.outsider.ends(project.catalogue.find(EVENT).topic)
    with publishing(project, window, **SLOWLY) as run:
        killed_in_between(run, project, window)
    with publishing(project, window) as run:
        told = finished(run)
    assert run.returncode == 0, told
    assert_once(project, sample_warehouse, window, since)


@pytest.mark.matrix
def test_a_run_killed_at_any_instant(project: Project, sample_warehouse: Path, tmp_path: Path) -> None:
    window, since = "2013-07-03", project.outsider.ends(project.catalogue.find(EVENT).topic)
    free, chance = without_pools(tmp_path), random.Random(SEED)
    seen = []
    for _ in range(KILLS):
        # The time starts at the run's first line about a window,
        # so that runs on slow machines are killed at work too.
        with publishing(project, window, SLUICE_TRANSACTION_ROWS="5", **free) as run:
            assert run.stdout is not None
            assert run.stdout.readline(), "ended without a word"
            after = chance.uniform(0, 4.5)
            try:
                run.wait(after)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
            run.wait()
        entry = ledger_entry(project, window)
        seen.append((round(after, 2), entry and entry["rows_done"]))
    with publishing(project, window, **free) as run:
        told = finished(run)
    assert run.returncode == 0, f"kills at {seen} with seed {SEED}\n{told}"
    print(f"kills (seconds, rows committed): {seen}")
    assert_once(project, sample_warehouse, window, since)


@pytest.mark.matrix
def test_two_launches_of_one_window_at_once(project: Project, sample_warehouse: Path, tmp_path: Path) -> None:
    """From two installations, which share Kafka and the snapshots and know nothing else about each other."""
    window, since = "2013-07-04", project.outsider.ends(project.catalogue.find(EVENT).topic)
    homes = [without_pools(tmp_path, name) for name in ("one", "other")]
    with publishing(project, window, **homes[0]) as one, publishing(project, window, **homes[1]) as other:
        told = {run: finished(run) for run in (one, other)}
    codes = sorted(run.returncode for run in told)
    assert codes in ([0, 0], [0, 1]), told
    for run, text in told.items():
        if run.returncode:
            assert "another run has taken over this window" in text, text
            assert "Traceback" not in text
    assert_once(project, sample_warehouse, window, since)


@pytest.mark.matrix
def test_a_window_taken_over_while_it_publishes(
    project: Project, sample_warehouse: Path, tmp_path: Path
) -> None:
    """The second launch begins when the first is certainly between two transactions: the first is fenced."""
    window, since = "2013-07-05", project.outsider.ends(project.catalogue.find(EVENT).topic)
    homes = [without_pools(tmp_path, name) for name in ("one", "other")]
    with publishing(project, window, **SLOWLY, **homes[0]) as first:
        deadline = time.monotonic() + _SECONDS
        while (entry := ledger_entry(project, window)) is None:
            assert first.poll() is None and time.monotonic() < deadline
        assert entry["status"] == "publishing"
        first.send_signal(signal.SIGSTOP)
        with publishing(project, window, **homes[1]) as second:
            told = finished(second)
        first.send_signal(signal.SIGCONT)
        fenced = finished(first)
    assert second.returncode == 0, told
    assert first.returncode == 1, fenced
    assert "another run has taken over this window" in fenced, fenced
    assert "Traceback" not in fenced
    assert_once(project, sample_warehouse, window, since)
