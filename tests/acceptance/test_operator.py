"""An operator at another terminal pauses, resumes and cancels a publication that runs here."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from tests.acceptance.conftest import Project
from tests.acceptance.test_killed_run import (
    EVENT,
    ROOT,
    assert_once,
    finished,
    ledger_entry,
    publishing,
    window_of,
)

_SECONDS = 120
# A window takes minutes: on a busy machine,
# the four commands that must find its run in progress take that long.
SLOWLY = {"SLUICE_MAX_ROWS_PER_SECOND": "5"}
# A command that waits for the run's answer to an order as long as a busy machine needs.
_PATIENT = """
from pipelines.cli import main
from pipelines.cli.runs import control

control._WAIT_SECONDS = 90.0
main()
"""


def sluice(project: Project, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", _PATIENT, *arguments],
        cwd=ROOT,
        env={**os.environ, **project.environ},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )


def until(true: Callable[[], bool], run: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + _SECONDS
    while not true():
        if run.poll() is not None:
            pytest.fail(f"the run has ended:\n{run.communicate()[0]}", pytrace=False)
        assert time.monotonic() < deadline
        time.sleep(0.1)


def rows_done(project: Project, window: str) -> int:
    entry = ledger_entry(project, window)
    return int(entry["rows_done"]) if entry else 0


def test_a_publication_is_paused_resumed_and_cancelled_from_another_process(
    project: Project, sample_warehouse: Path
) -> None:
    window, topic = "2013-07-10", project.catalogue.find(EVENT).topic
    since = project.outsider.ends(topic)
    with publishing(project, window, **SLOWLY) as run:
        until(lambda: rows_done(project, window) > 0, run)
        (record,) = project.instance.get_run_records(dg.RunsFilter(tags={"sluice/event": f"flights/{EVENT}"}))
        run_id = record.dagster_run.run_id[:8]

        paused = sluice(project, "pause", EVENT)
        assert paused.returncode == 0, paused.stderr
        assert f"run {run_id} of flights/{EVENT} {window}: paused by operator" in paused.stdout
        assert f"sluice resume {run_id}" in paused.stdout
        done = rows_done(project, window)
        assert len(project.outsider.read(topic, since)) == done, "consumers see all that is committed"
        time.sleep(3)
        assert rows_done(project, window) == done

        resumed = sluice(project, "resume", run_id)
        assert resumed.returncode == 0 and "goes on after" in resumed.stdout, resumed.stdout
        assert "is not paused" in sluice(project, "resume", run_id).stdout
        until(lambda: rows_done(project, window) > done, run)

        cancelled = sluice(project, "cancel", run_id)
        assert cancelled.returncode == 0 and "cancelled." in cancelled.stdout, cancelled.stdout
        told = finished(run)
    assert run.returncode == 130, told
    assert "paused by operator" in told and "limited to 5 rows/s" in told
    assert "Cancelled by operator" in told and f"Next: sluice publish {EVENT} {window}" in told
    assert "Traceback" not in told
    ended = project.instance.get_run_by_id(record.dagster_run.run_id)
    assert ended is not None and ended.status == dg.DagsterRunStatus.CANCELED
    left = ledger_entry(project, window)
    assert (
        left is not None and left["status"] == "publishing" and done < left["rows_done"] < left["rows_total"]
    )
    assert len(project.outsider.read(topic, since)) == left["rows_done"]

    again = sluice(project, "publish", EVENT, window)
    assert again.returncode == 0, again.stderr
    assert f"{left['rows_total'] - left['rows_done']:,} published" in again.stderr
    assert_once(project, sample_warehouse, window, since)
    nobody = sluice(project, "pause", EVENT)
    assert nobody.returncode == 1 and "no run is under way" in nobody.stderr


@pytest.mark.matrix
def test_a_run_that_waits_for_its_topic_says_who_has_it(project: Project) -> None:
    # So slow that two more commands can start in the meantime, however busy the machine is.
    with publishing(project, "2013-07-11", SLUICE_MAX_ROWS_PER_SECOND="5") as first:
        until(lambda: rows_done(project, "2013-07-11") > 0, first)
        (holder,) = project.instance.get_run_records()
        wanted = f"in pool topic_flights_flight_departed_v1: run {holder.dagster_run.run_id[:8]} has it"
        with publishing(project, "2013-07-12") as second, publishing(project, "2013-07-13") as third:
            told = {waiting: _until_it_waits(waiting) for waiting in (second, third)}
            assert all(wanted in text for text in told.values())
            third.send_signal(signal.SIGINT)
            given_up = finished(third)
            assert third.returncode == 130 and "nothing was published" in given_up, given_up
            assert ledger_entry(project, "2013-07-12") is ledger_entry(project, "2013-07-13") is None
            assert "cancelled." in sluice(project, "cancel", EVENT).stdout
            finished(first)
            went_on = finished(second)
        assert second.returncode == 0 and "has its place in pool" in went_on, went_on
    assert first.returncode == 130


def _until_it_waits(run: "subprocess.Popen[str]") -> str:
    assert run.stdout is not None
    told = ""
    while "waiting for a place" not in told:
        line = run.stdout.readline()
        assert line, told
        told += line
    return told


def test_what_a_run_waited_for_is_in_its_metadata(project: Project) -> None:
    done = project.backfill(EVENT, "2013-07-13", config={"max_rows_per_second": 300})
    assert done.success
    (about,) = done.windows.values()
    assert about["seconds_waited_rate"] > 1
    assert window_of(project.catalogue.find(EVENT), "2013-07-13").key in done.windows
