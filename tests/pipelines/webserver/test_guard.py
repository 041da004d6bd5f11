"""Which requests the guard lets through: a table of requests of browsers and programs, without a server."""

import asyncio
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote

import pytest

from pipelines.webserver.authority import parse_hosts
from pipelines.webserver.guard import Guard

JSON = ("content-type", "application/json")
PASSED = 200
CLOSED = {"type": "websocket.close", "code": 1008}
MUTATION = "mutation { launchRun { __typename } }"


async def _app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": PASSED, "headers": []})
        await send({"type": "http.response.body", "body": b"passed on"})
    else:
        await send({"type": "websocket.accept"})


def answer(
    *headers: tuple[str, str],
    method: str = "GET",
    path: str = "/",
    query: str = "",
    kind: str = "http",
    host: str | None = "localhost:3000",
    listens_on: str = "127.0.0.1",
    dialled: tuple[str, int | None] | None = ("127.0.0.1", 3000),
    hosts: str = "",
) -> list[MutableMapping[str, Any]]:
    """The messages that the guard sends for one request."""
    named = [] if host is None else [("host", host)]
    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in (*named, *headers)],
        "server": dialled,
        **({"method": method} if kind == "http" else {}),
    }
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(Guard(_app, listens_on, parse_hosts(hosts))(scope, receive, send))
    return sent


def status(*headers: tuple[str, str], **more: Any) -> int:
    return int(answer(*headers, **more)[0]["status"])


def posted(*headers: tuple[str, str], **more: Any) -> int:
    return status(*headers, method="POST", path=more.pop("path", "/graphql"), **more)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:3000", "localhost", "LOCALHOST:3000", "localhost.:3000", "localhost:8080", "127.0.0.1:3000",
        "127.0.0.1", "127.0.0.5:3000", "[::1]:3000", "[::1]", "[0:0:0:0:0:0:0:1]:3000", "[::ffff:127.0.0.1]:3000",
    ],
)  # fmt: skip
def test_the_loopback_addresses_are_answered(host: str) -> None:
    assert status(host=host) == PASSED


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example:3000", "10.0.0.5:3000",
        "evil.localhost", "localhost@evil.example", "evil.example@localhost", "localhost:3000/", "localhost, evil.example",
        "localhost:", "localhost:0", "localhost:99999", "localhost..", "[::2]:3000", "::1", "[localhost]", "[::1", "", " ",
        "0.0.0.0:3000", "127.1", "2130706433", "0x7f.0.0.1", "127.000.0.1", "löcalhost", "localhost\x00", "x" * 5000,
    ],
)  # fmt: skip
def test_another_host_is_refused_with_what_is_allowed(host: str) -> None:
    assert answer(host=host, kind="websocket") == [CLOSED]
    start, body = answer(host=host)
    assert start["status"] == 421
    text = body["body"].decode()
    assert "Allowed: 127.0.0.1, localhost. " in text and "SLUICE_UI_HOSTS" in text
    assert text.isascii() and len(text) < 500


def test_exactly_one_host_is_needed() -> None:
    assert status(host=None) == 400
    assert status(("host", "localhost:3000")) == 400
    assert status(("host", "evil.example")) == 400
    assert answer(host=None, kind="websocket") == [CLOSED]


@pytest.mark.parametrize(
    ("host", "more", "expected"),
    [
        ("10.0.0.5:3000", {"listens_on": "10.0.0.5"}, PASSED),
        ("10.0.0.5:3000", {"listens_on": "0.0.0.0", "dialled": ("10.0.0.5", 3000)}, PASSED),
        ("10.0.0.6:3000", {"listens_on": "0.0.0.0", "dialled": ("10.0.0.5", 3000)}, 421),
        ("[FD00:0::5]:3000", {"listens_on": "::", "dialled": ("fd00::5", 3000)}, PASSED),
        ("10.0.0.5:3000", {"listens_on": "::", "dialled": ("::ffff:10.0.0.5", 3000)}, PASSED),
        ("Sluice.Internal:3000", {"listens_on": "sluice.internal"}, PASSED),
        ("sluice.internal:3000", {"listens_on": "0.0.0.0"}, 421),
        ("sluice.internal:3000", {"hosts": "other, Sluice.internal."}, PASSED),
        ("sluice.internal:3000", {"hosts": "sluice.internal:8443"}, PASSED),
        ("evil.example", {"hosts": "sluice.internal"}, 421),
        ("[fd00::7]:3000", {"hosts": "fd00:0::7"}, PASSED),
        ("localhost", {"dialled": None}, PASSED),
        ("", {"dialled": ("/run/sluice.sock", None)}, 421),
    ],
)
def test_the_address_listened_on_and_the_setting_are_answered(
    host: str, more: dict[str, Any], expected: int
) -> None:
    assert status(host=host, **more) == expected


@pytest.mark.parametrize(
    ("host", "origin", "hosts", "expected"),
    [
        ("localhost:3000", "http://localhost:3000", "", PASSED),
        ("localhost:3000", "HTTP://LOCALHOST:3000", "", PASSED),
        ("[::1]:3000", "http://[::1]:3000", "", PASSED),
        ("localhost", "http://localhost", "", PASSED),
        ("localhost:80", "http://localhost", "", PASSED),
        ("localhost", "https://localhost", "", PASSED),  # behind a proxy with TLS
        ("localhost:3000", "https://localhost:3000", "", PASSED),
        ("localhost:3000", "http://localhost:3001", "", 403),
        ("localhost:3000", "http://localhost", "", 403),
        ("localhost", "http://localhost:3000", "", 403),
        ("localhost:3000", "http://127.0.0.1:3000", "", 403),
        ("localhost:3000", "http://evil.example", "", 403),
        ("localhost:3000", "http://localhost:3000.evil.example", "", 403),
        ("localhost:3000", "http://localhost:3000@evil.example", "", 403),
        ("localhost:3000", "null", "", 403),
        ("localhost:3000", "", "", 403),
        ("localhost:3000", "file://", "", 403),
        ("localhost:3000", "chrome-extension://localhost:3000", "", 403),
        ("localhost:3000", "localhost:3000", "", 403),
        ("localhost:3000", "http://localhost:3000, http://evil.example", "", 403),
        ("localhost:3000", "https://sluice.example", "sluice.example", PASSED),
        ("localhost:3000", "https://sluice.example:8443", "sluice.example", 403),
        ("localhost:3000", "https://sluice.example:8443", "sluice.example:8443", PASSED),
        ("sluice.example:3000", "http://sluice.example:3000", "sluice.example", PASSED),
        ("sluice.example:3000", "http://sluice.example:3001", "sluice.example", 403),
        ("localhost:3000", "https://evil.sluice.example", "sluice.example", 403),
    ],
)
def test_only_pages_of_this_server_or_of_the_setting_write(
    host: str, origin: str, hosts: str, expected: int
) -> None:
    header = ("origin", origin)
    assert posted(header, JSON, host=host, hosts=hosts) == expected
    assert posted(header, JSON, path="/report_asset_materialization/x", host=host, hosts=hosts) == expected
    assert status(header, method="OPTIONS", path="/graphql", host=host, hosts=hosts) == expected
    assert status(header, path="/asset-groups", host=host, hosts=hosts) == PASSED, "a page is only shown"
    socket = answer(header, kind="websocket", path="/graphql", host=host, hosts=hosts)
    assert socket == [{"type": "websocket.accept"} if expected == PASSED else CLOSED]


@pytest.mark.parametrize(
    ("site", "expected"),
    [("same-origin", PASSED), ("none", PASSED), ("same-site", 403), ("cross-site", 403), ("", 403)],
)
def test_a_browser_that_says_the_page_is_foreign_is_believed(site: str, expected: int) -> None:
    header = ("sec-fetch-site", site)
    assert posted(header, JSON) == expected
    # A page over HTTP of the host that is served over HTTPS: the same name, another origin.
    assert posted(header, ("origin", "http://localhost:3000"), JSON) == expected
    assert posted(header, ("origin", "https://sluice.example"), JSON, hosts="sluice.example") == PASSED
    assert posted(("sec-fetch-site", "none"), header, JSON) == expected


def test_two_origins_are_refused() -> None:
    ours = ("origin", "http://localhost:3000")
    assert posted(ours, ours, JSON) == 403


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("application/json", PASSED),
        ("Application/JSON; charset=utf-8", PASSED),
        ("application/graphql", PASSED),
        ("text/plain", 415),
        ("text/plain; application/json", 415),
        ("text/plain;charset=application/json", 415),
        ("text/plain, application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=application/json", 415),
        ("application/jsonx", 415),
        ("", 415),
        (None, 415),
    ],
)
def test_graphql_is_posted_as_json_or_graphql_only(given: str | None, expected: int) -> None:
    headers = [] if given is None else [("content-type", given)]
    assert posted(*headers) == expected
    elsewhere = 415 if given == "application/graphql" else expected
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert status(*headers, method=method, path="/report_asset_check/x") == elsewhere


def test_two_content_types_are_refused() -> None:
    assert posted(JSON, ("content-type", "text/plain")) == 415
    assert posted(("content-type", "text/plain"), JSON) == 415


READ = "{ version }"


@pytest.mark.parametrize(
    ("queries", "expected"),
    [
        ([], PASSED),
        ([READ], PASSED),
        (["query A { version } query B { version }"], PASSED),
        (["{ runs { ...mutation } } fragment mutation on Runs { __typename }"], PASSED),
        (['{ run(id: "mutation") { __typename } }'], PASSED),
        ([MUTATION], 405),
        (["mutation M { launchRun { __typename } } query Q { version }"], 405),
        (["query Q { version } mutation M { launchRun { __typename } }"], 405),
        (["# {\n mutation { launchRun { __typename } }"], 405),
        (["\ufeff,,mutation{launchRun{__typename}}"], 405),
        (["subscription { pipelineRunLogs(runId: 1) { __typename } }"], 405),
        (["mutation"], 405),
        ([""], 405),
        (["{ version } junk"], 405),
        (["{a" * 20_000], 405),
        ([READ + " " * 200_000], 405),
        ([READ, MUTATION], 405),
        ([MUTATION, READ], 405),
    ],
)
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/prefix/graphql", "/a/b/graphql"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_by_get_queries_are_executed_and_nothing_else(
    queries: list[str], expected: int, path: str, method: str
) -> None:
    query = "&".join(f"query={quote(text)}" for text in queries)
    # Also if the page comes from this server: its pages never send a mutation in this way.
    for header in ("accept", "*/*"), ("origin", "http://localhost:3000"), ("sec-fetch-site", "same-origin"):
        assert status(header, path=path, query=query, method=method) == expected


def test_the_playground_is_shown_with_a_mutation_in_its_address() -> None:
    asked = f"query={quote(MUTATION)}"
    assert status(("accept", "text/html,*/*"), path="/graphql", query=asked) == PASSED
    # Dagster reads only the first header.
    assert status(("accept", "*/*"), ("accept", "text/html"), path="/graphql", query=asked) == 405


def test_a_program_needs_neither_origin_nor_anything_else_of_a_browser() -> None:
    assert posted(JSON) == PASSED
    assert answer(kind="websocket", path="/graphql") == [{"type": "websocket.accept"}]


def test_a_page_of_another_site_cannot_show_these_pages_inside_itself() -> None:
    started = answer()[0]
    assert (b"x-frame-options", b"SAMEORIGIN") in started["headers"]


def test_a_refusal_names_the_page_harmlessly_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def nothing() -> dict[str, Any]:
        return {}

    sent: list[Any] = []

    async def keep(message: Any) -> None:
        sent.append(message)

    guard = Guard(_app, "127.0.0.1", frozenset())
    origin = b"http://evil.example/\x1b[31m"
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "server": None}
    scope |= {"headers": [(b"host", b"localhost"), (b"origin", origin)]}  # type: ignore[dict-item]
    for _ in range(3):
        asyncio.run(guard(scope, nothing, keep))
    assert "is of 'http://evil.example/\\x1b[31m', not of this server" in sent[1]["body"].decode()
    assert len(caplog.records) == 1
    for port in range(200):
        scope["headers"] = [(b"host", b"localhost"), (b"origin", f"http://evil.example:{port + 1}".encode())]  # type: ignore[assignment]
        asyncio.run(guard(scope, nothing, keep))
    assert len(caplog.records) == 100, "a stranger cannot fill the log"


def test_the_servers_start_and_end_are_passed_on() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001
        seen.append(scope["type"])

    asyncio.run(Guard(app, "127.0.0.1", frozenset())({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
