"""The real web server with the guard; programs and pages in a real browser send it requests.

Without a daemon a launched run waits in the queue: it exists, but costs no process.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.fixtures_servers import own_ports, required
from tests.foreign_page import ATTEMPTS, CONNECTS, attempt, connects, foreign_site

pytestmark = pytest.mark.slow

_SECONDS = 120
_DEFINITIONS = """\
import dagster as dg

@dg.asset
def thing() -> None: ...

defs = dg.Definitions(assets=[thing])
"""
_SELECTOR = '{repositoryLocationName: "defs.py", repositoryName: "__repository__", jobName: "__ASSET_JOB"}'
LAUNCH = f"mutation {{ launchRun(executionParams: {{selector: {_SELECTOR}}}) {{ __typename }} }}"
_RUNS = "{ runsOrError { ... on Runs { results { runId } } } }"


@dataclass
class Served:
    """A running web server; `url` includes its path prefix."""

    url: str
    log: Path

    @property
    def graphql(self) -> str:
        return f"{self.url}/graphql"

    def post(self, query: str, **headers: str) -> httpx.Response:
        return httpx.post(self.graphql, json={"query": query}, headers=headers, timeout=60, trust_env=False)

    def runs(self) -> int:
        return len(self.post(_RUNS).json()["data"]["runsOrError"]["results"])


Servers = dict[str, Served]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """`guarded`, `reading` (read-only, with a path prefix), and, to compare with, Dagster's own, `plain`."""
    folder = tmp_path_factory.mktemp("webserver")
    (folder / "defs.py").write_text(_DEFINITIONS)
    guarded = ["-m", "pipelines.cli", "webserver"]
    commands = {
        "guarded": (guarded, ""),
        "reading": ([*guarded, "--read-only", "--path-prefix", "/some/prefix"], "/some/prefix"),
        "plain": (["-m", "dagster_webserver"], ""),
    }
    found, processes = {}, []
    for (name, (arguments, prefix)), port in zip(commands.items(), own_ports(len(commands)), strict=True):
        home = folder / name
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "DAGSTER_"))}
        environ |= {"DAGSTER_HOME": str(home), "SLUICE_HOME": str(home / "sluice")}
        found[name] = Served(f"http://127.0.0.1:{port}{prefix}", home / "log")
        with found[name].log.open("w") as out:
            processes.append(
                subprocess.Popen(
                    [sys.executable, *arguments, "-f", str(folder / "defs.py"), "-p", str(port)],
                    env=environ,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
    try:
        for server, process in zip(found.values(), processes, strict=True):
            _until(lambda s=server, p=process: p.poll() is not None or _answers(s), server.log)  # type: ignore[misc]
            assert process.poll() is None, server.log.read_text()
        yield found
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise


def _answers(server: Served) -> bool:
    try:
        return server.post("{ version }").is_success
    except httpx.HTTPError:
        return False


def _until(done: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while not done():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        (pytest.fail if required() else pytest.skip)("needs Chromium (Debian package chromium)")
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    # Somebody else's host name that leads to this machine, as after DNS rebinding.
    arguments.append("--host-resolver-rules=MAP rebound.example 127.0.0.1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Page]:
    opened = chromium.new_page(viewport={"width": 1600, "height": 1200})
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


def test_programs_read_and_launch_and_nothing_is_launched_by_get(servers: Servers) -> None:
    server = servers["guarded"]
    before = server.runs()
    assert httpx.get(server.graphql, params={"query": LAUNCH}).status_code == 405
    assert httpx.get(server.graphql, params={"query": _RUNS}).is_success
    assert httpx.post(server.graphql, params={"query": LAUNCH}).status_code == 415
    assert server.post(LAUNCH, Host="rebound.example").status_code == 421
    assert server.post(LAUNCH, Origin="http://127.0.0.1:1").status_code == 403
    assert server.runs() == before
    assert server.post(LAUNCH).json()["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"
    assert server.runs() == before + 1


def test_a_websocket_is_for_programs_and_own_pages(servers: Servers) -> None:
    address = servers["guarded"].graphql.replace("http", "ws")
    for origin in (None, servers["guarded"].url):
        with connect(address, origin=origin, subprotocols=["graphql-ws"], proxy=None) as socket:  # type: ignore[arg-type,list-item]
            socket.send(json.dumps({"type": "connection_init"}))
            assert json.loads(socket.recv(timeout=60)) == {"type": "connection_ack"}
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(address, origin="http://127.0.0.1:1", proxy=None),  # type: ignore[call-overload]
    ):
        pass


def test_a_read_only_server_refuses_launches_under_its_prefix(servers: Servers) -> None:
    server = servers["reading"]
    assert server.post(LAUNCH).json()["data"]["launchRun"]["__typename"] == "UnauthorizedError"
    backfill = 'mutation { launchPartitionBackfill(backfillParams: {assetSelection: [{path: ["thing"]}]}) { __typename } }'
    assert (
        server.post(backfill).json()["data"]["launchPartitionBackfill"]["__typename"] == "UnauthorizedError"
    )
    reported = httpx.post(f"{server.url}/report_asset_materialization/thing", json={})
    assert reported.status_code == 401
    assert server.runs() == 0
    assert httpx.get(server.graphql, params={"query": LAUNCH}).status_code == 405
    assert server.post("{ version }", Origin="http://127.0.0.1:1").status_code == 403


@pytest.mark.browser
@pytest.mark.parametrize("name", ["plain", "guarded"])
def test_a_page_of_another_origin_launches_nothing(servers: Servers, page: Page, name: str) -> None:
    server = servers[name]
    (port,) = own_ports(1)
    with foreign_site(port) as site:
        page.goto(site)
        before = server.runs()
        for done, way in enumerate(ATTEMPTS, start=1):
            attempt(page, way, server.graphql, LAUNCH)
            if name == "plain":  # so these requests do launch runs if there is no guard
                _until(lambda done=done: server.runs() == before + done, server.log)  # type: ignore[misc]
        assert connects(page, server.graphql) is (name == "plain")
    if name == "guarded":
        assert server.runs() == before
        assert f"is of '{site}', not of this server" in server.log.read_text()


@pytest.mark.browser
def test_a_page_whose_name_leads_here_gets_nothing(servers: Servers, page: Page) -> None:
    server = servers["guarded"]
    before = server.runs()
    answer = page.goto(server.url.replace("127.0.0.1", "rebound.example"))
    assert answer and answer.status == 421
    assert "SLUICE_UI_HOSTS" in answer.text()
    sent = page.evaluate(
        "async query => (await fetch('/graphql', {method: 'POST', body: JSON.stringify({query}),"
        " headers: {'content-type': 'application/json'}})).status",
        LAUNCH,
    )
    assert sent == 421
    assert server.runs() == before


@pytest.mark.browser
def test_dagsters_own_page_launches_a_run(servers: Servers, page: Page) -> None:
    server = servers["guarded"]
    before = server.runs()
    page.goto(f"{server.url}/assets/thing")
    page.get_by_role("button", name=re.compile("Materialize")).first.click()
    _until(lambda: server.runs() == before + 1, server.log)
    page.goto(f"{server.url}/graphql?query={{version}}")
    expect(page.locator("#graphiql, .graphiql-container").first).to_be_visible()
    page.evaluate(f"() => {{ {CONNECTS} }}")
    assert connects(page, server.graphql)
