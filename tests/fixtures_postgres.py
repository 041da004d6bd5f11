"""A real PostgreSQL for tests:
a private cluster in a temporary folder, started when the first test requests it.

It needs Debian's package postgresql (or PostgreSQL's own initdb on the PATH). If that is missing the tests
are skipped, or fail if servers are required (see fixtures_servers).
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from resources.dev.servers.environment import clean_environment
from resources.dev.servers.errors import ServerFailed, ServerUnavailable
from resources.dev.servers.files import read_json, write_json
from resources.dev.servers.ports import LOOPBACK
from resources.dev.servers.process import OwnedProcess, spawn
from tests.fixtures_servers import own_ports, skipping_where_unavailable

_PREFIX = "sluice-test-postgresql-"
_OWNER, _PROCESS = "owner.json", "process.json"
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    # Nothing of this cluster is kept after the tests.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
_TRAPS = {
    # A session that sets nothing gets wrong defaults here: Sluice itself must set UTC, UTF-8 and no timeout.
    "timezone": "Asia/Kathmandu",
    "datestyle": "SQL, DMY",
    "statement_timeout": "5s",
}


@dataclass
class PostgresServer:
    """A running cluster. `sluice` is its superuser, without a password; the role `locked` needs one."""

    port: int
    process: OwnedProcess

    def url(self, database: str = "postgres", *, user: str = "sluice") -> str:
        """The URL of a database."""
        return f"postgresql://{user}@{LOOPBACK}:{self.port}/{database}"

    def new_database(self, options: str = "") -> str:
        """URL of an empty database; `options` are those of CREATE DATABASE."""
        name = f"d{uuid4().hex[:12]}"
        execute(self.url(), f"CREATE DATABASE {name} {options}")
        return self.url(name)


def execute(url: str, script: str) -> None:
    """Run the statements of a script."""
    with _connect(url) as connection, connection.cursor() as cursor:
        cursor.executescript(script)


def query(url: str, sql: str) -> list[dict[str, object]]:
    """All rows of a query."""
    with _connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetch_arrow_table().to_pylist())


def _connect(url: str) -> Any:
    import adbc_driver_postgresql.dbapi as driver

    return driver.connect(url, autocommit=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL: starts in 2 s. Give each test module its own database."""
    with ExitStack() as stack:
        with skipping_where_unavailable():
            server = stack.enter_context(cluster(_TRAPS))
        yield server


@contextmanager
def cluster(settings: Mapping[str, str]) -> Iterator[PostgresServer]:
    """A separate cluster with these settings, deleted with all its data at the end.
    Raises ServerUnavailable."""
    _end_orphans()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        write_json(folder / _OWNER, asdict(OwnedProcess.current()))
        server = start_postgres(folder, settings)
        try:
            yield server
        finally:
            stop_postgres(server.process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start_postgres(folder: Path, given: Mapping[str, str] = _TRAPS) -> PostgresServer:
    """A new cluster in a folder. Raises ServerUnavailable if PostgreSQL is not installed."""
    programs, as_user, problem = _programs(), _as_user(folder), _driver_error()
    data, log = folder / "data", folder / "postgresql.log"
    initdb = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "sluice", "--auth=trust"]
    made = subprocess.run(
        [*initdb, "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=clean_environment(),
    )
    if made.returncode:
        raise ServerFailed("PostgreSQL", "initdb failed", log=log, log_tail=made.stderr)
    access = data / "pg_hba.conf"
    access.write_text(f"host all locked {LOOPBACK}/32 scram-sha-256\n{access.read_text()}")
    (port,) = own_ports(1)
    settings = [f"--{name}={value}" for name, value in {**_SETTINGS, **given, "port": str(port)}.items()]
    process = spawn(
        [*as_user, str(programs / "postgres"), "-D", str(data), *settings], folder=folder, log=log, env={}
    )
    write_json(folder / _PROCESS, asdict(process))
    server = PostgresServer(port, process)
    deadline = time.monotonic() + 60
    while True:
        try:
            query(server.url(), "SELECT 1 AS one")
            return server
        except problem:
            if time.monotonic() > deadline or not process.is_alive():
                stop_postgres(process)
                raise ServerFailed(
                    "PostgreSQL", "did not come up", log=log, log_tail=log.read_text()[-2000:]
                ) from None
            time.sleep(0.05)


def _driver_error() -> type[Exception]:
    try:
        import adbc_driver_postgresql.dbapi as driver
    except ImportError:
        raise ServerUnavailable(
            "PostgreSQL", "its driver is not here", next_step="pip install 'sluice[postgresql]'"
        ) from None
    return driver.Error


def _programs() -> Path:
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if found is None and not debian:
        raise ServerUnavailable(
            "PostgreSQL", "initdb is not here", next_step="install Debian's package postgresql"
        )
    return Path(found).resolve().parent if found else debian[-1].parent


def _as_user(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root:
    as root, it runs as the user that its package created, who then owns its folder."""
    if os.geteuid() != 0:
        return []
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServerUnavailable("PostgreSQL", "setpriv is not here", next_step="install util-linux")
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def stop_postgres(process: OwnedProcess) -> None:
    """Stop it cleanly."""
    # "Fast": sessions are ended, not waited for.
    if process.send(signal.SIGINT) and not process.wait_gone(10):
        process.kill()


def _end_orphans() -> None:
    """Stop the clusters of earlier test runs that were killed before they could stop them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner, orphan = read_json(folder / _OWNER), read_json(folder / _PROCESS)
        if owner and not OwnedProcess(**owner).is_alive():
            with suppress(TypeError):
                stop_postgres(OwnedProcess(**orphan))
            shutil.rmtree(folder, ignore_errors=True)
