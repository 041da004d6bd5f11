"""A registry that cannot be reached, is slow or strict:
reported in words, and only what may pass is a transient error."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from resources.dev.servers.ports import free_ports
from resources.registry import ConfluentRegistry, RegistryRefused, RegistryUnavailable
from tests.fixtures_servers import RegistryServer

QUICK = {"max.retries": "0"}


def test_nobody_listening_is_a_passing_fault_that_names_the_address() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    registry = ConfluentRegistry({"url": url, **QUICK})
    with pytest.raises(RegistryUnavailable, match=url):
        registry.latest("topic-value")
    registry.close()


def test_a_registry_that_hangs_is_given_up_after_the_timeout(embedded_registry: RegistryServer) -> None:
    registry = ConfluentRegistry({"url": embedded_registry.url, "timeout": "0.5", **QUICK})
    embedded_registry.pause()
    try:
        with pytest.raises(RegistryUnavailable, match="did not answer"):
            registry.latest("topic-value")
    finally:
        embedded_registry.resume()
    registry.close()


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(RegistryRefused, match=r"basic\.auth\.user\.infos"):
        ConfluentRegistry({"url": "http://127.0.0.1:1", "basic.auth.user.infos": "a:b"})


def test_a_registry_on_this_machine_is_reached_in_spite_of_a_proxy(
    embedded_registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_ports(1)[0]}")
    registry = ConfluentRegistry({"url": embedded_registry.url, **QUICK})
    assert registry.latest("nobody-registered-this-value") is None
    registry.close()


class _Guarded(http.server.BaseHTTPRequestHandler):
    """401 without a login, 503 with any login."""

    def do_GET(self) -> None:
        login = self.headers.get("Authorization")
        status = 401 if login is None else 503
        body = b'{"error_code": 1, "message": "no"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def guarded() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Guarded) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_refused_login_is_not_retried_by_sluice(guarded: str) -> None:
    registry = ConfluentRegistry({"url": f"http://{guarded}", **QUICK})
    with pytest.raises(RegistryRefused, match="login"):
        registry.latest("topic-value")
    registry.close()


def test_a_server_error_may_pass_and_the_password_is_not_told(guarded: str) -> None:
    registry = ConfluentRegistry({"url": f"http://ann:s3cret@{guarded}", **QUICK})
    with pytest.raises(RegistryUnavailable) as fault:
        registry.latest("topic-value")
    assert "s3cret" not in str(fault.value)
    registry.close()


def test_a_login_reaches_the_registry(guarded: str) -> None:
    registry = ConfluentRegistry({"url": f"http://{guarded}", "basic.auth.user.info": "ann:s3cret", **QUICK})
    with pytest.raises(RegistryUnavailable, match="503"):
        registry.latest("topic-value")
    registry.close()
