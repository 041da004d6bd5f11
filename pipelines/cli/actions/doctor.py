"""What `doctor` examines: everything outside the process that the settings name."""

import os
import platform as machine
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipelines.cli.output.findings import tried
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry
from pipelines.ledger.identity import LedgerOfElsewhere, require_here
from pipelines.ledger.listing import read_ledger
from pipelines.preflight.amounts import size
from pipelines.preflight.finding import Finding, failures_of
from pipelines.preflight.rules.access import general_access
from pipelines.preflight.rules.disk import FLOOR_BYTES
from pipelines.preflight.rules.journal import described_topics, journal_findings
from pipelines.preflight.rules.ledger import ledger_findings
from resources.c_library import SLOWLY, why_missing
from resources.dev.servers import ServerStatus, status
from resources.errors import SluiceError, readable
from resources.identity import Identity
from resources.kafka.topics.cluster import describe
from resources.platform import Platform
from resources.registry import RightMissing
from resources.security.masking import mask
from resources.settings import Settings, SettingsError, settings_of_environments, shared_places, variable
from resources.warehouse.kinds import KINDS
from resources.wording import counted

_PACKAGES = (
    "sluice",
    "dagster",
    "confluent-kafka",
    "pyarrow",
    "pandas",
    *(package for kind in KINDS for package in kind.packages),
    "fastavro",
    "sqlglot",
)


def versions() -> list[tuple[str, str]]:
    """Python and the packages that a bug report needs."""
    from resources.kafka.factory import client_version

    found = [("python", f"{machine.python_version()} on {machine.system()} {machine.machine()}")]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return [*found, ("librdkafka", client_version())]


def examine(platform: Platform) -> Iterator[Finding]:
    """The findings one by one; an error in one check does not prevent the others."""
    yield from _environments()
    for server in status(platform.settings.home):
        yield from tried(f"own {server.role}", partial(_own_server, server))
    yield from _kafka(platform)
    yield from tried("registry", lambda: _registry(platform))
    for name in sorted(platform.settings.warehouses):
        yield from tried(f"warehouse {name}", partial(_warehouse, platform, name))
    yield from tried("snapshots", lambda: _snapshots(platform))
    yield from tried("disk", lambda: _disk(platform.settings.home))
    yield _compiled_library()
    yield from _dagster(platform)


def _environments() -> Iterator[Finding]:
    """Whether each environment has its own place."""
    found = settings_of_environments()
    for name, one in found.items():
        if isinstance(one, SettingsError):
            yield Finding("environments", "warning", f"{name} cannot be used: {one}")
    for problem, next_step in shared_places({n: s for n, s in found.items() if isinstance(s, Settings)}):
        yield Finding("environments", "warning", problem, next_step)


def _dagster(platform: Platform) -> Iterator[Finding]:
    """Whether Dagster ends no working run, and finds lost ones."""
    from pipelines.orchestration.launch import dagster_instance
    from pipelines.orchestration.liveness.run_monitoring import monitoring_advice, require_left_alone
    from pipelines.orchestration.liveness.stuck_runs import sensor_is_off, stuck_runs

    try:
        with dagster_instance(platform.settings) as instance:
            require_left_alone(instance)
            advice = monitoring_advice(instance)
            stuck, is_off = list(stuck_runs(instance)), sensor_is_off(instance)
    except SluiceError as error:
        yield from failures_of("Dagster", error)
    except Exception as error:  # from any storage, with any driver
        told = f"its storage or its dagster.yaml cannot be used: {type(error).__name__}: {readable(str(error)).partition(chr(10))[0]}"
        yield Finding(
            "Dagster", "failed", told, "see dagster.yaml in DAGSTER_HOME (docs/operating.md#dagster)"
        )
    else:
        told = "lost runs are found late" if advice else "finds lost runs, and leaves the others alone"
        yield Finding("Dagster", "warning" if advice else "ok", told, advice)
        if is_off:
            told = "the sensor lost_runs is off: lost runs are found later, and may not be launched again"
            yield Finding("Dagster", "warning", told, "turn it on in Dagster's UI, under Automation")
        for told, next_step in stuck:
            yield Finding("Dagster", "warning", told, next_step)


def _compiled_library() -> Finding:
    """Whether records are encoded in C."""
    reason = why_missing()
    if reason is None:
        return Finding("compiled library", "ok", "encodes and hashes records")
    missing, _, next_step = reason.partition("; ")
    return Finding("compiled library", "warning", f"{missing}: {SLOWLY}", next_step)


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
        cluster = describe(settings, described_topics(settings))
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
    try:
        yield from journal_findings(settings, cluster)
    except SluiceError as error:  # a name that Kafka does not allow
        yield Finding("journal", "warning", error.problem, error.allowed)
    yield from tried("identity", lambda: _identity(platform))
    if cluster.topics[settings.ledger_topic].presence == "there" and all(one.ok for one in ledger):
        yield from tried("windows recorded", lambda: _recorded(platform))


def _identity(platform: Platform) -> str:
    """The identity that ledger entries written here get."""
    here = platform.identity
    return (
        f"Kafka cluster {here.cluster_id or 'without an id'}, snapshot store {here.store_id or 'not used yet'}, code "
        f"location {here.code_location}"
    )


def _recorded(platform: Platform) -> str:
    ledger = read_ledger(platform)
    if ledger.damaged:
        first = ledger.damaged[0][1]
        more = (
            f" ({counted(len(ledger.damaged), 'record is', 'records are')} damaged)"
            if len(ledger.damaged) > 1
            else ""
        )
        raise LedgerDamaged(first.where, f"{first.problem}{more}", next_step=first.next_step)
    elsewhere = [
        one for one in map(partial(_elsewhere, platform.identity), ledger.entries) if one is not None
    ]
    if elsewhere:
        one = elsewhere[0]
        raise SluiceError(
            "ledger",
            f"{len(elsewhere):,} of {counted(len(ledger.entries), 'window is', 'windows are')} not this process's; {one.where}: {one.problem}",
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
        # Any subject will do: only a registry answers,
        # with its own error code, that the subject does not exist.
        platform.registry.lookup("sluice-doctor-asks-for-nothing", '"string"')
    except RightMissing:
        return f"{url} answers; this login may not read every subject, and `sluice check` asks for an event's own"
    return f"{url} answers"


def _warehouse(platform: Platform, name: str) -> str:
    platform.warehouse(name).describe("SELECT 1 AS one", {})
    return mask(f"warehouse.{name}", platform.settings.warehouses[name])


def _snapshots(platform: Platform) -> str:
    base = platform.settings.snapshots
    shown = mask("snapshots", base)
    platform.snapshots.set_validation(".doctor", "probe", "probe", {})
    if "://" not in base:
        probe = Path(base) / ".doctor"
        shutil.rmtree(probe, ignore_errors=True)
        if not os.access(base, os.W_OK):
            raise SluiceError(
                base,
                "cannot be written",
                next_step=f"give this user the right, or set {variable('snapshots')}",
            )
    return f"{shown} can be written"


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
