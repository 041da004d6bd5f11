"""What `doctor` looks at: everything outside that the settings point at."""

import os
import platform as machine
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from confluent_kafka import KafkaException

from pipelines.cli.findings import Finding
from pipelines.cli.screen import size
from resources.errors import SluiceError
from resources.kafka.clients import admin
from resources.kafka.errors import KafkaRefused, explain
from resources.kafka.ledger import LEDGER_CONFIG
from resources.kafka.topics import create_command, describe_topic
from resources.platform import Platform
from resources.servers import ServerStatus, status

_PACKAGES = ("sluice", "dagster", "confluent-kafka", "pyarrow", "pandas", "duckdb", "fastavro", "sqlglot")
_LOW_DISK_BYTES = 1_000_000_000


def versions() -> list[tuple[str, str]]:
    """Python and the packages a defect report needs."""
    from confluent_kafka import libversion

    found = [("python", f"{machine.python_version()} on {machine.system()} {machine.machine()}")]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return [*found, ("librdkafka", libversion()[0])]


def examine(platform: Platform) -> Iterator[Finding]:
    """Each thing in turn; an error in one leaves the others their turn."""
    for server in status(platform.settings.home):
        yield _tried(f"own {server.role}", partial(_own_server, server))
    kafka = _tried("Kafka", lambda: _kafka(platform))
    yield kafka
    if kafka.ok:
        yield _tried("ledger", lambda: _ledger(platform))
    yield _tried("registry", lambda: _registry(platform))
    for name in sorted(platform.settings.warehouses):
        yield _tried(f"warehouse {name}", partial(_warehouse, platform, name))
    yield _tried("snapshots", lambda: _snapshots(platform))
    yield _tried("disk", lambda: _disk(platform.settings.home))


def _tried(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, look())
    except SluiceError as error:
        return Finding(name, error=error)


def _own_server(server: ServerStatus) -> str:
    if server.state == "dead":
        raise SluiceError(
            f"{server.kind} {server.role}",
            f"ended by itself; its log is {server.log}",
            next_step="`sluice up` starts it again with its data",
        )
    if server.state == "stopped":
        return f"{server.kind}, stopped; `sluice up` starts it"
    return f"{server.kind}, running at {server.address}, process {server.pid}"


def _kafka(platform: Platform) -> str:
    where = f"Kafka {platform.settings.bootstrap_servers}"
    try:
        found = admin(platform.settings).list_topics(timeout=10)
    except KafkaException as error:
        raise explain(where, error) from None
    brokers = len(found.brokers)
    return (
        f"{platform.settings.bootstrap_servers}: {brokers} broker{'s' * (brokers != 1)}, "
        f"{len(found.topics)} topics, cluster {found.cluster_id or 'without an id'}"
    )


def _ledger(platform: Platform) -> str:
    settings = platform.settings
    topic = describe_topic(settings, settings.ledger_topic)
    if topic is None:
        if settings.create_topics:
            return f"{settings.ledger_topic} is not there yet; the first publication creates it"
        raise KafkaRefused(
            f"topic {settings.ledger_topic}",
            "does not exist, and the settings do not allow Sluice to create it",
            next_step=create_command(
                settings, settings.ledger_topic, settings.ledger_partitions, LEDGER_CONFIG
            ),
        )
    entries = sum(1 for _ in platform.ledger.entries())
    return f"{topic.name}: {topic.partitions} partitions, compacted, {entries:,} windows recorded"


def _registry(platform: Platform) -> str:
    url = platform.settings.registry_url
    # Any subject will do: the answer "unknown" needs the whole way there and back.
    platform.registry.lookup("sluice-doctor-asks-for-nothing", '"string"')
    return f"{url} answers"


def _warehouse(platform: Platform, name: str) -> str:
    from resources.settings import mask

    platform.warehouse(name).describe("SELECT 1 AS one", {})
    return mask(name, platform.settings.warehouses[name])


def _snapshots(platform: Platform) -> str:
    base = platform.settings.snapshots
    platform.snapshots.set_validation(".doctor", "probe", "probe", {})
    if "://" not in base:
        probe = Path(base) / ".doctor"
        shutil.rmtree(probe, ignore_errors=True)
        if not os.access(base, os.W_OK):
            raise SluiceError(
                base, "cannot be written", next_step="give this user the right, or set SLUICE_SNAPSHOTS"
            )
    return f"{base} can be written"


def _disk(home: Path) -> str:
    there = home
    while not there.exists():
        there = there.parent
    free, spill = shutil.disk_usage(there).free, shutil.disk_usage(tempfile.gettempdir()).free
    told = f"{size(free)} free at {there}, {size(spill)} in {tempfile.gettempdir()} (large sorts spill there)"
    if min(free, spill) < _LOW_DISK_BYTES:
        raise SluiceError(
            "disk", told, next_step="free some space: a full disk stops a window before it is published"
        )
    return told
