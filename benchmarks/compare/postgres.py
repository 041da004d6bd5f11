"""A PostgreSQL server for one run, with one table of a data set; for contenders that read from it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from benchmarks.compare.job import Job
from resources.dev.servers.ports import free_ports

_TYPES = {"VARCHAR": "text", "TIMESTAMP WITH TIME ZONE": "timestamptz"}
_SETTINGS = (
    "wal_level=logical",
    "fsync=off",
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "listen_addresses=127.0.0.1",
)


@contextmanager
def postgres(job: Job) -> Iterator[int]:
    """The server's port; database, user and password are all `postgres`.

    PostgreSQL does not run as root: started by root, it runs as the user of its package, in its own folder.
    """
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda found: float(found.parent.name))
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, user)
    (port,) = free_ports(1, ())
    told: list[str] = [f"-c{setting}" for setting in _SETTINGS]
    initdb = [
        str(binaries / "initdb"),
        "-D",
        str(folder / "data"),
        "-U",
        "postgres",
        "--auth=trust",
        "-EUTF8",
    ]
    subprocess.run(initdb, user=user, check=True, capture_output=True, cwd=folder)
    command = [
        str(binaries / "postgres"),
        "-D",
        str(folder / "data"),
        "-p",
        str(port),
        "-k",
        str(folder),
        *told,
    ]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        psql = [
            str(binaries / "psql"),
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-U",
            "postgres",
        ]
        deadline = time.monotonic() + 30
        while subprocess.run([*psql, "-c", "SELECT 1"], capture_output=True, check=False).returncode:
            if time.monotonic() > deadline or server.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.1)
        _load(job, folder, psql)
        yield port
    finally:
        server.send_signal(signal.SIGINT)  # SIGTERM would wait for clients with an open connection
        server.wait(30)
        shutil.rmtree(folder)


def _load(job: Job, folder: Path, psql: list[str]) -> None:
    """Load the job's rows, with the key as the primary key."""
    with duckdb.connect(job.database, read_only=True) as connection:
        described = connection.sql(job.select)
        columns = ", ".join(
            f"{name} {_TYPES.get(str(kind), str(kind))}"
            for name, kind in zip(described.columns, described.types, strict=True)
        )
        rows = folder / "rows.csv"
        connection.execute(
            f"SET TimeZone='UTC'; COPY ({job.select}) TO '{rows}' (HEADER false, NULLSTR '\\N')"
        )
    create = f"CREATE TABLE {job.table} ({columns})"
    copy = f"\\copy {job.table} FROM '{rows}' (FORMAT csv, NULL '\\N')"
    key = f"ALTER TABLE {job.table} ADD PRIMARY KEY ({job.key})"
    for statement in (create, copy, key, f"VACUUM ANALYZE {job.table}"):
        subprocess.run([*psql, "-c", statement], check=True, capture_output=True)
    rows.unlink()
