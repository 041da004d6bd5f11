"""A run of each origin is killed together with what watches it;
its topic becomes free again, and nothing is published twice."""

import sys
import time
import traceback
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines import Event, load_catalogue
from pipelines.orchestration.keys import STAGES, topic_pool
from tests.acceptance.expected import canonical, warehouse_rows
from tests.chaos.arena import Arena
from tests.chaos.dagster_host import DagsterHost, as_host, can_be_a_host, kill, parent_of, until
from tests.chaos.outcome import Outcome
from tests.chaos.processes import ROOT, Launched, command
from tests.chaos.witness import Witness, ledger_problems

NAME = "dead-runs"
PROMISE = (
    "a run killed with its code server, daemon or host ends as failed in three minutes, and its topic is free"
)

_EVENT = "flight_departed"
_ORIGINS = ("UI", "terminal", "backfill", "schedule")
_DEATHS = ("worker and code server", "host", "everything", "worker")
# Origins with what dies: each pair once, the most informative first.
# A run from a terminal has no code server.
PAIRS = [
    (origin, death)
    for death in _DEATHS
    for origin in _ORIGINS
    if origin != "terminal" or death in ("worker", "host")
]
_PROMISED_SECONDS = 180
_ASSETS = [{"path": ["flights", _EVENT, f"{_EVENT}_{stage}"]} for stage in STAGES]
_LOCATION = {"repositoryLocationName": "sluice", "repositoryName": "__repository__"}
_LAUNCH = "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename ... on LaunchRunSuccess { run { runId } } } }"
_BACKFILL = (
    "mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { __typename } }"
)
_TICK = """mutation($s: ScheduleSelector!, $t: Float!) { scheduleDryRun(selectorData: $s, timestamp: $t) {
    ... on DryRunInstigationTick { evaluationResult { runRequests { runKey tags { key value } } } } } }"""


def run(arena: Arena) -> Outcome:
    """One window for each pair; all on one Dagster, which is started again if it was killed."""
    outcome = Outcome(NAME, PROMISE)
    folder, environ = arena.own_world(NAME)
    event = load_catalogue(ROOT / "assets").find(_EVENT)
    warehouse, ledger = folder / "sample.duckdb", environ["SLUICE_LEDGER_TOPIC"]
    environ |= {
        # Slow enough to be killed at work.
        "SLUICE_TRANSACTION_ROWS": "25",
        "SLUICE_MAX_ROWS_PER_SECOND": "50",
    }
    witness = Witness(arena.kafka.bootstrap, arena.registry.url, event.topic, ledger)
    story = _Story(outcome, event, witness, environ, folder, warehouse)
    try:
        for point in arena.points(arena.dose.dead_runs):
            origin, death = PAIRS[point % len(PAIRS)]
            if death == "host" and not can_be_a_host():
                outcome.told.append("Error: this login may not make namespaces")
                continue
            try:
                story.tell(point, origin, death)
            except Exception as error:
                traceback.print_exc()  # the line where it happened is half of the information
                outcome.failures.append(
                    f"{origin}, {death}: {type(error).__name__}: {error} [{arena.replay(NAME, point)}]"
                )
    finally:
        story.end()
    return outcome


class _Story:
    def __init__(
        self,
        outcome: Outcome,
        event: Event,
        witness: Witness,
        environ: dict[str, str],
        folder: Path,
        warehouse: Path,
    ) -> None:
        self._outcome, self._event, self._witness = outcome, event, witness
        self._environ, self._folder, self._warehouse = environ, folder, warehouse
        self._host = DagsterHost(environ, folder)
        self._up: str = ""  # which servers run, and on which host
        self._opened = ExitStack()
        self._instance: dg.DagsterInstance | None = None

    def end(self) -> None:
        if self._up:
            self._host.kill()
        self._opened.close()

    def tell(self, point: int, origin: str, death: str) -> None:
        window = self._event.windows.window(f"2013-03-{1 + point:02d}")
        # The code server of `sluice ui` belongs to a process that starts no other one by itself. There
        # Dagster fails a backfill at once; for the other origins both are tried.
        self._serve(apart=death == "host" and origin != "terminal", ui=origin == "UI")
        instance = self._instance
        assert instance is not None
        since = self._witness.ends()  # records that exist already may have schemas of another registry
        before = {run.run_id for run in instance.get_runs()}
        terminal = self._launch(origin, window.key, apart=death == "host")
        dead = until(lambda: self._at_work(before, since), f"a run of {origin} at work", log=self._host.log)
        self._die(dead, death, terminal)
        died = time.monotonic()
        if death in ("host", "everything") and origin != "terminal":
            self._serve(ui=origin == "UI")
            died = time.monotonic()  # when the daemon returned
        if terminal is not None:
            self._again(window.key)
        until(lambda: self._status(dead) == "FAILURE", f"the end of {origin}'s run", log=self._host.log)
        seconds = time.monotonic() - died
        if terminal is None:
            until(lambda: self._retried(dead), f"the retry of {origin}'s run", log=self._host.log)
            seconds_free = time.monotonic() - died
            self._outcome.facts[f"{origin}, {death}: seconds until its windows were published"] = round(
                seconds_free
            )
        self._outcome.facts[f"{origin}, {death}: seconds until it was failed"] = round(seconds)
        if seconds > _PROMISED_SECONDS:
            self._outcome.failures.append(f"{origin}, {death}: failed after {seconds:.0f} s")
        info = instance.event_log_storage.get_concurrency_info(topic_pool(self._event))
        if dead in info.active_run_ids | info.pending_run_ids:
            self._outcome.failures.append(f"{origin}, {death}: it still has its place in the topic's pool")
        self._judge(window, since, f"{origin}, {death}")

    def _serve(self, *, apart: bool = False, ui: bool = False) -> None:
        wanted = f"{'apart' if apart else 'here'}, {'ui' if ui else 'servers'}"
        if self._up == wanted:
            return
        if self._up:
            self._host.kill()
        self._host.start(apart=apart, ui=ui)
        self._up = wanted
        if self._instance is None:
            self._instance = self._opened.enter_context(dg.DagsterInstance.from_config(str(self._host.home)))

    def _launch(self, origin: str, window: str, *, apart: bool) -> Launched | None:
        self._outcome.launches += 1
        if origin == "terminal":
            argv: list[str] = [sys.executable, "-m", "pipelines.cli", "publish", _EVENT, window]
            argv = as_host(argv, self._host.home / "sluice-runs") if apart else argv
            return command(argv, environ=self._environ, log=self._folder / f"{window}-killed.log")
        tags = [{"key": "dagster/partition", "value": window}]
        if origin == "backfill":
            asked = {"assetSelection": _ASSETS, "partitionNames": [window]}
            done = self._host.ask(_BACKFILL, p=asked)["launchPartitionBackfill"]
            assert done["__typename"] == "LaunchBackfillSuccess", done
            return None
        if origin == "schedule":
            tags = [*self._request(window), {"key": "dagster/schedule_name", "value": "daily"}]
        done = self._host.ask(
            _LAUNCH,
            p={
                "selector": {**_LOCATION, "jobName": "__ASSET_JOB", "assetSelection": _ASSETS},
                "runConfigData": {},
                "executionMetadata": {"tags": tags},
            },
        )["launchRun"]
        assert done["__typename"] == "LaunchRunSuccess", done
        return None

    def _request(self, window: str) -> list[dict[str, str]]:
        """The runs that a tick of the schedule requests at the end of the window."""
        end = self._event.windows.window(window).end + self._event.windows.delay
        name = "daily" if not self._event.windows.delay else "daily_after_6h"
        tick = self._host.ask(_TICK, s={**_LOCATION, "scheduleName": name}, t=end.timestamp())
        requests: list[dict[str, Any]] = tick["scheduleDryRun"]["evaluationResult"]["runRequests"]
        (request,) = [one for one in requests if one["runKey"] == f"{self._event.full_name}|{window}"]
        found: list[dict[str, str]] = request["tags"]
        return found

    def _at_work(self, before: set[str], since: dict[int, int]) -> str:
        """The new run, as soon as some of its transactions are committed."""
        assert self._instance is not None
        new = [run for run in self._instance.get_runs() if run.run_id not in before]
        return new[0].run_id if new and self._witness.visible(since) else ""

    def _die(self, run_id: str, death: str, terminal: Launched | None) -> None:
        assert self._instance is not None
        if terminal is not None:
            # In namespaces this is the host's init, and all its processes end with it.
            assert terminal.kill(), terminal.said
            return
        if death in ("host", "everything"):
            self._host.kill()
            self._up = ""
            return
        worker = self._host.worker(self._instance, run_id)
        if death == "worker and code server":
            kill(parent_of(worker))
        kill(worker)

    def _again(self, window: str) -> None:
        """Publish the topic again, from another terminal."""
        self._outcome.launches += 1
        argv = [sys.executable, "-m", "pipelines.cli", "publish", _EVENT, window]
        again = command(argv, environ=self._environ, log=self._folder / f"{window}-again.log")
        if again.wait(300) != 0:
            self._outcome.failures.append(f"`sluice publish` ended with {again.code}:\n{again.said}")

    def _status(self, run_id: str) -> str:
        assert self._instance is not None
        found = self._instance.get_run_by_id(run_id)
        assert found is not None
        return found.status.value

    def _retried(self, run_id: str) -> bool:
        assert self._instance is not None
        runs = self._instance.get_runs(filters=dg.RunsFilter(tags={"dagster/parent_run_id": run_id}))
        return any(run.status == dg.DagsterRunStatus.SUCCESS for run in runs)

    def _judge(self, window: Any, since: dict[int, int], which: str) -> None:
        wanted = Counter(
            repr(canonical(row)) for row in warehouse_rows(self._warehouse, self._event, [window])
        )
        records = self._witness.records(since)
        values = [{k: v for k, v in (r.value or {}).items() if k != self._event.event_id} for r in records]
        if Counter(repr(canonical(value)) for value in values) != wanted:
            self._outcome.failures.append(
                f"{which}: {len(records)} records, {wanted.total()} rows, or others"
            )
        entry = self._witness.entries().get(window.key)
        self._outcome.failures += [f"{which}: {problem}" for problem in ledger_problems(records, entry)]
        self._outcome.checked += 1
