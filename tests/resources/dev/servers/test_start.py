"""What `start` does if a server fails, hangs, or loses its port to a faster program."""

import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from resources.dev.servers.errors import ServerFailed
from resources.dev.servers.kinds.http_ready import http_not_ready
from resources.dev.servers.ports import free_ports
from resources.dev.servers.server import Launch, Progress, recorded_process, start

SERVE = "import http.server as h; h.ThreadingHTTPServer(('127.0.0.1', {port}), h.SimpleHTTPRequestHandler).serve_forever()"


class Scripted:
    """A server that is one line of Python; `{port}` in it is its port."""

    name = "scripted"
    port_count = 1
    start_seconds = 60.0
    stop_seconds = 5.0

    def __init__(self, code: str = SERVE, start_seconds: float = 60.0) -> None:
        self.code = code
        self.start_seconds = start_seconds
        self.prepared: list[int] = []
        self.stolen: list[socket.socket] = []
        self.steal_first = False
        self.calls_anybody_ready = False

    def prepare(self, folder: Path, ports: Sequence[int], progress: Progress) -> Launch:  # noqa: ARG002
        self.prepared.append(ports[0])
        if self.steal_first and len(self.prepared) == 1:
            self.stolen.append(socket.create_server(("127.0.0.1", ports[0])))
        return Launch([sys.executable, "-c", self.code.format(port=ports[0])])

    def not_ready(self, folder: Path, ports: Sequence[int]) -> str | None:  # noqa: ARG002
        if self.calls_anybody_ready:
            return None
        return http_not_ready("127.0.0.1", ports[0], "/")

    def address(self, ports: Sequence[int]) -> str:
        return f"http://127.0.0.1:{ports[0]}"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    if left := recorded_process(tmp_path):
        left.kill()


def test_a_server_that_exits_is_reported_with_its_last_words(folder: Path) -> None:
    with pytest.raises(ServerFailed, match="ended while starting") as failure:
        start(Scripted("raise SystemExit('no such moon')"), folder)
    assert "no such moon" in str(failure.value)
    assert failure.value.log.read_text().strip() == "no such moon"


def test_only_the_last_start_is_quoted(folder: Path) -> None:
    (folder / "server.log").write_text("an older start's words\n")
    with pytest.raises(ServerFailed) as failure:
        start(Scripted("raise SystemExit('new')"), folder)
    assert "older" not in str(failure.value)


def test_a_server_that_never_listens_is_ended_and_named(folder: Path) -> None:
    with pytest.raises(ServerFailed, match="was not ready after 1 s, waiting for it to listen on port"):
        start(Scripted("import time; time.sleep(60)", start_seconds=1), folder)
    process = recorded_process(folder)
    assert process is not None and not process.is_alive()


def test_a_stranger_that_answers_on_the_port_is_not_taken_for_the_server(folder: Path) -> None:
    [port] = free_ports(1)
    server = Scripted("import time; time.sleep(60)", start_seconds=1)
    server.calls_anybody_ready = True
    server.steal_first = True
    try:
        with pytest.raises(ServerFailed, match="to listen on port"):
            start(server, folder, preferred_ports=[port])
    finally:
        for one in server.stolen:
            one.close()


def test_a_port_lost_between_the_look_and_the_start_is_replaced(folder: Path) -> None:
    server = Scripted()
    server.steal_first = True
    try:
        running = start(server, folder)
    finally:
        for one in server.stolen:
            one.close()
    assert len(server.prepared) == 2
    assert running.ports == (server.prepared[1],)
    running.process.stop(5)


def test_a_server_left_behind_by_a_killed_starter_is_ended_first(folder: Path) -> None:
    first = start(Scripted(), folder)
    second = start(Scripted(), folder)
    assert not first.process.is_alive()
    assert second.process.is_alive()
    second.process.stop(5)
