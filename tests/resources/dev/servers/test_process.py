"""A detached process is identified as ours by its start, not by its number, and its ports by its sockets."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.dev.servers.ports import free_ports, is_free, listens
from resources.dev.servers.process import OwnedProcess, spawn

SLEEP = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.fixture
def started() -> Iterator[list[OwnedProcess]]:
    processes: list[OwnedProcess] = []
    yield processes
    for process in processes:
        process.kill()


def python(code: str, folder: Path, started: list[OwnedProcess], **env: str) -> OwnedProcess:
    process = spawn([sys.executable, "-c", code], folder=folder, log=folder / "log", env=env)
    started.append(process)
    return process


def said(folder: Path, text: str) -> bool:
    deadline = time.monotonic() + 60
    while text not in ((folder / "log").read_text() if (folder / "log").exists() else ""):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_it_runs_in_its_folder_with_its_environment_in_a_session_of_its_own(
    tmp_path: Path, started: list[OwnedProcess]
) -> None:
    code = "import os; print(os.getcwd(), os.environ['EXTRA'], os.getsid(0) == os.getpid(), flush=True)"
    python(code, tmp_path, started, EXTRA="seen")
    assert said(tmp_path, f"{tmp_path} seen True")


def test_stop_ends_it_and_leaves_no_zombie(tmp_path: Path, started: list[OwnedProcess]) -> None:
    process = python(SLEEP, tmp_path, started)
    assert process.is_alive()
    process.stop(10)
    assert not process.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_stop_ends_a_paused_process(tmp_path: Path, started: list[OwnedProcess]) -> None:
    process = python(SLEEP, tmp_path, started)
    process.send(signal.SIGSTOP)
    assert process.is_alive()
    before = time.monotonic()
    process.stop(60)
    assert not process.is_alive()
    assert time.monotonic() - before < 60, "it went by SIGTERM, not by the grace running out"


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(
    tmp_path: Path, started: list[OwnedProcess]
) -> None:
    process = python(DEAF, tmp_path, started)
    assert said(tmp_path, "deaf")
    process.stop(0.3)
    assert not process.is_alive()


def test_the_same_pid_with_another_start_is_nobody_of_ours(
    tmp_path: Path, started: list[OwnedProcess]
) -> None:
    process = python(SLEEP, tmp_path, started)
    impostor = OwnedProcess(process.pid, process.start_mark + "0")
    assert not impostor.is_alive()
    assert impostor.send(signal.SIGKILL) is False
    impostor.stop(1)
    assert process.is_alive()


def test_a_preferred_port_is_given_while_it_is_free() -> None:
    [port] = free_ports(1)
    assert free_ports(1, [port]) == (port,)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
        assert free_ports(1, [port]) != (port,)


def test_a_port_held_on_every_address_is_not_free() -> None:
    with socket.create_server(("0.0.0.0", 0)) as wide:
        port = wide.getsockname()[1]
        assert free_ports(1, [port]) != (port,)


def test_ports_are_distinct() -> None:
    assert len(set(free_ports(20))) == 20


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc to see who listens")
def test_a_port_belongs_to_the_process_that_listens_on_it(
    tmp_path: Path, started: list[OwnedProcess]
) -> None:
    other = python(SLEEP, tmp_path, started)
    with socket.create_server(("127.0.0.1", 0)) as ours:
        port = ours.getsockname()[1]
        assert listens(os.getpid(), port)
        assert not listens(other.pid, port)
    assert not listens(os.getpid(), port)
