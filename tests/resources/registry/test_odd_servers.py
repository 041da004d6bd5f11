"""The server at the address speaks something else, or stops in the middle:
only what may pass is a transient error."""

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from resources.errors import TransientError
from resources.registry import ConfluentRegistry, NotARegistry, RegistryRefused, RegistryUnavailable

QUICK = {"max.retries": "0", "timeout": "1", "ssl.ca.location": "false"}
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does `talk` with each connection, after it has received something, and then closes it."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    connection.settimeout(5)
                    with connection:
                        connection.recv(65_536)
                        talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def saying(content: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(content)


def asked(url: str, **properties: str) -> None:
    registry = ConfluentRegistry({"url": url, **QUICK, **properties})
    try:
        registry.latest("s-value")
    finally:
        registry.close()


@pytest.mark.parametrize(
    ("scheme", "content"),
    [
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n"),  # TLS, but the server does not speak it
        ("http", b"\x15\x03\x01\x00\x02\x02\x16"),  # no TLS, but the server speaks it
        ("http", b"SSH-2.0-OpenSSH\r\n\r\n"),
        ("http", b"\x00\x00\x00\x00\x00\x23"),  # a Kafka broker
        ("http", b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"),
        ("http", b"HTTP/1.1 200 OK\r\ncontent-length: -4\r\n\r\nabcd"),
    ],
)
def test_another_protocol_is_said_at_once(scheme: str, content: bytes) -> None:
    with (
        serving(saying(content)) as address,
        pytest.raises(RegistryRefused, match=r"does not speak|speaks plaintext") as raised,
    ):
        asked(f"{scheme}://{address}")
    assert "http" in str(raised.value.next_step)


def test_bytes_that_are_not_compressed_as_they_say_are_no_registrys() -> None:
    content = OK + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd"
    with serving(saying(content)) as address, pytest.raises(NotARegistry, match="content-encoding"):
        asked(f"http://{address}")


@pytest.mark.parametrize(
    "content",
    [b"", OK + b'content-length: 100\r\n\r\n{"id"', OK + b"transfer-encoding: chunked\r\n\r\n9\r\n{"],
)
def test_a_connection_that_is_cut_may_pass(content: bytes) -> None:
    with serving(saying(content)) as address, pytest.raises(RegistryUnavailable, match="did not answer"):
        asked(f"http://{address}")


def test_an_answer_that_never_ends_is_given_up() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(OK + b"content-length: 1000\r\n\r\n")
        while True:  # until the client closes the connection
            connection.sendall(b" ")
            threading.Event().wait(0.05)

    with serving(drip) as address, pytest.raises(RegistryUnavailable, match="not complete after 1 s"):
        asked(f"http://{address}")


def test_an_answer_that_is_too_large_is_no_registrys() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(OK + b"content-length: 1000000000\r\n\r\n")
        while True:
            connection.sendall(b" " * 65_536)

    with serving(flood) as address, pytest.raises(NotARegistry, match="more than 16 MB"):
        asked(f"http://{address}", timeout="30")


@pytest.mark.parametrize(
    "url", ["http://host:abc", "http://", "http://[::1", "http://x..y", "ftp://h", "mock://x"]
)
def test_an_address_that_is_none_is_a_setting_to_correct(url: str) -> None:
    with pytest.raises(RegistryRefused) as raised:
        asked(url)
    assert not isinstance(raised.value, TransientError)


def test_the_next_address_is_asked_where_one_does_not_answer() -> None:
    right = OK + b"content-length: 4\r\n\r\n    "
    with (
        serving(saying(b"")) as away,
        serving(saying(right)) as there,
        pytest.raises(NotARegistry, match="an empty body"),
    ):
        asked(f"http://{away},http://{there}")


@pytest.mark.parametrize("answer", ["<html>log in</html>", "{}", "[]", ""])
def test_a_token_endpoint_that_answers_something_else_is_named(answer: str) -> None:
    body = answer.encode()
    with (
        serving(saying(OK + f"content-length: {len(body)}\r\n\r\n".encode() + body)) as address,
        pytest.raises(RegistryRefused) as raised,
    ):
        asked(
            f"http://{address}",
            **{
                "bearer.auth.credentials.source": "OAUTHBEARER",
                "bearer.auth.client.id": "sluice",
                "bearer.auth.client.secret": "s3cret",
                "bearer.auth.scope": "x",
                "bearer.auth.issuer.endpoint.url": f"http://{address}/token",
                "bearer.auth.logical.cluster": "c",
            },
        )
    assert "token" in raised.value.problem.lower()
    assert "s3cret" not in str(raised.value)


def test_a_proxy_that_wants_a_login_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(saying(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy}")
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy}")
        for scheme in ("http", "https"):
            with pytest.raises(RegistryRefused, match=r"407|proxy"):
                asked(f"{scheme}://registry.test")


def test_a_token_of_the_login_is_not_told() -> None:
    sent = base64.b64encode(b"ann:s3cret").decode()
    body = f'{{"error_code": 42201, "message": "no: Basic {sent}"}}'.encode()
    head = f"HTTP/1.1 422 No\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with serving(saying(head + body)) as address, pytest.raises(RegistryRefused) as raised:
        asked(f"http://ann:s3cret@{address}")
    assert sent not in str(raised.value) and "s3cret" not in str(raised.value)
