"""Three Kafka nodes on one machine, each broker and controller;
three replicas of everything, at least two in sync."""

import base64
import subprocess
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from resources.dev.servers import maven
from resources.dev.servers.kinds.apache_kafka import ApacheKafka
from resources.dev.servers.kinds.java import java_program
from resources.dev.servers.ports import LOOPBACK
from resources.dev.servers.server import Launch, Progress, Running, start
from tests.fixtures_servers import own_ports

NODES = 3


class _Node(ApacheKafka):
    """One of the three; formatted for a quorum whose voters are known in advance."""

    def __init__(self, number: int, cluster_id: str, controllers: Sequence[int]) -> None:
        places = [f"{LOOPBACK}:{port}" for port in controllers]
        self._voters = ",".join(f"{n}@{place}" for n, place in enumerate(places, start=1))
        super().__init__(
            {
                "node.id": str(number),
                "controller.quorum.voters": self._voters,
                "controller.quorum.bootstrap.servers": ",".join(places),
                "default.replication.factor": "3",
                "min.insync.replicas": "2",
                "offsets.topic.replication.factor": "3",
                "transaction.state.log.replication.factor": "3",
                "transaction.state.log.min.isr": "2",
            }
        )
        self.name = f"kafka-{number}"
        self._number, self._cluster_id = number, cluster_id

    def prepare(self, folder: Path, ports: Sequence[int], progress: Progress) -> Launch:
        if not (folder / "data" / "meta.properties").exists():
            self._format(folder, ports, progress)
        made = super().prepare(folder, ports, progress)
        # Three of them run on one machine.
        return Launch(["-Xmx256m" if part.startswith("-Xmx") else part for part in made.argv], made.env)

    def _format(self, folder: Path, ports: Sequence[int], progress: Progress) -> None:
        libraries = maven.fetch("kafka", server=self.name, progress=progress)
        (folder / "format.properties").write_text(
            f"process.roles=broker,controller\nnode.id={self._number}\nlog.dirs=data\n"
            f"controller.quorum.voters={self._voters}\ncontroller.listener.names=CONTROLLER\n"
            f"listeners=PLAINTEXT://{LOOPBACK}:{ports[0]},CONTROLLER://{LOOPBACK}:{ports[1]}\n"
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n"
        )
        command = [java_program(self.name), "-cp", f"{libraries}/*", "kafka.tools.StorageTool", "format"]
        command += ["-t", self._cluster_id, "-c", "format.properties"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)


class ThreeBrokers:
    """The running cluster. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        cluster_id = "S" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        ports = own_ports(NODES * 2)
        self._ports = [(ports[n], ports[NODES + n]) for n in range(NODES)]
        self._servers = [_Node(n + 1, cluster_id, ports[NODES:]) for n in range(NODES)]
        self._folders = [folder / f"node{n + 1}" for n in range(NODES)]
        self._running: list[Running] = []

    @property
    def bootstrap(self) -> str:
        """The addresses of all three, as clients need them."""
        return ",".join(f"{LOOPBACK}:{port}" for port, _ in self._ports)

    def __enter__(self) -> "ThreeBrokers":
        # Started together: none is ready before there is a quorum,
        # and the topic of transactions needs all three.
        with ThreadPoolExecutor(NODES) as pool:
            self._running = list(pool.map(self._start, range(NODES)))
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._running:
            running.process.kill()

    def _start(self, node: int) -> Running:
        running = start(self._servers[node], self._folders[node], preferred_ports=self._ports[node])
        if running.ports != self._ports[node]:
            running.process.kill()
            raise AssertionError(f"ports {self._ports[node]} were taken")
        return running

    def kill(self, node: int) -> None:
        """End one of them (numbered from 0) at once, as the loss of its machine would."""
        self._running[node].process.kill()

    def restart(self, node: int) -> None:
        """Start it again with its data."""
        self._running[node] = self._start(node)

    def wait_in_sync(self, topics: Sequence[str], seconds: float = 90) -> None:
        """Wait until all three have every partition of these topics: only then may another one be lost."""
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 3})
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            described = client.describe_topics(TopicCollection(list(topics)), request_timeout=20)
            found = [partition for topic in described.values() for partition in topic.result().partitions]
            if all(len(partition.isr) == NODES for partition in found):
                return
            time.sleep(0.5)
        raise AssertionError(f"replicas of {', '.join(topics)} are not in sync after {seconds:.0f} s")
