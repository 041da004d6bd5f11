"""With an additional word before every sentence, each command does the same:
nothing reads a sentence, in any process."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.orchestration.control import answer_of
from tests.pipelines.cli.conftest import Sluice, command
from tests.pipelines.cli.test_dead_letters import BROKEN, broken
from tests.pipelines.cli.warm import Warm

WORD = "§"
EVENT = "flights/flight_cancelled"
DAYS = ["2013-01-01", "2013-01-02", "2013-01-03"]
WEEK = f"{DAYS[0]}..{DAYS[-1]}"
_SECONDS = 300


@pytest.fixture(scope="module")
def servers(servers: dict[str, str]) -> dict[str, str]:
    return {**servers, "PYTHONPATH": str(Path(__file__).parent / "reworded")}


@pytest.fixture(scope="module")
def sluice(tree: Path, servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sluice]:
    with closing(Warm(tree, servers, tmp_path_factory.mktemp("told"))) as warm:
        yield lambda *arguments, **settings: warm.run(arguments, {**servers, **settings}, seconds=_SECONDS)


def rows(sluice: Sluice, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    """The answer of a command as JSON."""
    done = sluice(*arguments, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    found: Any = json.loads(done.stdout)
    return found["windows"] if isinstance(found, dict) and "windows" in found else list(found)


def test_every_command_does_what_it_did(sluice: Sluice, tree: Path, tmp_path: Path) -> None:
    planned = rows(sluice, "plan", "flight_cancelled", WEEK)
    first = rows(sluice, "publish", "flight_cancelled", WEEK)
    assert [one["action"] for one in first] == [one["action"] for one in planned] == ["backfill"] * 3
    assert [one["published"] for one in first] == [one["records"] for one in planned]
    assert [one["action"] for one in rows(sluice, "publish", "flight_cancelled", WEEK)] == ["nothing"] * 3
    (again,) = rows(sluice, "replay", "flight_cancelled", DAYS[1], "--reason", "lost")
    assert (again["action"], again["published"]) == ("replay", first[1]["published"])
    assert all(one["verdict"] == "agrees" for one in rows(sluice, "verify", "flight_cancelled", WEEK))

    module = tree / "assets/flights/flight_cancelled.py"
    whole = module.read_text()
    try:
        broken(tree, '    return rows.assign(destination="XXX")\n')
        refused = rows(sluice, "plan", "flight_cancelled", DAYS[0], code=1)
        assert [one["action"] for one in refused] == ["asks"]
        (problem,) = refused[0]["problems"]
        assert problem["where"] == f"{EVENT} {DAYS[0]}"
        assert all(WORD in problem[name] for name in ("problem", "allowed", "next_step"))
        failed = rows(sluice, "publish", "flight_cancelled", DAYS[0], code=1)
        assert [one["action"] for one in failed] == ["failed"]
        said = sluice("publish", "flight_cancelled", DAYS[0])
        assert said.returncode == 1 and WORD in said.stderr, "the words are there"
        corrected = rows(sluice, "publish", "flight_cancelled", DAYS[0], "--correct")
        assert [one["action"] for one in corrected] == ["correct"]

        broken(tree, BROKEN)
        blocked = rows(sluice, "publish", "flight_cancelled", "2013-01-04", code=1)
        assert [one["action"] for one in blocked] == ["blocked"]
        (letters,) = rows(sluice, "dead-letters")
        assert (letters["window"], letters["state"]) == ("2013-01-04", "blocked")
    finally:
        module.write_text(whole)
    (planned_redrive,) = rows(sluice, "plan", "flight_cancelled", "2013-01-04", "--redrive")
    (redriven,) = rows(sluice, "redrive", "flight_cancelled", "2013-01-04")
    assert redriven["published"] == planned_redrive["records"] > 0
    assert (redriven["action"], redriven["dead"]) == (planned_redrive["action"], planned_redrive["dead"])
    assert rows(sluice, "dead-letters") == []

    plan = tmp_path / "plan.json"
    assert sluice("plan", "flight_cancelled", "2013-01-05", "--out", str(plan)).returncode == 0
    assert [one["action"] for one in rows(sluice, "plan", "--apply", str(plan))] == ["backfill"]
    checked = rows(sluice, "check", "flight_cancelled")
    assert all(one["level"] != "failed" for event in checked for one in event["findings"])
    doctor = sluice("doctor")
    assert doctor.returncode == 0 and WORD in doctor.stdout, doctor.stdout


def test_processes_beside_each_other(sluice: Sluice) -> None:
    done = rows(sluice, "publish", "--all", "2013-02-01-05:00..2013-02-01-06:00", "--processes", "2")
    assert {one["action"] for one in done} == {"backfill"} and len(done) == 4
    assert sum(one["published"] or 0 for one in done) > 0


def _until(true: Callable[[], bool], run: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + _SECONDS
    while not true():
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_an_operator_pauses_resumes_and_cancels(sluice: Sluice, tree: Path, servers: dict[str, str]) -> None:
    name, window = "carrier_day_closed", "2013-02-05..2013-02-20"
    slowly = {"SLUICE_MAX_ROWS_PER_SECOND": "1", "SLUICE_TRANSACTION_SECONDS": "1"}
    home = Path(servers["SLUICE_HOME"]) / "dagster"
    run = subprocess.Popen(
        command("publish", name, window), cwd=tree, env={**servers, **slowly, "DAGSTER_HOME": str(home)},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:

        def entries() -> list[dict[str, Any]]:
            found = rows(sluice, "status", name)
            return [one for one in found if one.get("rows_done") and one["window"] == "2013-02-05"]

        _until(lambda: bool(entries()), run)
        assert sluice("pause", name).returncode == 0
        with dg.DagsterInstance.from_config(str(home)) as instance:
            started = dg.RunsFilter(
                tags={"sluice/event": f"flights/{name}"}, statuses=[dg.DagsterRunStatus.STARTED]
            )
            (record,) = instance.get_run_records(started)
            run_id = record.dagster_run.run_id

            def answered(what: str) -> bool:
                now = instance.get_run_by_id(run_id)
                return now is not None and (answer_of(now) or ("",))[0] == what

            # On a busy machine a run answers later than its operator waits.
            _until(lambda: answered("paused"), run)
            assert sluice("resume", name).returncode == 0
            _until(lambda: answered("resumed"), run)
            assert sluice("cancel", name).returncode == 0
            told = run.communicate(timeout=_SECONDS)[0]
            assert run.returncode == 130, told
            ended = instance.get_run_by_id(record.dagster_run.run_id)
        assert ended is not None and ended.status == dg.DagsterRunStatus.CANCELED
        assert "Traceback" not in told and WORD in told
    finally:
        if run.poll() is None:
            run.kill()
            run.communicate()
