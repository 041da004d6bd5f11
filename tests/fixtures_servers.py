"""Real servers for tests, one of each kind per session, started when the first test requests it.

If a machine cannot run a server, the tests that need it are skipped, with the reason. If CI is set, or
SLUICE_REQUIRE_SERVERS=1, they fail instead, so that no test passes because it was left out.
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from resources.dev.servers import maven
from resources.dev.servers.errors import ServerUnavailable
from resources.dev.servers.files import read_json, write_json
from resources.dev.servers.kinds.apache_kafka import ApacheKafka
from resources.dev.servers.kinds.apicurio import Apicurio
from resources.dev.servers.kinds.embedded_broker import EmbeddedBroker
from resources.dev.servers.kinds.embedded_registry import EmbeddedRegistry
from resources.dev.servers.kinds.java import java_program
from resources.dev.servers.ports import is_free
from resources.dev.servers.process import OwnedProcess
from resources.dev.servers.server import Running, Server, recorded_process, start

_OWNER = "owner.json"
_BACK_SECONDS = 60
# Longer than the time between two heartbeats of a broker:
# after that the controller has reacted to the broker's silence.
_STEADY_SECONDS = 3
# Ports that no client uses as its own (Linux takes those from 32768 on):
# a server's port is still free at its restart.
_PORTS = range(10_000, 32_000)
# What a topic's policy removes is removed while a test waits:
# by default a broker checks after 30 s and every 5 min.
_TIDY = {
    "log.cleaner.backoff.ms": "200",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "500",
}
# A test that uses one of these fixtures needs no mark of its own; `-m "not kafka"` still leaves it out.
_MARKS = {"kafka", "apicurio"}
# The last two are worlds that have a broker and a registry.
SERVERS = {
    "apicurio",
    "embedded_broker",
    "embedded_registry",
    "kafka",
    "postgres",
    "real_kafka",
    "embedded_world",
    "world",
}
"""Fixtures that start a server, or say that one can be started."""


@dataclass
class ServerHandle:
    """A server that a test may stop and start.
    Leave it running and not paused: other tests of the session use it too."""

    server: Server
    running: Running

    @property
    def folder(self) -> Path:
        return self.running.folder

    @property
    def log(self) -> Path:
        return self.running.log

    def pause(self) -> None:
        """Stop its process in place (SIGSTOP): connections stay open, but nothing answers.

        After 9 s, Kafka's own controller fences the broker when the process continues (see
        `KafkaServer.resume`).
        """
        self.running.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue a paused process (SIGCONT)."""
        self.running.process.send(signal.SIGCONT)

    def kill(self) -> None:
        """End its process at once (SIGKILL), as a power failure would.

        Seen on Apache Kafka 4.3.1 with one node: if it is killed in the milliseconds between the
        acknowledgement of a commit and its markers, it starts again with the commit recorded as complete and
        the markers never written ("Couldn't find leader endpoint … can be skipped" in kafka.log), and
        read_committed readers stop before that transaction forever. With replicas on other nodes there is a
        leader that writes the markers. So before a kill, wait until the committed records can be read.
        """
        self.running.process.kill()

    def stop(self) -> None:
        """Stop its process cleanly (SIGTERM)."""
        self.running.process.stop(self.server.stop_seconds)

    def restart(self) -> None:
        """Stop it if it runs, and start it again with the same data and address;
        it is ready when this returns."""
        self.stop()
        before = self.running
        self.running = start(self.server, before.folder, preferred_ports=before.ports)
        if self.running.address != before.address:
            self.stop()
            raise AssertionError(f"port of {before.address} was taken while {before.server} was down")


@dataclass
class KafkaServer(ServerHandle):
    """A broker; `bootstrap` is the address for clients."""

    @property
    def bootstrap(self) -> str:
        return self.running.address

    def resume(self) -> None:
        """Continue a paused process, and wait until its controller lists it as a broker: a client that
        queries earlier gets no broker, and does not query again for minutes. One successful query is not
        enough: the controller, which was paused too, may fence the broker only after that."""
        super().resume()
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": "0"})
        began = since = time.monotonic()
        while time.monotonic() - since < _STEADY_SECONDS:
            there = False
            with suppress(KafkaException):
                there = bool(client.list_topics(timeout=2).brokers)
            if not there:
                since = time.monotonic()
            assert since < began + _BACK_SECONDS, f"{self.bootstrap}: not back after {_BACK_SECONDS} s"
            time.sleep(0.1)


@dataclass
class RegistryServer(ServerHandle):
    """A schema registry; `url` is the address for clients."""

    @property
    def url(self) -> str:
        return self.running.address


HandleT = TypeVar("HandleT", bound=ServerHandle)


@pytest.fixture(scope="session")
def embedded_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """The embedded broker (noida-db):
    starts in 0.2 s, for every test that does not depend on broker faults."""
    with own_server(KafkaServer, EmbeddedBroker(), tmp_path_factory) as handle:
        yield handle


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A real Apache Kafka, one node: starts in 4 s."""
    with own_server(KafkaServer, ApacheKafka(_TIDY), tmp_path_factory) as handle:
        yield handle


@pytest.fixture(scope="session")
def embedded_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """Our own schema registry: starts in 1 s."""
    with own_server(RegistryServer, EmbeddedRegistry(), tmp_path_factory) as handle:
        yield handle


@pytest.fixture(scope="session")
def apicurio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A real Apicurio registry under its Confluent-compatible path: starts in 4 s."""
    with own_server(RegistryServer, Apicurio(), tmp_path_factory) as handle:
        yield handle


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for server in _MARKS & servers_of(item):
            item.add_marker(server)


def servers_of(item: pytest.Item) -> set[str]:
    """The server fixtures that a test uses, also those that a parameter names."""
    params = getattr(getattr(item, "callspec", None), "params", {}).values()
    asked = {*getattr(item, "fixturenames", ()), *(value for value in params if isinstance(value, str))}
    return SERVERS & asked


@pytest.fixture(scope="session")
def real_kafka() -> None:
    """Only checks that this machine can run Apache Kafka, for tests that start one themselves."""
    with skipping_where_unavailable():
        java_program(ApacheKafka.name)
        maven.fetch("kafka", server=ApacheKafka.name, progress=lambda _: None)


@contextmanager
def skipping_where_unavailable() -> Iterator[None]:
    """Skip the test, or fail it if servers are required, if the machine cannot run a server."""
    try:
        yield
    except ServerUnavailable as missing:
        if required():
            pytest.fail(f"servers are required here (CI or SLUICE_REQUIRE_SERVERS): {missing}", pytrace=False)
        pytest.skip(str(missing))


@contextmanager
def own_server(
    handle_type: type[HandleT], server: Server, folders: pytest.TempPathFactory
) -> Iterator[HandleT]:
    """A separate server for the caller, stopped at the end. If it cannot run, the test is skipped or fails
    like the tests of the session's servers."""
    with skipping_where_unavailable():
        _end_orphans(folders)
        folder = folders.mktemp(server.name)
        write_json(folder / _OWNER, asdict(OwnedProcess.current()))
        running = start(server, folder, preferred_ports=own_ports(server.port_count))
    handle = handle_type(server, running)
    try:
        yield handle
    finally:
        handle.stop()  # the handle's process, not the one started above: a test may have restarted it


def own_ports(count: int) -> tuple[int, ...]:
    """Free ports that no other worker of this session takes, not even while the server on them is stopped."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ours = [port for port in _PORTS if port % workers == worker]
    random.Random().shuffle(ours)  # not the seed that plugins set: two sessions may run at once
    free = (port for port in ours if is_free(port))
    return tuple(next(free) for _ in range(count))


def _end_orphans(folders: pytest.TempPathFactory) -> None:
    """Stop the servers of earlier sessions that were killed before they could stop them."""
    workers = "PYTEST_XDIST_WORKER" in os.environ  # if so, a worker's folder is inside its session's
    sessions = folders.getbasetemp().parents[1 if workers else 0]
    for owner_file in [*sessions.glob(f"*/*/{_OWNER}"), *sessions.glob(f"*/popen-gw*/*/{_OWNER}")]:
        owner, orphan = read_json(owner_file), recorded_process(owner_file.parent)
        if owner and orphan and not OwnedProcess(**owner).is_alive():
            orphan.kill()


def required() -> bool:
    """True if a missing server is a failure: in CI, and if SLUICE_REQUIRE_SERVERS says so."""
    return os.environ.get("SLUICE_REQUIRE_SERVERS", "") not in ("", "0") or bool(os.environ.get("CI"))
