"""Apicurio Registry: somebody else's Confluent-compatible registry; Maven fetches its jars."""

from collections.abc import Sequence
from pathlib import Path

from resources.dev.servers import maven
from resources.dev.servers.errors import ServerUnavailable
from resources.dev.servers.kinds.http_ready import http_not_ready
from resources.dev.servers.kinds.java import java_program
from resources.dev.servers.ports import LOOPBACK
from resources.dev.servers.server import Launch, Progress

_PATH = "/apis/ccompat/v7"


class Apicurio:
    """Apicurio Registry 3 at its Confluent-compatible path; data in `<folder>/data` (H2)."""

    name = "registry-apicurio"
    port_count = 1
    start_seconds = 120.0
    stop_seconds = 20.0

    def prepare(self, folder: Path, ports: Sequence[int], progress: Progress) -> Launch:
        java = java_program(self.name)
        application = maven.fetch("apicurio", server=self.name, progress=progress)
        runner = next(application.glob("*-runner.jar"), None)
        if runner is None:
            problem = f"{application} holds no runner jar"
            raise ServerUnavailable(self.name, problem, next_step=f"delete {application} and try again")
        return Launch(
            [java, "-Xmx512m", "-jar", str(runner)],
            env={
                "QUARKUS_HTTP_HOST": LOOPBACK,
                "QUARKUS_HTTP_PORT": str(ports[0]),
                # On disk, so that schema ids survive a restart; its default database is in memory.
                "APICURIO_STORAGE_KIND": "sql",
                "APICURIO_STORAGE_SQL_KIND": "h2",
                "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{folder / 'data' / 'registry'}",
                "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
            },
        )

    def not_ready(self, folder: Path, ports: Sequence[int]) -> str | None:
        waiting_for = http_not_ready(LOOPBACK, ports[0], f"{_PATH}/subjects")
        configured = folder / "configured"
        if waiting_for is None and not configured.exists():
            # Confluent's default; Apicurio's own default is no check. Set only
            # once: after that it is the user's.
            level = b'{"compatibility": "BACKWARD"}'
            waiting_for = http_not_ready(LOOPBACK, ports[0], f"{_PATH}/config", put=level)
            if waiting_for is None:
                configured.touch()
        return waiting_for

    def address(self, ports: Sequence[int]) -> str:
        return f"http://{LOOPBACK}:{ports[0]}{_PATH}"
