"""Another server at the registry's address:
every command says what it is, once, and sends no more requests."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from pipelines.cli.actions.doctor import _registry
from resources.registry import RightMissing

if TYPE_CHECKING:
    from resources.platform import Platform
    from tests.pipelines.cli.conftest import Sluice

WINDOW = "2013-01-01"
SAID = "answered HTML, not the registry's JSON"
API = "is the url that of a Confluent-compatible API, with its path?"


class _LogIn(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b"<!DOCTYPE html><html><body>Please log in</body></html>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def log_in_page() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _LogIn) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://ann:s3cret@127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def published(sluice: "Sluice") -> None:
    """A window on the topic, published with the real registry."""
    told = sluice("publish", "flight_cancelled", WINDOW)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("doctor",), 1),
        (("check", "flight_cancelled", WINDOW), 1),
        (("check", "flight_cancelled", WINDOW, "--json"), 1),
        (("register", "flight_cancelled"), 1),
        (("preview", "flight_cancelled", WINDOW), 0),
        (("publish", "flight_cancelled", "2013-01-02"), 1),
        (("tail", "flight_cancelled"), 1),
    ],
)
def test_every_command_that_needs_the_registry_says_what_answered(
    sluice: "Sluice", log_in_page: str, arguments: tuple[str, ...], code: int
) -> None:
    told = sluice(*arguments, SLUICE_REGISTRY_URL=log_in_page)
    said = " ".join((told.stdout + told.stderr).split())
    assert SAID in said, said
    assert "Traceback" not in said
    assert "trying again" not in said
    assert "s3cret" not in said
    assert told.returncode == code, said
    if code:
        assert API in said


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "flight_cancelled", WINDOW),
        ("plan", "flight_cancelled", WINDOW),
        ("redrive", "flight_cancelled", WINDOW),
    ],
)
def test_what_can_be_said_without_the_registry_is_said_and_nothing_ends_in_a_traceback(
    sluice: "Sluice", log_in_page: str, arguments: tuple[str, ...]
) -> None:
    told = sluice(*arguments, SLUICE_REGISTRY_URL=log_in_page)
    said = told.stdout + told.stderr
    assert "Traceback" not in said and "a defect" not in said, said
    assert "not registered" not in said
    assert "s3cret" not in said


class _Denied:
    def lookup(self, *_: str) -> int:
        raise RightMissing(
            "registry", "the registry refused the login or the right: User is denied (HTTP 403)"
        )


def test_a_login_that_may_read_its_own_subjects_alone_is_no_fault_of_the_registry() -> None:
    platform = SimpleNamespace(
        registry=_Denied(), settings=SimpleNamespace(registry_url="http://ann:s3cret@registry:8081")
    )
    told = _registry(cast("Platform", platform))
    assert told.startswith("http://********@registry:8081 answers; this login may not read every subject")
