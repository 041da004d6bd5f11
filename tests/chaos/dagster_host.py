"""A host that runs Dagster's web server, its daemon,
their code servers and the runs; and how it is killed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import httpx

from pipelines.orchestration.home import _DAGSTER_YAML
from tests.chaos.processes import ROOT
from tests.fixtures_servers import own_ports

T = TypeVar("T")

# With it the daemon looks for backfills every few seconds.
EAGER = ROOT / "tests" / "acceptance" / "eager"
_SLUICE = Path(sys.executable).parent / "sluice"
_UNSHARED = ["unshare", "--pid", "--uts", "--mount", "--mount-proc", "--fork", "--kill-child=SIGKILL"]
# The shell's arguments: sluice, python, the workspace, a port.
_BOTH = '"$0" webserver -w "$2" -h 127.0.0.1 -p "$3" & exec "$1" -m dagster._daemon run -w "$2"'
_STARTED = re.compile(r"Started process for run \(pid: (\d+)\)")


def can_be_a_host() -> bool:
    """Whether this user may create namespaces."""
    return (
        bool(shutil.which("unshare"))
        and not subprocess.run([*_UNSHARED, "true"], capture_output=True).returncode
    )


def as_host(argv: Sequence[object], private: Path) -> list[str]:
    """The command on a separate host: its processes, its host name (the same as here) and the folder
    `private` are visible nowhere else; if it is killed, all its processes end with it."""
    private.mkdir(parents=True, exist_ok=True)
    return [*_UNSHARED, "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(private), *map(str, argv)]


class DagsterHost:
    """Dagster's servers as a supervisor runs them: web server and daemon, each with its own code servers, or
    `sluice ui`, where both share one. `apart`: on a separate host (see `as_host`)."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self.home = Path(environ["SLUICE_HOME"]) / "dagster"
        self._environ, self._folder, self._starts = environ, folder, 0
        self._server: subprocess.Popen[bytes] | None = None
        (self._port,) = own_ports(1)
        self.log = folder / "ui.log"

    def start(self, *, apart: bool = False, ui: bool = False) -> None:
        if ui:
            argv = [str(_SLUICE), "ui", "--port", str(self._port)]
        else:
            self.home.mkdir(parents=True, exist_ok=True)
            (self.home / "dagster.yaml").write_text(_DAGSTER_YAML)
            workspace = str(ROOT / "workspace.yaml")
            argv = ["sh", "-c", _BOTH, str(_SLUICE), sys.executable, workspace, str(self._port)]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "DAGSTER_"))}
        given = {} if ui else {"DAGSTER_HOME": str(self.home)}
        with self.log.open("ab") as out:
            self._server = subprocess.Popen(
                as_host(argv, self.home / "sluice-runs") if apart else argv,
                cwd=self._folder,
                env={**inherited, **self._environ, **given, "PYTHONPATH": str(EAGER)},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        until(self._answers, "the web server", log=self.log)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer of Dagster's GraphQL API."""
        answer = httpx.post(
            f"http://127.0.0.1:{self._port}/graphql",
            json={"query": query, "variables": variables},
            timeout=60,
            trust_env=False,
        ).json()
        assert "errors" not in answer, answer
        found: dict[str, Any] = answer["data"]
        return found

    def _answers(self) -> bool:
        try:
            found = self.ask("{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }")
        except (httpx.HTTPError, ValueError):
            return False
        return [entry["loadStatus"] for entry in found["workspaceOrError"]["locationEntries"]] == ["LOADED"]

    def worker(self, instance: dg.DagsterInstance, run_id: str) -> int:
        """The process id of a run that Dagster launched."""
        told = [_STARTED.search(entry.message) for entry in instance.all_logs(run_id)]
        return next(int(found[1]) for found in told if found)

    def kill(self) -> None:
        """SIGKILL to everything: servers, code servers and runs, whoever started them and in any order."""
        assert self._server is not None
        if self._server.poll() is None:
            self._server.kill()
        # The code servers and the runs have their own sessions; their environment has the path of this home.
        while processes := [pid for pid in _all_processes() if self._is_here(pid)]:
            for pid in processes:
                kill(pid)
            time.sleep(0.05)
        self._server.wait()

    def _is_here(self, pid: int) -> bool:
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return f"DAGSTER_HOME={self.home}".encode() in environ and not _is_dead(pid)


def parent_of(pid: int) -> int:
    """The parent's process id. Raises ProcessLookupError if the process has ended."""
    return int(_stat(pid)[1])


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _all_processes() -> list[int]:
    return [
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and int(path.name) != os.getpid()
    ]


def _is_dead(pid: int) -> bool:
    try:
        return _stat(pid)[0] in "ZX"
    except ProcessLookupError:
        return True


def _stat(pid: int) -> list[str]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        fields = []
    if not fields:  # it ended after the file was opened and before it was read
        raise ProcessLookupError(pid)
    return fields


def until(done: Callable[[], T], what: str, *, seconds: float = 240, log: Path | None = None) -> T:
    """The first true result of `done`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := done():
            return found
        time.sleep(0.3)
    told = log.read_text(errors="replace")[-3000:] if log and log.exists() else ""
    raise AssertionError(f"{what}: not within {seconds:.0f} s\n{told}")
