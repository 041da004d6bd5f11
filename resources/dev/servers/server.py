"""One server: what it needs to start, and how to start it and be sure that it is ours that answers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from resources.dev.servers.errors import ServerFailed
from resources.dev.servers.files import read_json, write_json
from resources.dev.servers.ports import free_ports, listens
from resources.dev.servers.process import OwnedProcess, spawn

Progress = Callable[[str], None]
_POLL_SECONDS = 0.05
_ATTEMPTS = 3
_PROCESS = "process.json"


@dataclass(frozen=True)
class Launch:
    """A command line (the first word is the absolute path of the program), and the
    environment variables that it adds."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


class Server(Protocol):
    """A kind of server. It owns one folder, with its data and its log."""

    @property
    def name(self) -> str:
        """The name of the folder, and its name in messages, for example `kafka-apache`."""

    @property
    def port_count(self) -> int:
        """The number of ports that it listens on; clients use the first one."""

    @property
    def start_seconds(self) -> float:
        """How long it may take to become ready on a slow machine."""

    @property
    def stop_seconds(self) -> float:
        """How long it may take to save its data and end."""

    def prepare(self, folder: Path, ports: Sequence[int], progress: Progress) -> Launch:
        """Write the configuration (and format the storage the first time).

        Raises ServerUnavailable if this machine lacks something that the server needs.
        """

    def not_ready(self, folder: Path, ports: Sequence[int]) -> str | None:
        """None if a client can use everything of the server, else what it still waits for."""

    def address(self, ports: Sequence[int]) -> str:
        """What a client needs: `host:port` or a URL."""


@dataclass(frozen=True)
class Running:
    """A server that was ready when this object was created."""

    server: str
    process: OwnedProcess
    ports: tuple[int, ...]
    address: str
    folder: Path

    @property
    def log(self) -> Path:
        return log_path(self.folder)


def log_path(folder: Path) -> Path:
    """The file for a server's standard output and errors."""
    return folder / "server.log"


def recorded_process(folder: Path) -> OwnedProcess | None:
    """The process that was last started in this folder, running or not; None if there was none."""
    record = read_json(folder / _PROCESS)
    return OwnedProcess(record["pid"], record["start_mark"]) if record else None


def start(
    server: Server, folder: Path, *, preferred_ports: Sequence[int] = (), progress: Progress = lambda _: None
) -> Running:
    """Start `server` in `folder` and return when it is ready.

    If a preferred port is in use, a free one is used instead. Raises ServerUnavailable, or ServerFailed with
    the end of its log; after an error nothing is left running.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    log = log_path(folder)
    # Left by a starter that was itself killed: two servers on the same data would destroy it.
    if leftover := recorded_process(folder):
        leftover.stop(server.stop_seconds)
    for attempt in range(1, _ATTEMPTS + 1):
        ports = free_ports(server.port_count, preferred_ports if attempt == 1 else ())
        launch = server.prepare(folder, ports, progress)
        log_start = log.stat().st_size if log.exists() else 0
        process = spawn(launch.argv, folder=folder, log=log, env=launch.env)
        try:
            write_json(folder / _PROCESS, {"pid": process.pid, "start_mark": process.start_mark})
            waiting_for = _wait_ready(server, process, folder, ports)
        except BaseException:
            process.kill()
            raise
        if waiting_for is None:
            return Running(server.name, process, ports, server.address(ports), folder)
        died = not process.is_alive()
        process.kill()
        if died and attempt < _ATTEMPTS and _taken(ports):
            continue  # another program took the port after we found it free
        raise ServerFailed(
            server.name,
            "it ended while starting"
            if died
            else f"it was not ready after {server.start_seconds:g} s, waiting for {waiting_for}",
            log=log,
            log_tail=_tail(log, log_start),
        )
    raise AssertionError("unreachable")


def _wait_ready(server: Server, process: OwnedProcess, folder: Path, ports: tuple[int, ...]) -> str | None:
    """None when the server is ready. Otherwise what it waited for when it ended or when its time was over."""
    deadline = time.monotonic() + server.start_seconds
    waiting_for = "its process"
    while process.is_alive():
        # Checked before any client connects: the process that answers on this port
        # must be the one that we started.
        if listens(process.pid, ports[0]):
            answer = server.not_ready(folder, ports)
            if answer is None:
                return None
            waiting_for = answer
        else:
            waiting_for = f"it to listen on port {ports[0]}"
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    return waiting_for


def _taken(ports: Sequence[int]) -> bool:
    # Ask for all of them again in their places: a port that is in use now comes back as another number.
    return free_ports(len(ports), ports) != tuple(ports)


def _tail(log: Path, start: int, lines: int = 15) -> str:
    with log.open("rb") as text:
        text.seek(start)
        said = text.read().decode(errors="replace").splitlines()
    # noida-db was linked with a newer glibc than it needs; the loader reports that at each start.
    kept = [line for line in said if line.strip() and "weak version `GLIBC" not in line]
    return "\n".join(kept[-lines:])
