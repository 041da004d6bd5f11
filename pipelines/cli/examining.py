"""What `doctor` looks at: everything outside that the settings point at."""

import os
import platform as machine
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipelines.cli.findings import tried
from pipelines.cli.ledger_reading import read_ledger
from pipelines.preflight.access_rules import general_access
from pipelines.preflight.amounts import counted, size
from pipelines.preflight.disk_rules import FLOOR_BYTES
from pipelines.preflight.finding import Finding, failures_of
from pipelines.preflight.ledger_rules import ledger_findings
from pipelines.publishing.entry import LedgerDamaged, LedgerEntry
from pipelines.publishing.identity import LedgerOfElsewhere, require_here
from resources.errors import SluiceError
from resources.identity import Identity
from resources.kafka.cluster import describe
from resources.platform import Platform
from resources.registry import RightMissing
from resources.servers import ServerStatus, status
from resources.settings import mask

_PACKAGES = (
    "sluice",
    "dagster",
    "confluent-kafka",
    "pyarrow",
    "pandas",
    "duckdb",
    "adbc-driver-postgresql",
    "fastavro",
    "sqlglot",
)


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
        yield from tried(f"own {server.role}", partial(_own_server, server))
    yield from _kafka(platform)
    yield from tried("registry", lambda: _registry(platform))
    for name in sorted(platform.settings.warehouses):
        yield from tried(f"warehouse {name}", partial(_warehouse, platform, name))
    yield from tried("snapshots", lambda: _snapshots(platform))
    yield from tried("disk", lambda: _disk(platform.settings.home))


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


def _kafka(platform: Platform) -> Iterator[Finding]:
    settings = platform.settings
    try:
        cluster = describe(settings, [settings.ledger_topic])
        where = settings.bootstrap_servers
    except SluiceError as error:
        yield from failures_of("Kafka", error)
        return
    acls = {True: "ACLs in force", False: "no ACLs", None: ""}[cluster.authorizer]
    told = [f"{where}: {counted(cluster.brokers, 'broker')}", acls]
    yield Finding("Kafka", "ok", ", ".join(part for part in told if part))
    ledger = list(ledger_findings(settings, cluster))
    yield from ledger
    yield from general_access(settings, cluster)
    yield from tried("identity", lambda: _identity(platform))
    if cluster.topics[settings.ledger_topic].presence == "there" and all(one.ok for one in ledger):
        yield from tried("windows recorded", lambda: _recorded(platform))


def _identity(platform: Platform) -> str:
    """What ledger entries that are written here name."""
    here = platform.identity
    return (
        f"Kafka cluster {here.cluster_id or 'without an id'}, snapshot store {here.store_id or 'not used yet'}, code "
        f"location {here.code_location}"
    )


def _recorded(platform: Platform) -> str:
    ledger = read_ledger(platform)
    if ledger.damaged:
        first = ledger.damaged[0][1]
        more = f" ({len(ledger.damaged):,} records are damaged)" if len(ledger.damaged) > 1 else ""
        raise LedgerDamaged(first.where, f"{first.problem}{more}", next_step=first.next_step)
    elsewhere = [
        one for one in map(partial(_elsewhere, platform.identity), ledger.entries) if one is not None
    ]
    if elsewhere:
        one = elsewhere[0]
        raise SluiceError(
            "ledger",
            f"{len(elsewhere):,} of {len(ledger.entries):,} windows are not this process's; {one.where}: {one.problem}",
            next_step=one.next_step,
        )
    return f"{len(ledger.entries):,}"


def _elsewhere(here: Identity, entry: LedgerEntry) -> LedgerOfElsewhere | None:
    try:
        require_here(entry, here)
    except LedgerOfElsewhere as error:
        return error
    return None


def _registry(platform: Platform) -> str:
    url = mask("registry.url", platform.settings.registry_url)
    try:
        # Any subject will do: that there is no such subject only a registry says, with a code of its own.
        platform.registry.lookup("sluice-doctor-asks-for-nothing", '"string"')
    except RightMissing:
        return f"{url} answers; this login may not read every subject, and `sluice check` asks for an event's own"
    return f"{url} answers"


def _warehouse(platform: Platform, name: str) -> str:
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
    if min(free, spill) < FLOOR_BYTES:
        raise SluiceError(
            "disk", told, next_step="free some space: a full disk stops a window before it is published"
        )
    return told
