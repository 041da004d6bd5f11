"""Commands as processes that need not import the libraries again.

A server imports the libraries that Sluice uses, nothing of Sluice itself, and forks for each command. The
child imports the project as it is then, with the command's own environment, folder and output, and ends as
any process does. With it a module of replays takes two fifths less processor time. Tests about signals, a
pipe or the time to start run `python -m pipelines.cli` itself.
"""

import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# None that prints anything while it is imported: the command itself must print it.
_LIBRARIES = (
    "dagster", "dagster._cli", "sqlalchemy", "alembic.command", "confluent_kafka.admin",
    "duckdb", "fastavro", "pandas", "pyarrow.parquet", "rich.console", "rich.table", "sqlglot",
)  # fmt: skip


class Warm:
    """The server of one project's folder; commands run one after the other. The server also imports
    `packages` of the project, with their modules: for a project whose code does not change between
    commands."""

    def __init__(
        self, tree: Path, environ: dict[str, str], scratch: Path, *, packages: Sequence[str] = ()
    ) -> None:
        self._scratch, self._number = scratch, 0
        self._server = subprocess.Popen(
            [sys.executable, __file__, *packages],
            cwd=tree,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # so that its output waits in the pipe, where select sees it
        )

    def run(
        self, arguments: Sequence[str], environ: dict[str, str], *, seconds: float
    ) -> "subprocess.CompletedProcess[str]":
        """The result of `sluice ARGUMENTS`;
        if it does not end in time, it is killed, and TimeoutExpired is raised."""
        self._number += 1
        out, err = (self._scratch / f"{self._number:03d}.{name}" for name in ("out", "err"))
        order = {"arguments": list(arguments), "environ": environ, "out": str(out), "err": str(err)}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        child = int(self._told(120))
        try:
            code = int(self._told(seconds))
        except TimeoutError:
            os.kill(child, signal.SIGKILL)  # the server waits for it, so the pid is still the child's
            self._told(60)
            raise subprocess.TimeoutExpired(
                list(arguments), seconds, out.read_bytes(), err.read_bytes()
            ) from None
        return subprocess.CompletedProcess(list(arguments), code, out.read_text(), err.read_text())

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(60)
        self._server.stdout.close()

    def _told(self, seconds: float) -> bytes:
        assert self._server.stdout is not None
        if not select.select([self._server.stdout], [], [], seconds)[0]:
            raise TimeoutError
        line = self._server.stdout.readline()
        assert line, "the server of commands has ended"
        return line


def serve() -> bool:
    """Fork for each order; print the child's pid, then its exit code.
    Returns True in a child that must run its command."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    for name in sys.argv[1:]:
        _import_all(name)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            _become(order)
            return True
        _tell(child)
        _tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return False


def _import_all(name: str) -> None:
    sys.path[0] = ""
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        # One of these runs a command, the other one reads the events.
        if not module.name.endswith((".__main__", ".definitions")) or module.ispkg:
            importlib.import_module(module.name)


def _become(order: dict[str, Any]) -> None:
    paths = (os.devnull, order["out"], order["err"])
    for descriptor, path in enumerate(paths):
        opened = os.open(path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(order["environ"])
    sys.argv[1:] = order["arguments"]
    sys.path[0] = ""  # as with -m: the working directory of the command


def _tell(number: int) -> None:
    print(number, flush=True)


if __name__ == "__main__" and serve():
    runpy.run_module("pipelines.cli", run_name="__main__", alter_sys=True)
