"""The code servers that get runs: a real keeper whose code server is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

from pipelines.orchestration.liveness.code_server import (
    _Kept,
    keep_code_servers,
    left_by_its_server,
    revive_server,
)
from tests.pipelines.orchestration.lost_run_worlds import Clock, a_run, an_instance

_CODE = (
    "import dagster as dg\n\n@dg.asset\ndef thing() -> None: ...\n\ndefs = dg.Definitions(assets=[thing])\n"
)


class Keeper:
    """`dagster code-server start`, which has a code server as a child process, as `dagster dev` starts it."""

    def __init__(self, folder: Path) -> None:
        (folder / "code.py").write_text(_CODE)
        self.socket = folder / "s"
        self.client = DagsterGrpcClient(socket=str(self.socket), host="localhost")
        self.log = (folder / "log").open("wb")
        argv = ["code-server", "start", "--socket", str(self.socket), "-f", str(folder / "code.py")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dagster", *argv], stdout=self.log, stderr=self.log, start_new_session=True
        )
        until(self.answers)

    def answers(self) -> bool:
        try:
            self.client.ping("")
        except DagsterUserCodeUnreachableError:
            return False
        return True

    def kill_code_server(self) -> None:
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        children = {child for task in tasks for child in (task / "children").read_text().split()}
        servers = [pid for pid in children if b"api\0grpc" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert servers
        for pid in servers:
            os.kill(int(pid), signal.SIGKILL)
        until(lambda: not self.answers())

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(tmp_path)
    yield made
    made.end()


def test_a_code_server_that_was_killed_is_started_anew_and_says_meanwhile_what_it_can(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, looks, look = threading.Event(), list[None](), _Kept.look
    monkeypatch.setattr(_Kept, "look", lambda kept: looks.append(look(kept)))
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(json.dumps({"load_from": [{"grpc_server": {"socket": str(keeper.socket)}}]}))
    with an_instance(tmp_path / "home") as instance:
        told = json.dumps({"host": "localhost", "socket": str(keeper.socket)})
        run = a_run(instance, tags={".dagster/grpc_info": told})
        # An earlier server may have it: the server was started again while the run began.
        assert left_by_its_server(run) is None
        keeper.kill_code_server()
        assert left_by_its_server(run) is True
        revive_server(run)
        assert keeper.answers()

    watching = threading.Thread(
        target=keep_code_servers, args=(workspace, over), kwargs={"look_every_seconds": 0.1}, daemon=True
    )
    watching.start()
    until(lambda: bool(looks))  # it has received an answer of the server
    keeper.kill_code_server()
    until(keeper.answers)
    over.set()
    watching.join()


def test_a_server_on_a_socket_that_is_not_here_may_be_on_another_host(tmp_path: Path) -> None:
    with an_instance(tmp_path / "home") as instance:
        socket = tmp_path / "socket"
        run = a_run(
            instance, tags={".dagster/grpc_info": json.dumps({"host": "localhost", "socket": str(socket)})}
        )
        assert left_by_its_server(run) is None
        socket.touch()  # what a killed server leaves behind
        assert left_by_its_server(run) is True
        assert left_by_its_server(a_run(instance)) is False
        port = json.dumps({"host": "localhost", "port": 1})
        assert left_by_its_server(a_run(instance, tags={".dagster/grpc_info": port})) is None


class Servant:
    """What a watcher reads of a code server and its keeper."""

    def __init__(self) -> None:
        self.lives, self.starts = True, 0

    def ping(self, _: str) -> None:
        if not self.lives:
            raise DagsterUserCodeUnreachableError

    def heartbeat(self, _: str) -> None: ...

    def reload_code(self, timeout: int) -> None:  # noqa: ARG002
        self.starts += 1


def test_code_that_does_not_load_is_tried_less_and_less_often_and_one_that_never_did_not_at_all() -> None:
    servant, clock = Servant(), Clock()
    kept = _Kept(servant, 2, clock)  # type: ignore[arg-type]

    def look_for(seconds: int) -> int:
        before = servant.starts
        for _ in range(seconds):
            clock.now += 1
            kept.look()
        return servant.starts - before

    servant.lives = False
    assert look_for(100) == 0
    servant.lives = True
    assert look_for(10) == 0
    servant.lives = False
    assert look_for(1) == 1
    assert look_for(100) <= 7
    assert 9 <= look_for(600) <= 11
    servant.lives = True
    look_for(1)
    servant.lives = False
    assert look_for(1) == 1


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)
