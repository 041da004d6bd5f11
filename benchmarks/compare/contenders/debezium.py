"""Kafka Connect with Debezium: the initial snapshot of a PostgreSQL table, as Avro by Apicurio's converter."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from confluent_kafka import Consumer, TopicPartition

from benchmarks.compare.clock import Clock
from benchmarks.compare.job import Job
from benchmarks.compare.postgres import postgres
from benchmarks.compare.tools import jars, java
from resources.dev.servers.kinds.apicurio import Apicurio
from resources.dev.servers.ports import free_ports
from resources.dev.servers.server import start

_SECONDS = 1800

_WORKER = """\
bootstrap.servers={bootstrap}
listeners=http://127.0.0.1:{port}
plugin.path={plugins}
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.file.filename={scratch}/offsets
"""


def run(job: Job, clock: Clock) -> int:
    scratch = Path(job.scratch)
    registry = Apicurio()
    schemas = start(registry, scratch / "apicurio")
    try:
        with postgres(job) as database_port, _worker(job, scratch) as (process, port):
            clock.root = process.pid  # neither PostgreSQL nor the registry counts
            url = schemas.address.removesuffix("/apis/ccompat/v7")
            connector = json.dumps(_connector(job, database_port, url)).encode()
            with clock.running():
                _ask(port, "/connectors", connector)
                rows = _wait(job, port)
            clock.facts |= {"debezium": "3.2.0", "schema": _schema(job, schemas.address)}
            clock.stop()
    finally:
        schemas.process.stop(registry.stop_seconds)
    return rows


def _connector(job: Job, database_port: int, registry: str) -> dict[str, Any]:
    converter = {
        "": "io.apicurio.registry.utils.converter.AvroConverter",
        ".apicurio.registry.url": f"{registry}/apis/registry/v2",
        ".apicurio.registry.auto-register": "true",
        ".apicurio.registry.as-confluent": "true",
        ".apicurio.registry.use-id": "contentId",
        ".apicurio.registry.headers.enabled": "false",
    }
    route = {
        "type": "org.apache.kafka.connect.transforms.RegexRouter",
        "regex": ".*",
        "replacement": job.topic,
    }
    key = {"type": "org.apache.kafka.connect.transforms.ExtractField$Key", "field": job.key}
    flat = {"type": "io.debezium.transforms.ExtractNewRecordState"}
    steps = {"flat": flat, "key": key, "route": route}
    settings = {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "database.hostname": "127.0.0.1",
        "database.port": str(database_port),
        "database.user": "postgres",
        "database.password": "postgres",
        "database.dbname": "postgres",
        "topic.prefix": "bench",
        "table.include.list": f"public.{job.table}",
        "snapshot.mode": "initial_only",
        "decimal.handling.mode": "precise",
        "time.precision.mode": "connect",
        "max.batch.size": "20480",
        "max.queue.size": "81920",
        "producer.override.acks": "all",
        "producer.override.compression.type": "lz4",
        "producer.override.linger.ms": "5",
        "producer.override.batch.size": "262144",
        "transforms": ",".join(steps),
    }
    settings |= {
        f"transforms.{name}.{key}": value for name, step in steps.items() for key, value in step.items()
    }
    settings |= {f"value.converter{name}": value for name, value in converter.items()}
    return {"name": "bench", "config": settings}


@contextmanager
def _worker(job: Job, scratch: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A standalone worker that is ready for connectors: its process and the port of its REST interface."""
    (port,) = free_ports(1, ())
    properties = scratch / "worker.properties"
    # Each plugin is a folder below the path, with its own class loader.
    plugins = scratch / "plugins"
    plugins.mkdir()
    for name in ("debezium_jars", "converter_jars"):
        (plugins / name).symlink_to(jars(name))
    told = _WORKER.format(bootstrap=job.bootstrap, port=port, plugins=plugins, scratch=scratch)
    properties.write_text(told)
    command = [
        java(),
        "-Xmx1g",
        "-cp",
        f"{jars('connect_jars')}/*",
        "org.apache.kafka.connect.cli.ConnectStandalone",
    ]
    log = scratch / "connect.log"
    with log.open("w") as out:
        process = subprocess.Popen([*command, str(properties)], cwd=scratch, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                _ask(port, "/connectors")
                break
            except URLError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Kafka Connect did not start: {log.read_text()[-800:]}") from None
                time.sleep(0.2)
        yield process, port
    finally:
        process.kill()  # after SIGTERM it once still ran a minute later; nothing of it is needed
        process.wait()


def _ask(port: int, path: str, body: bytes | None = None) -> Any:
    request = Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _wait(job: Job, port: int) -> int:
    """Wait until the topic has as many records as the job has rows:
    Connect does not report the end of a snapshot."""
    consumer = Consumer({"bootstrap.servers": job.bootstrap, "group.id": "bench-counts"})
    deadline, looked = time.monotonic() + _SECONDS, 0.0
    try:
        while time.monotonic() < deadline:
            ends = [
                consumer.get_watermark_offsets(TopicPartition(job.topic, p))[1]
                for p in range(job.kafka_partitions)
            ]
            if sum(ends) >= job.rows:
                return sum(ends)
            if time.monotonic() - looked > 2:
                looked = time.monotonic()
                tasks = _ask(port, "/connectors/bench/status")["tasks"]
                if failed := [task["trace"] for task in tasks if task["state"] == "FAILED"]:
                    causes = [line for line in failed[0].splitlines() if line.startswith("Caused by")]
                    raise RuntimeError(f"Debezium's task failed: {(causes or [failed[0]])[-1][-800:]}")
            time.sleep(0.02)
    finally:
        consumer.close()
    raise RuntimeError(f"{sum(ends):,} of {job.rows:,} records after {_SECONDS} s")


def _schema(job: Job, registry: str) -> str:
    """The schema that the converter made and registered; the registry ends with this process."""
    with urlopen(f"{registry}/subjects", timeout=30) as answer:
        (subject,) = [name for name in json.load(answer) if name.startswith(job.topic)]
    with urlopen(f"{registry}/subjects/{subject}/versions/latest", timeout=30) as answer:
        text: str = json.load(answer)["schema"]
    return text
