"""The embedded broker: `noida-db`, one native program from a wheel, without Java.

For a first look and for fast tests. Measured with 0.2.3: transactions, fencing, read_committed and compaction
work. It is a single node; it keeps its data in memory and saves them to one file when it ends (SIGTERM saves;
after a kill, the acknowledged records of the last second can be lost).
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from resources.dev.servers.errors import ServerUnavailable
from resources.dev.servers.kinds.kafka_ready import kafka_not_ready
from resources.dev.servers.ports import LOOPBACK
from resources.dev.servers.server import Launch, Progress


class EmbeddedBroker:
    """Kafka protocol by noida-db; data in `<folder>/data`."""

    name = "kafka-embedded"
    port_count = 1
    start_seconds = 20.0
    stop_seconds = 20.0

    def prepare(self, folder: Path, ports: Sequence[int], progress: Progress) -> Launch:  # noqa: ARG002
        return Launch(
            # The program inside the wheel, not the wheel's Python wrapper: the
            # pid must be that of the server.
            [
                str(_program()),
                "start",
                "--data-dir",
                str(folder / "data"),
                "--host",
                LOOPBACK,
                "--only",
                "kafka",
                "--kafka-port",
                str(ports[0]),
            ]
        )

    def not_ready(self, folder: Path, ports: Sequence[int]) -> str | None:  # noqa: ARG002
        return kafka_not_ready(self.address(ports))

    def address(self, ports: Sequence[int]) -> str:
        return f"{LOOPBACK}:{ports[0]}"


def _program() -> Path:
    spec = find_spec("noida_db")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(place) / "noida-db"
        if program.is_file():
            if not program.stat().st_mode & 0o100:  # some installers remove the bit
                program.chmod(0o755)
            return program
    raise ServerUnavailable(
        EmbeddedBroker.name,
        "it needs the noida-db package, which is not installed or has no program for this system",
        next_step="install the extra: pip install 'sluice[embedded]'; "
        "or use a broker of your own, or `sluice up --apache`",
    )
