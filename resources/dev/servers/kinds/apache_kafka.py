"""The real Apache Kafka: one KRaft node, broker and controller in one process, jars by Maven."""

import base64
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from resources.dev.servers import maven
from resources.dev.servers.environment import clean_environment
from resources.dev.servers.errors import ServerFailed
from resources.dev.servers.kinds.java import java_program
from resources.dev.servers.kinds.kafka_ready import kafka_not_ready
from resources.dev.servers.ports import LOOPBACK
from resources.dev.servers.server import Launch, Progress

_HEAP = "-Xmx512m"

# Paths are relative to the server's folder, which is its working directory: so no path needs escaping.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers={host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=data
# A topic that nobody created is a mistake to be told about, not a topic.
auto.create.topics.enable=false
# One node: the defaults of three replicas can never be met.
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=1
# The default, 128 MB, does not fit a small heap.
log.cleaner.dedupe.buffer.size=16777216
group.initial.rebalance.delay.ms=0
# A killed producer's transaction is aborted as soon as its time is up, not up to 10 s later.
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
# After a kill the broker registers again only when its old session has ended. A shorter session would
# start it sooner, and fence it after a shorter pause (a suspended laptop): see `ServerHandle.kill`.
broker.session.timeout.ms=9000
"""

_LOG4J = """\
status=warn
# Kafka logs until it has stopped; log4j by itself would stop first.
shutdownHook=disable
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=kafka.log
appender.file.filePattern=kafka.log.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=[%d] %p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=20MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
appender.console.filter.errors.type=ThresholdFilter
appender.console.filter.errors.level=error
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
rootLogger.appenderRef.console.ref=console
"""


class ApacheKafka:
    """Apache Kafka in KRaft mode; data in `<folder>/data`, its own log in `<folder>/kafka.log`.

    `overrides` are broker properties that are added to ours, for example `{"num.partitions": "3"}`.
    """

    name = "kafka-apache"
    port_count = 2  # clients, controller
    start_seconds = 90.0
    stop_seconds = 30.0

    def __init__(self, overrides: dict[str, str] | None = None) -> None:
        self._overrides = overrides or {}

    def prepare(self, folder: Path, ports: Sequence[int], progress: Progress) -> Launch:
        java = java_program(self.name)
        libraries = maven.fetch("kafka", server=self.name, progress=progress)
        port, controller_port = ports
        settings = _PROPERTIES.format(host=LOOPBACK, port=port, controller_port=controller_port)
        settings += "".join(f"{name}={value}\n" for name, value in self._overrides.items())
        (folder / "server.properties").write_text(settings)
        (folder / "log4j2.properties").write_text(_LOG4J)
        command = [java, _HEAP, "-Dlog4j2.configurationFile=log4j2.properties", "-cp", f"{libraries}/*"]
        if _cluster_id(folder) is None:
            _format(command, folder)
        return Launch([*command, "kafka.Kafka", "server.properties"])

    def not_ready(self, folder: Path, ports: Sequence[int]) -> str | None:
        return kafka_not_ready(self.address(ports), cluster_id=_cluster_id(folder))

    def address(self, ports: Sequence[int]) -> str:
        return f"{LOOPBACK}:{ports[0]}"


def _format(java: Sequence[str], folder: Path) -> None:
    # Kafka's own form of a cluster id. It must not begin with `-`, which would be read as an option.
    cluster_id = "S" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
    command = [*java, "kafka.tools.StorageTool", "format", "--standalone"]
    answer = subprocess.run(
        [*command, "-t", cluster_id, "-c", "server.properties"],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr).strip()
        log = folder / "format.log"
        log.write_text(said)
        problem = "its storage could not be formatted"
        raise ServerFailed(ApacheKafka.name, problem, log=log, log_tail=said[-1500:])


def _cluster_id(folder: Path) -> str | None:
    """The cluster id with which this data was formatted, or None if it was not formatted yet."""
    meta = folder / "data" / "meta.properties"
    if not meta.exists():
        return None
    for line in meta.read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "cluster.id":
            return value
    return None
