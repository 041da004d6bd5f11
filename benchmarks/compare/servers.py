"""The servers of a comparison: one real Apache Kafka and one registry, in their own folder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from resources.dev.servers.kinds.apache_kafka import ApacheKafka
from resources.dev.servers.kinds.embedded_registry import EmbeddedRegistry
from resources.dev.servers.server import start

# A deleted topic's files are removed at once, not a minute later:
# the disk never needs space for more than one run.
_BROKER = {"log.segment.delete.delay.ms": "1000"}


@dataclass(frozen=True)
class BenchServers:
    """The addresses of the two servers, and the broker's process."""

    bootstrap: str
    registry_url: str
    broker_pid: int

    @property
    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 4})

    def create_topic(self, name: str, kafka_partitions: int) -> None:
        admin = self._admin
        admin.create_topics([NewTopic(name, kafka_partitions, 1)])[name].result(30)
        # A producer that queries too early waits for its next refresh of the metadata.
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = admin.list_topics(timeout=10).topics.get(name)
            if found and len(found.partitions) == kafka_partitions:
                leaders = [partition.leader for partition in found.partitions.values()]
                if all(leader >= 0 for leader in leaders):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"topic {name} has no leaders after 30 s")

    def delete_topic(self, name: str) -> None:
        admin = self._admin  # kept in a variable: if it is freed, its result is lost
        admin.delete_topics([name])[name].result(30)


@contextmanager
def bench_servers(folder: Path) -> Iterator[BenchServers]:
    """The servers, started on entry and stopped on exit, also if something fails in between."""
    kafka, registry = ApacheKafka(_BROKER), EmbeddedRegistry()
    broker = start(kafka, folder / "kafka")
    try:
        schemas = start(registry, folder / "registry")
        try:
            yield BenchServers(broker.address, schemas.address, broker.process.pid)
        finally:
            schemas.process.stop(registry.stop_seconds)
    finally:
        broker.process.stop(kafka.stop_seconds)
