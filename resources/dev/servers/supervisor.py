"""`up`, `down` and `status`: a broker and a registry for one home folder.

All files of a server (data, configuration, log) are in `<home>/servers/<kind of server>/`. They stay there
when the server stops. So `up` after `down` finds the same topics and schemas, and tries the same ports first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from resources.dev.servers.errors import OtherKindRunning
from resources.dev.servers.kinds.apache_kafka import ApacheKafka
from resources.dev.servers.kinds.apicurio import Apicurio
from resources.dev.servers.kinds.embedded_broker import EmbeddedBroker
from resources.dev.servers.kinds.embedded_registry import EmbeddedRegistry
from resources.dev.servers.server import Progress, Server, log_path, start
from resources.dev.servers.state import ROLES, Entry, Role, load, locked, save

KafkaKind = Literal["embedded", "apache"]
RegistryKind = Literal["embedded", "apicurio"]

_SERVERS: dict[tuple[Role, str], Callable[[], Server]] = {
    ("kafka", "embedded"): EmbeddedBroker,
    ("kafka", "apache"): ApacheKafka,
    ("registry", "embedded"): EmbeddedRegistry,
    ("registry", "apicurio"): Apicurio,
}
# The ports to try first at the first start; other than the usual 9092 and 8081, which are often in use.
_FIRST_PORTS: dict[Role, tuple[int, ...]] = {"kafka": (19092, 19093), "registry": (18081,)}


@dataclass(frozen=True)
class ServerStatus:
    """One server of a home. `state`: `running`; `stopped` on purpose; `dead`: it ended by itself."""

    role: Role
    kind: str
    state: Literal["running", "stopped", "dead"]
    address: str
    pid: int | None
    folder: Path
    log: Path


@dataclass(frozen=True)
class Servers:
    """The two servers that run after `up`."""

    kafka: ServerStatus
    registry: ServerStatus

    @property
    def bootstrap(self) -> str:
        """`host:port` for `bootstrap.servers`."""
        return self.kafka.address

    @property
    def registry_url(self) -> str:
        return self.registry.address


def up(
    home: Path,
    kind: KafkaKind = "embedded",
    *,
    registry: RegistryKind = "embedded",
    progress: Progress = lambda _: None,
) -> Servers:
    """Start each server that does not run yet, and return when both are ready. If
    both are ready, nothing changes.

    Raises ServerUnavailable (this machine lacks something), ServerFailed (its log says why) or
    OtherKindRunning. If one server fails, the other one stays up; the next `up` keeps it.
    """
    home = home.resolve()
    with locked(home):
        entries = load(home)
        kinds: dict[Role, str] = {"kafka": kind, "registry": registry}
        for role in ROLES:
            entry = entries.get(role)
            alive = entry is not None and entry.process is not None and entry.process.is_alive()
            if entry is not None and alive and entry.kind != kinds[role]:
                raise OtherKindRunning(home, role, entry.kind, kinds[role])
        for role in ROLES:
            entry = entries.get(role)
            server = _SERVERS[role, kinds[role]]()
            folder = _folder(home, server)
            if entry is not None and entry.process is not None:
                if entry.process.is_alive():
                    continue
                progress(f"{entry.kind} {role} had ended by itself ({log_path(folder)}); starting it again")
            else:
                progress(f"starting {kinds[role]} {role}")
            ports = entry.ports if entry is not None and entry.kind == kinds[role] else _FIRST_PORTS[role]
            running = start(server, folder, preferred_ports=ports, progress=progress)
            if running.ports[0] != ports[0]:
                progress(f"port {ports[0]} is taken by another program: {role} is on {running.address}")
            entries[role] = Entry(
                kinds[role], running.address, running.ports, running.process.pid, running.process.start_mark
            )
            save(home, entries)
        found = {one.role: one for one in status(home)}
        return Servers(found["kafka"], found["registry"])


def down(home: Path, *, progress: Progress = lambda _: None) -> list[ServerStatus]:
    """Stop the servers that `up` started in this home, and nothing else; their data stays.

    Returns the servers that ran; if none ran, nothing changes.
    """
    home = home.resolve()
    if not home.exists():
        return []
    with locked(home):
        entries = load(home)
        stopped = []
        # In the reverse order of `up`: the registry first, then the broker.
        for role in reversed(ROLES):
            entry = entries.get(role)
            if entry is None or entry.process is None:
                continue
            server = _SERVERS[role, entry.kind]()
            if entry.process.is_alive():
                progress(f"stopping {entry.kind} {role}")
                entry.process.stop(server.stop_seconds)
                stopped.append(_status(home, role, replace(entry, pid=None, start_mark=None)))
            entries[role] = replace(entry, pid=None, start_mark=None)
            save(home, entries)
        return stopped


def status(home: Path) -> list[ServerStatus]:
    """The servers that were ever started in this home, the broker first. Starts and changes nothing."""
    home = home.resolve()
    return [_status(home, role, entry) for role, entry in load(home).items()]


def _status(home: Path, role: Role, entry: Entry) -> ServerStatus:
    folder = _folder(home, _SERVERS[role, entry.kind]())
    process = entry.process
    if process is None:
        state: Literal["running", "stopped", "dead"] = "stopped"
    else:
        state = "running" if process.is_alive() else "dead"
    pid = entry.pid if state == "running" else None
    return ServerStatus(role, entry.kind, state, entry.address, pid, folder, log_path(folder))


def _folder(home: Path, server: Server) -> Path:
    return home / "servers" / server.name
