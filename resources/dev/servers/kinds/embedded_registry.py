"""Our own small schema registry as a server (see resources/dev/registry)."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from resources.dev.servers.errors import ServerUnavailable
from resources.dev.servers.kinds.http_ready import http_not_ready
from resources.dev.servers.ports import LOOPBACK
from resources.dev.servers.server import Launch, Progress

_ROOT = Path(__file__).resolve().parents[4]
_NEEDS = ("starlette", "uvicorn", "avro")


class EmbeddedRegistry:
    """A subset of Confluent's REST API; data in `<folder>/registry.sqlite`."""

    name = "registry-embedded"
    port_count = 1
    start_seconds = 30.0
    stop_seconds = 10.0

    def prepare(self, folder: Path, ports: Sequence[int], progress: Progress) -> Launch:  # noqa: ARG002
        missing = [name for name in _NEEDS if find_spec(name) is None]
        if missing:
            raise ServerUnavailable(
                self.name,
                f"the embedded registry needs {', '.join(missing)}, which is not installed",
                next_step="install the extra: pip install 'sluice[embedded]'; or use a registry of your own",
            )
        database = folder / "registry.sqlite"
        # -P: Python must not import a folder named `resources` in the working directory instead.
        command = [sys.executable, "-P", "-m", "resources.dev.registry"]
        return Launch(
            [*command, "--host", LOOPBACK, "--port", str(ports[0]), "--db", str(database)],
            env={"PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"},
        )

    def not_ready(self, folder: Path, ports: Sequence[int]) -> str | None:  # noqa: ARG002
        return http_not_ready(LOOPBACK, ports[0], "/subjects")

    def address(self, ports: Sequence[int]) -> str:
        return f"http://{LOOPBACK}:{ports[0]}"
