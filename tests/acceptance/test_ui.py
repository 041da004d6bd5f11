"""An operator at work: the real web server and daemon,
headless Chromium, assertions about the visible text."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from dagster._core.scheduler.instigation import ScheduleInstigatorData
from playwright.sync_api import Page, expect, sync_playwright

from tests.acceptance.conftest import Project, installed
from tests.acceptance.expected import sorted_rows, warehouse_rows
from tests.fixtures_servers import KafkaServer, RegistryServer, own_ports, required
from tests.foreign_page import ATTEMPTS, attempt, connects, foreign_site

pytestmark = pytest.mark.browser

T = TypeVar("T")

_SECONDS = 180
# With it the daemon looks for work every few seconds: tests/acceptance/eager/sitecustomize.py.
_EAGER = Path(__file__).parent / "eager"
# The seconds of each ten between two checks of the schedules: the last check is over, however slow, and the
# next one is not near.
_BETWEEN_LOOKS = range(3, 6)
_CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Read now: later the environment of a project has no variable that Sluice does not know.
_SCREENSHOTS = os.environ.get("SLUICE_SCREENSHOTS")
_SLUICE = Path(sys.executable).parent / "sluice"
_SELECTOR = {"repositoryLocationName": "sluice", "repositoryName": "__repository__"}


@dataclass
class Ui:
    """A running `sluice ui`."""

    url: str
    log: Path
    project: Project

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer of Dagster's GraphQL API."""
        answer = httpx.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60, trust_env=False
        ).json()
        assert "errors" not in answer, answer
        found: dict[str, Any] = answer["data"]
        return found

    def until(self, done: Callable[[], T], what: str) -> T:
        """The first true result of `done`, or a failure that shows the end of the log."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if found := done():
                return found
            time.sleep(0.5)
        raise AssertionError(f"{what}: not within {_SECONDS} s\n{self.log.read_text()[-3000:]}")

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """Runs with these tags."""
        wanted = [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()]
        found = self.ask(_RUNS, tags=wanted)["runsOrError"]["results"]
        return list(found)


_RUNS = """query($tags: [ExecutionTag!]) { runsOrError(filter: {tags: $tags}) { ... on Runs { results {
    runId status pipelineName tags { key value } repositoryOrigin { repositoryLocationName }
    stepStats { stepKey status } assetMaterializations { assetKey { path } partition }
} } } }"""


@pytest.fixture(scope="module")
def ui(
    kafka: KafkaServer,
    apicurio: RegistryServer,
    sample_warehouse: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("ui")
    with installed(kafka, apicurio, sample_warehouse, folder) as project, _served(project, folder) as running:
        yield running


@contextmanager
def _served(project: Project, folder: Path) -> Iterator[Ui]:
    (port,) = own_ports(1)
    elsewhere, log = folder / "elsewhere", folder / "ui.log"
    elsewhere.mkdir()
    with log.open("w") as out:
        server = subprocess.Popen(
            [_SLUICE, "ui", "--port", str(port)],
            cwd=elsewhere,
            # As in an operator's shell, except for the path.
            env={**os.environ, **project.environ, "PYTHONPATH": str(_EAGER)},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Ui(f"http://127.0.0.1:{port}", log, project)
    try:
        running.until(lambda: server.poll() is not None or _answers(running), "the web server")
        assert server.poll() is None, log.read_text()
        # Dagster shows a dialog once for a new home, over whatever page was opened.
        running.ask("mutation { setNuxSeen }")
        yield running
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            raise


def _answers(running: Ui) -> bool:
    try:
        found = running.ask("{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }")
    except (httpx.HTTPError, ValueError):
        return False
    return [entry["loadStatus"] for entry in found["workspaceOrError"]["locationEntries"]] == ["LOADED"]


@pytest.fixture
def page() -> Iterator[Page]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        (pytest.fail if required() else pytest.skip)("needs Chromium (Debian package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_CHROMIUM)
        opened = browser.new_page(viewport={"width": 1600, "height": 1200})
        opened.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield opened
        browser.close()


@pytest.fixture
def shot(page: Page, tmp_path: Path) -> Callable[[str], None]:
    """Saves what the page shows, as evidence and for people to look at."""
    folder = Path(_SCREENSHOTS) if _SCREENSHOTS else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(path=folder / f"{name}.png") and None  # type: ignore[return-value]


def test_an_operator_backfills_three_windows_and_reads_what_happened(
    ui: Ui, page: Page, shot: Callable[[str], None], sample_warehouse: Path
) -> None:
    event = ui.project.catalogue.find("flight_departed")
    before = ui.project.outsider.ends(event.topic)
    windows = event.windows.parse("2013-04-01..2013-04-03")
    wanted = {w.key: len(warehouse_rows(sample_warehouse, event, [w])) for w in windows}

    page.goto(f"{ui.url}/asset-groups")
    for group in ("flights", "weather"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    shot("1-asset-graph")

    page.locator(".CodeMirror").first.click()
    page.keyboard.type('key:"flights/flight_departed/*"')
    page.keyboard.press("Enter")
    for stage in ("sourced", "transformed", "published"):
        expect(page.get_by_text(f"flight_departed_{stage}", exact=True).first).to_be_visible()
    shot("2-event-selected")
    page.get_by_role("button", name=re.compile("Materialize all")).first.click()
    expect(page.get_by_text("Launch runs to materialize 3 assets")).to_be_visible()
    box = page.get_by_placeholder(re.compile("^ex: 2013"))
    box.fill("[2013-04-01...2013-04-03]")
    box.press("Tab")
    expect(page.get_by_text("3 partitions").first).to_be_visible()
    shot("3-materialize-dialog")
    page.get_by_role("button", name="Launch backfill").click()

    page.goto(f"{ui.url}/runs?view=backfills")
    page.locator("a[href*='/runs/b/']").first.click()
    expect(page.get_by_text("Succeeded", exact=True).first).to_be_visible(timeout=_SECONDS * 1000)
    expect(page.get_by_text("100% completed")).to_have_count(3)
    shot("4-backfill-succeeded")
    (run,) = ui.runs(**{"dagster__asset_partition_range_start": "2013-04-01"})
    assert run["status"] == "SUCCESS"
    assert len(run["assetMaterializations"]) == 9, "three windows in one run"

    for key, rows in wanted.items():
        page.goto(
            f"{ui.url}/assets/flights/flight_departed/flight_departed_published?view=partitions&partition={key}"
        )
        expect(page.get_by_text("Materialized (3)")).to_be_visible()
        for name, value in {
            "rows_published": str(rows),
            "rows_read": str(rows),
            "rows_dead": "0",
            "topic": event.topic,
            "generation": "1",
            "action": "backfill",
        }.items():
            expect(
                page.get_by_role("row", name=re.compile(rf"^{name}\s+{re.escape(value)}\b"))
            ).to_be_visible()
        for name in ("offsets", "schema_id", "sample", "rows_per_second"):
            expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text('"first":').first).to_be_visible()
    shot("5-published-partition")

    page.goto(f"{ui.url}/assets/flights/flight_departed/flight_departed_published")
    expect(page.get_by_text("A flight left its gate.").first).to_be_visible()
    expect(page.get_by_text("Registration of the aircraft.").first).to_be_visible()
    expect(page.get_by_text("flight-operations").first).to_be_visible()
    shot("6-published-overview")
    page.goto(f"{ui.url}/assets/flights/flight_departed/flight_departed_transformed?view=checks")
    expect(page.get_by_text("every row fits the contract").first).to_be_visible()
    shot("7-check")
    page.goto(f"{ui.url}/runs/{run['runId']}")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    shot("8-run")

    records = ui.project.outsider.read(event.topic, before)
    found = [{k: v for k, v in (r.value or {}).items() if k != "event_id"} for r in records]
    assert sorted_rows(found) == sorted_rows(warehouse_rows(sample_warehouse, event, windows))


def test_a_page_of_another_origin_launches_nothing(ui: Ui, page: Page) -> None:
    selector = '{repositoryLocationName: "sluice", repositoryName: "__repository__", jobName: "__ASSET_JOB"}'
    launch = f"mutation {{ launchRun(executionParams: {{selector: {selector}}}) {{ __typename }} }}"
    before = len(ui.runs())
    with foreign_site(*own_ports(1)) as site:
        page.goto(site)
        for way in ATTEMPTS:
            attempt(page, way, f"{ui.url}/graphql", launch)
        assert not connects(page, f"{ui.url}/graphql")
    assert len(ui.runs()) == before
    assert f"is of '{site}', not of this server" in ui.log.read_text()


@pytest.mark.matrix
def test_a_schedule_publishes(ui: Ui, page: Page, shot: Callable[[str], None]) -> None:
    event = ui.project.catalogue.find("weather_observed")
    listed = ui.ask(
        "query($s: RepositorySelector!) { schedulesOrError(repositorySelector: $s) { ... on Schedules { results {"
        " name cronSchedule executionTimezone description scheduleState { status } } } } }",
        s=_SELECTOR,
    )["schedulesOrError"]["results"]
    assert {s["name"] for s in listed} == {"hourly", "daily", "daily_after_6h", "weekly", "monthly_after_1d"}
    assert {s["scheduleState"]["status"] for s in listed} == {"STOPPED"}, "an operator turns them on"
    assert all(s["description"] and s["executionTimezone"] == "UTC" for s in listed)
    page.goto(f"{ui.url}/automation")
    expect(page.get_by_text("daily_after_6h")).to_be_visible()
    shot("9-schedules")

    before = ui.project.outsider.ends(event.topic)
    # The samples' windows ended in 2013:
    # the tick that completes the last one is tried, as an operator may do, and launched.
    window = event.windows.parse("2013-12-30-23:00")[0]
    tick = ui.ask(
        "mutation($s: ScheduleSelector!, $t: Float!) { scheduleDryRun(selectorData: $s, timestamp: $t) {"
        " ... on DryRunInstigationTick { evaluationResult { skipReason error { message } runRequests {"
        " runKey tags { key value } assetSelection { path } jobName runConfigYaml } } } } }",
        s={**_SELECTOR, "scheduleName": "hourly"},
        t=window.end.timestamp(),
    )["scheduleDryRun"]["evaluationResult"]
    (request,) = [r for r in tick["runRequests"] if event.full_name in r["runKey"]]
    launched = ui.ask(
        "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }",
        p={
            "selector": {
                **_SELECTOR,
                "jobName": "__ASSET_JOB",
                "assetSelection": request["assetSelection"],
            },
            "runConfigData": request["runConfigYaml"],
            "executionMetadata": {
                "tags": [*request["tags"], {"key": "dagster/schedule_name", "value": "hourly"}]
            },
        },
    )
    assert launched["launchRun"]["__typename"] == "LaunchRunSuccess"

    # A check between the next two steps would be remembered:
    # nothing missed, nothing to do until the next hour.
    ui.until(lambda: int(time.time()) % 10 in _BETWEEN_LOOKS, "an instant between two looks")
    started = ui.ask(
        "mutation($s: ScheduleSelector!) { startSchedule(scheduleSelector: $s) { __typename } }",
        s={**_SELECTOR, "scheduleName": "hourly"},
    )
    assert started["startSchedule"]["__typename"] == "ScheduleStateResult"
    # As if it had been turned on an hour ago: the daemon catches up with the tick that it has missed since.
    (state,) = [
        state for state in ui.project.instance.all_instigator_state() if state.instigator_name == "hourly"
    ]
    earlier = ScheduleInstigatorData("0 * * * *", start_timestamp=time.time() - 3601)
    ui.project.instance.update_instigator_state(state.with_data(earlier))
    skipped = ui.until(
        lambda: [
            tick.skip_reason
            for tick in ui.project.instance.get_ticks(state.instigator_origin_id, state.selector_id)
            if tick.skip_reason
        ],
        "a tick of the schedule",
    )
    assert "the windows of 1 ended before, a backfill publishes them" in skipped[0]

    (run,) = ui.until(
        lambda: [
            r for r in ui.runs(dagster__schedule_name="hourly") if r["status"] in ("SUCCESS", "FAILURE")
        ],
        "the run of the schedule",
    )
    assert run["status"] == "SUCCESS"
    assert run["pipelineName"] == "__ASSET_JOB"
    assert run["stepStats"] == [{"stepKey": "weather__weather_observed", "status": "SUCCESS"}]
    made = {("/".join(m["assetKey"]["path"]), m["partition"]) for m in run["assetMaterializations"]}
    stages = ("sourced", "transformed", "published")
    assert made == {(f"weather/weather_observed/weather_observed_{stage}", window.key) for stage in stages}
    records = ui.project.outsider.read(event.topic, before)
    assert {(r.value or {})["observed_at"] for r in records} == {window.start}


def test_runs_of_the_command_line_are_there(ui: Ui, page: Page, shot: Callable[[str], None]) -> None:
    told = subprocess.run(
        [_SLUICE, "publish", "flight_cancelled", "2013-02-08", "--json"],
        env={**os.environ, **ui.project.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    (window,) = json.loads(told.stdout)
    (run,) = ui.runs(sluice__launched_by="cli", sluice__event="flights/flight_cancelled")
    assert (run["runId"], run["status"]) == (window["run_id"], "SUCCESS")
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["dagster/partition"] == "2013-02-08"
    assert tags["dagster/code_location"] == "sluice"
    page.goto(f"{ui.url}/runs/{run['runId']}")
    expect(page.get_by_text("flights__flight_cancelled").first).to_be_visible()
    shot("10-run-of-the-command-line")
    page.goto(
        f"{ui.url}/assets/flights/flight_cancelled/flight_cancelled_published?view=partitions&partition=2013-02-08"
    )
    expect(page.get_by_text("Materialized (1)")).to_be_visible()


@pytest.mark.parametrize(
    ("config", "valid"),
    [
        ({"reason": "wrong airport names", "on_definition_change": "correct"}, True),
        ({}, True),
        ({"on_definition_change": "perhaps"}, False),
        ({"raeson": "a slip"}, False),
    ],
)
def test_run_config_is_validated(ui: Ui, config: dict[str, str], valid: bool) -> None:
    told = ui.ask(
        "query($p: PipelineSelector!, $c: RunConfigData!) { isPipelineConfigValid(pipeline: $p, runConfigData: $c,"
        ' mode: "default") { __typename ... on RunConfigValidationInvalid { errors { message } } } }',
        p={
            **_SELECTOR,
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": ["flights", "flight_departed", "flight_departed_published"]}],
        },
        c={"ops": {"flights__flight_departed": {"config": config}}},
    )["isPipelineConfigValid"]
    assert told["__typename"] == (
        "PipelineConfigValidationValid" if valid else "RunConfigValidationInvalid"
    ), told


_BACKFILL = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""


@pytest.mark.matrix
def test_an_operator_replays_windows_by_run_config(ui: Ui, page: Page, shot: Callable[[str], None]) -> None:
    event = ui.project.catalogue.find("flight_cancelled")
    published = [_SLUICE, "publish", event.name, "2013-02-10..2013-02-11"]
    subprocess.run(published, env={**os.environ, **ui.project.environ}, capture_output=True, check=True)  # type: ignore[arg-type]
    before = ui.project.outsider.ends(event.topic)
    launched = ui.ask(
        _BACKFILL,
        p={
            "assetSelection": [{"path": ["flights", "flight_cancelled", "flight_cancelled_published"]}],
            "partitionNames": ["2013-02-10", "2013-02-11"],
            "runConfigData": {
                "ops": {
                    "flights__flight_cancelled": {
                        "config": {
                            "replay": "stored",
                            "reason": "billing lost its state",
                            "requested_by": "anna",
                        }
                    }
                }
            },
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    (run,) = ui.until(
        lambda: [
            r
            for r in ui.runs(dagster__backfill=launched["backfillId"])
            if r["status"] in ("SUCCESS", "FAILURE")
        ],
        "the run of the replay",
    )
    assert run["status"] == "SUCCESS"
    replayed = ui.project.outsider.read(event.topic, before)
    ids = [record.headers["ce_id"] for record in replayed]
    assert len(ids) == len(set(ids)) > 0
    assert {record.headers["sluice_kind"] for record in replayed} == {b"replay"}
    assert {record.headers["sluice_reason"] for record in replayed} == {b"billing lost its state"}
    entries = ui.project.outsider.newest(ui.project.environ["SLUICE_LEDGER_TOPIC"])
    told = [
        e
        for e in entries.values()
        if e["event"] == event.full_name and e["window"] in ("2013-02-10", "2013-02-11")
    ]
    assert {(e["kind"], e["generation"], e["requested_by"], e["reason"]) for e in told} == {
        ("replay", 2, "anna", "billing lost its state")
    }
    page.goto(
        f"{ui.url}/assets/flights/flight_cancelled/flight_cancelled_published?view=partitions&partition=2013-02-10"
    )
    expect(page.get_by_role("row", name=re.compile(r"^action\s+replay\b"))).to_be_visible()
    shot("11-replayed")
