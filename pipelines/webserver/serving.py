"""`dagster-webserver` with the guard; and `dagster dev` that starts it.

Here is all that Sluice uses of the inside of Dagster's web server, of uvicorn and of `dagster dev`: none of them has a
place for middleware or for another web server. Each name is looked up first, so a version that has moved it stops with
an error and does not serve without the guard.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines.webserver.authority import parse_hosts
from pipelines.webserver.guard import Guard
from resources.errors import SluiceError
from resources.settings import load_settings

# As `dagster-webserver` itself: its options may also come from DAGSTER_WEBSERVER_PORT and the like.
_PROGRAM, _VARIABLES = "dagster-webserver", "DAGSTER_WEBSERVER"
_ENTRY = Path(__file__).with_name("__main__.py")


@dataclass(frozen=True)
class Asked:
    """What options of `dagster-webserver`, and the variables that stand for them, ask for."""

    host: str
    read_only: bool
    names_code: bool  # a workspace file, a module, a code server: anything to load


def parsed(arguments: Sequence[str]) -> Asked:
    """Read the options as the web server will. Raises click's UsageError."""
    from dagster_webserver.cli import dagster_webserver

    found = dagster_webserver.make_context(_PROGRAM, list(arguments), auto_envvar_prefix=_VARIABLES).params
    code = ("workspace", "python_file", "module_name", "package_name", "grpc_port", "grpc_socket", "empty_workspace")  # fmt: skip
    return Asked(found["host"], found["read_only"], any(found[name] for name in code))


def serve(arguments: Sequence[str]) -> None:
    """Run Dagster's web server with these options of `dagster-webserver`, until it is stopped."""
    import uvicorn
    from dagster_webserver.cli import dagster_webserver

    hosts = parse_hosts(load_settings().ui_hosts)
    configure = uvicorn.Config.__init__

    def guarded(
        config: uvicorn.Config, app: Any, host: str = "127.0.0.1", *more: Any, **options: Any
    ) -> None:
        configure(config, Guard(app, host, hosts), host, *more, **options)

    # Whatever uvicorn serves in this process comes through here, with the address to listen on. Dagster's command makes
    # its app and gives it to `uvicorn.run` in one function.
    uvicorn.Config.__init__ = guarded  # type: ignore[assignment,method-assign]
    dagster_webserver.main(
        list(arguments), prog_name="dagster-webserver", auto_envvar_prefix="DAGSTER_WEBSERVER"
    )


def develop(arguments: Sequence[str]) -> None:
    """Run `dagster dev` with these options and with the guarded web server in place of the plain one."""
    dev: Any = import_module("dagster._cli.dev")
    start = dev.open_ipc_subprocess
    plain = [sys.executable, "-m", "dagster_webserver"]
    daemon = [sys.executable, "-m", "dagster._daemon"]

    def start_guarded(parts: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
        if parts[:3] == plain:
            parts = guarded_command(parts[3:])
        elif parts[:3] != daemon:
            raise SluiceError(
                "dagster dev",
                "this version starts its web server in another way, so it would run without the guard",
                next_step="install the versions of requirements.lock: make setup",
            )
        process: subprocess.Popen[Any] = start(parts, **options)
        return process

    # `dagster dev` starts exactly two processes through this name: its web server and its daemon.
    dev.open_ipc_subprocess = start_guarded
    dev.dev_command.main(list(arguments), prog_name="dagster dev")


def guarded_command(arguments: Sequence[str]) -> list[str]:
    """The command of a process that is the guarded web server, from any folder."""
    return [sys.executable, "-P", str(_ENTRY), *arguments]


def develop_command(arguments: Sequence[str]) -> list[str]:
    """The command of a process that is `dagster dev` with the guarded web server, from any folder."""
    return [sys.executable, "-P", str(_ENTRY), "dev", *arguments]
