"""`dagster-webserver` with the guard, and `dagster dev` that starts it.

Neither Dagster's web server nor uvicorn takes middleware, and `dagster dev` takes no other web server. If a
version of Dagster has moved what `pipelines.dagster_private` uses, the server stops with an error and does
not serve without the guard.
"""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.orchestration.liveness.code_server import keep_code_servers
from pipelines.webserver.authority import parse_hosts
from pipelines.webserver.guard import Guard
from resources.errors import SluiceError
from resources.settings import load_settings

if TYPE_CHECKING:
    from subprocess import Popen

    from pipelines.dagster_private import Start

# The same names as in `dagster-webserver` itself:
# its options may also come from DAGSTER_WEBSERVER_PORT and the like.
_PROGRAM, _VARIABLES = "dagster-webserver", "DAGSTER_WEBSERVER"
_ENTRY = Path(__file__).with_name("__main__.py")


@dataclass(frozen=True)
class Asked:
    """What the options of `dagster-webserver`, and the variables for them, request."""

    host: str
    read_only: bool
    names_code: bool  # a workspace file, a module, a code server: anything to load


def parsed(arguments: Sequence[str]) -> Asked:
    """Read the options as the web server will. Raises click's UsageError."""
    from pipelines.dagster_private import webserver_command  # loads Dagster

    found = webserver_command().make_context(_PROGRAM, list(arguments), auto_envvar_prefix=_VARIABLES).params
    code = ("workspace", "python_file", "module_name", "package_name", "grpc_port", "grpc_socket", "empty_workspace")  # fmt: skip
    return Asked(found["host"], found["read_only"], any(found[name] for name in code))


def serve(arguments: Sequence[str]) -> None:
    """Run Dagster's web server with these options of `dagster-webserver`, until it is stopped."""
    import uvicorn

    from pipelines.dagster_private import webserver_command

    hosts = parse_hosts(load_settings().ui_hosts)
    configure = uvicorn.Config.__init__

    def guarded(
        config: uvicorn.Config, app: Any, host: str = "127.0.0.1", *more: Any, **options: Any
    ) -> None:
        configure(config, Guard(app, host, hosts), host, *more, **options)

    # Everything that uvicorn serves in this process passes through here, with the address to listen on.
    # Dagster's command creates its app and gives it to `uvicorn.run` in one function.
    uvicorn.Config.__init__ = guarded  # type: ignore[assignment,method-assign]
    webserver_command().main(list(arguments), prog_name=_PROGRAM, auto_envvar_prefix=_VARIABLES)


def develop(arguments: Sequence[str]) -> None:
    """Run `dagster dev` with these options, and with the guarded web server in place of the plain one."""
    from pipelines.dagster_private import DAEMON, WEBSERVER, run_dagster_dev

    plain = [sys.executable, "-m", WEBSERVER]
    daemon = [sys.executable, "-m", DAEMON]

    def guarded(start: "Start") -> "Start":
        def start_guarded(parts: Sequence[str], **options: Any) -> "Popen[Any]":
            if parts[:3] == plain:
                parts = guarded_command(parts[3:])
            elif parts[:3] == daemon:
                _keep_code_servers(parts)
            else:
                raise SluiceError(
                    "dagster dev",
                    "this version starts its web server in another way, so it would run without the guard",
                    next_step="install the versions of requirements.lock: make setup",
                )
            return start(parts, **options)

        return start_guarded

    run_dagster_dev(arguments, guarded)


def _keep_code_servers(daemon: Sequence[str]) -> None:
    """Keep the code servers of `dagster dev` alive: it gives its daemon a workspace file that names them."""
    if "--workspace" not in daemon:
        return
    workspace = Path(daemon[daemon.index("--workspace") + 1])
    threading.Thread(
        target=keep_code_servers, args=(workspace, threading.Event()), name="sluice-code-servers", daemon=True
    ).start()


def guarded_command(arguments: Sequence[str]) -> list[str]:
    """The command of a process that is the guarded web server, from any folder."""
    return [sys.executable, "-P", str(_ENTRY), *arguments]


def develop_command(arguments: Sequence[str]) -> list[str]:
    """The command of a process that is `dagster dev` with the guarded web server, from any folder."""
    return [sys.executable, "-P", str(_ENTRY), "dev", *arguments]
