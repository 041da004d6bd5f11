"""What `up` stores in `<home>/servers.json`, and the lock that keeps two `up`s apart."""

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from resources.dev.servers.files import read_json, write_json
from resources.dev.servers.process import OwnedProcess

Role = Literal["kafka", "registry"]
ROLES: tuple[Role, ...] = ("kafka", "registry")
_VERSION = 1
_ADDRESS: dict[Role, str] = {"kafka": "bootstrap_servers", "registry": "registry_url"}


@dataclass(frozen=True)
class Entry:
    """One server at its last start; `pid` is None after it was stopped on purpose."""

    kind: str
    address: str
    ports: tuple[int, ...]
    pid: int | None
    start_mark: str | None

    @property
    def process(self) -> OwnedProcess | None:
        if self.pid is None or self.start_mark is None:
            return None
        return OwnedProcess(self.pid, self.start_mark)


def state_file(home: Path) -> Path:
    return home / "servers.json"


def load(home: Path) -> dict[Role, Entry]:
    """The entries by role; empty if no server was ever started in this home."""
    value = read_json(state_file(home))
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        return {}
    found: dict[Role, Entry] = {}
    for role in ROLES:
        entry = value["servers"].get(role)
        if entry is not None:
            found[role] = Entry(**{**entry, "ports": tuple(entry["ports"])})
    return found


def save(home: Path, entries: dict[Role, Entry]) -> None:
    """Write the entries. The addresses of servers that are not stopped are at the top,
    where the settings read them."""
    addresses = {_ADDRESS[role]: entry.address for role, entry in entries.items() if entry.pid is not None}
    servers = {role: asdict(entry) for role, entry in entries.items()}
    write_json(state_file(home), {"version": _VERSION, **addresses, "servers": servers})


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """One `up` or `down` at a time in a home; a second one waits for the first."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "servers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
