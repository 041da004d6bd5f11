"""Checks that the journal's topic exists and keeps its records.
Publishing does not need it, so no finding fails."""

from collections.abc import Iterator
from dataclasses import replace

from pipelines.preflight.finding import Finding
from pipelines.preflight.rules.access import rights_on
from pipelines.preflight.rules.topic import replication
from resources.errors import SluiceError
from resources.kafka.topics.cluster import ClusterState
from resources.kafka.topics.journal_topic import JOURNAL_CONFIG, journal_topic, problem_of
from resources.kafka.topics.topics import create_command
from resources.settings import Settings, variable
from resources.wording import counted

_WITHOUT = "until then `sluice history` shows the ledger alone, and accepting another topic, cluster, store or location is refused"


def journal_findings(settings: Settings, cluster: ClusterState) -> Iterator[Finding]:
    """Every finding about the journal's topic and the rights to it. `cluster` must describe the topic."""
    for finding in _findings(settings, cluster):
        yield replace(finding, level="warning") if finding.level == "failed" else finding


def _findings(settings: Settings, cluster: ClusterState) -> Iterator[Finding]:
    state = cluster.topics[journal_topic(settings)]
    name, wanted = state.name, settings.ledger_partitions
    command = create_command(settings, name, wanted, JOURNAL_CONFIG)
    if state.presence == "hidden":
        yield Finding(
            "journal",
            "warning",
            f"{name} does not exist, or this login has no right to it; Kafka does not say which",
            f"grant Read and Write on it (docs/operating.md#rights); if it does not exist: {command}",
        )
        return
    if state.topic is None or state.presence == "missing":
        if settings.create_topics:
            found = (
                f"{name} does not exist yet; the first record creates it with {counted(wanted, 'partition')}"
            )
            yield Finding("journal", "ok", found)
        else:
            found = f"{name} does not exist, and the settings do not allow Sluice to create it: {_WITHOUT}"
            yield Finding("journal", "warning", found, f"{command} (or set {variable('create_topics')}=true)")
        return
    found = f"{name}, {counted(state.topic.partitions, 'partition')}"
    wrong = problem_of(settings, state.topic)
    if wrong is not None:
        yield Finding("journal", "warning", f"{name} {wrong[0]}: {_WITHOUT}", wrong[1])
    elif not state.config:
        yield Finding(
            "journal",
            "unknown",
            f"{found}; this login may not read its retention and cleanup policy",
            "grant DescribeConfigs on it, or ask an administrator: it must delete and compact nothing",
        )
    else:
        yield Finding("journal", "ok", f"{found}, nothing deleted, nothing compacted")
    yield from rights_on(settings, state, {"Read", "Write"}, "journal rights")
    yield from replication(settings, cluster, state, "journal replicas")


def described_topics(settings: Settings) -> tuple[str, ...]:
    """Sluice's own topics that are to be described; without the journal if it cannot have a name."""
    try:
        return settings.ledger_topic, journal_topic(settings)
    except SluiceError:
        return (settings.ledger_topic,)
