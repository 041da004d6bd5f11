"""Checks that the ledger exists, with the partitions and the cleanup policy that its promises need."""

from collections.abc import Iterator

from pipelines.preflight.facts import Facts
from pipelines.preflight.finding import Finding, Level
from pipelines.preflight.rules.topic import replication
from resources.kafka.topics.cluster import ClusterState
from resources.kafka.topics.ledger_topic import LEDGER_CONFIG
from resources.kafka.topics.topics import alter_command, create_command
from resources.settings import Settings, variable
from resources.wording import counted

_MOST_NAMED = 3


def record_findings(facts: Facts) -> Iterator[Finding]:
    """Ledger records, of the requested windows or of those around them, that make a run refuse their window:
    they cannot be read, or are about another place. And records that are gone."""
    level: Level = "warning" if facts.publishing else "failed"
    refused, lost = facts.history.refused, facts.history.lost
    for error in refused[:_MOST_NAMED]:
        yield Finding("ledger records", level, f"{error.where}: {error.problem}", error.next_step)
    if len(refused) > _MOST_NAMED:
        more = len(refused) - _MOST_NAMED
        yield Finding(
            "ledger records", "warning", f"{more:,} more are refused; `sluice verify` names each of them"
        )
    # On a topic without records nothing could be published twice.
    if lost and facts.target.presence == "there" and facts.target_has_records:
        yield Finding(
            "ledger records",
            level,
            f"the ledger has no record of {', '.join(lost[:_MOST_NAMED])}{', …' if len(lost) > _MOST_NAMED else ''}, and the "
            f"snapshot store notes that it was published to {facts.topic} and read back: the ledger was deleted or emptied "
            "since, and publishing sends every event again",
            f"restore the ledger topic {facts.settings.ledger_topic} first (docs/operating.md#ledger)",
        )


def ledger_findings(settings: Settings, cluster: ClusterState) -> Iterator[Finding]:
    """Every finding about the ledger's topic, except the rights to it."""
    state = cluster.topics[settings.ledger_topic]
    name, wanted = settings.ledger_topic, settings.ledger_partitions
    command = create_command(settings, name, wanted, LEDGER_CONFIG)
    if state.presence == "hidden":
        yield Finding(
            "ledger",
            "failed",
            f"{name} is not there, or this login has no right to it; Kafka does not say which",
            f"grant Read and Write on it (docs/operating.md#rights); if it is missing: {command}",
        )
        return
    if state.topic is None or state.presence == "missing":
        if settings.create_topics:
            yield Finding(
                "ledger",
                "ok",
                f"{name} is not there yet; publishing creates it with {counted(wanted, 'partition')}, compacted",
            )
        else:
            yield Finding(
                "ledger",
                "failed",
                f"{name} does not exist, and the settings do not allow Sluice to create it",
                f"{command} (or set {variable('create_topics')}=true)",
            )
        return
    found = state.topic.partitions
    told = f"{name}, {counted(found, 'partition')}"
    if found != wanted:
        yield Finding(
            "ledger",
            "failed",
            f"{told}, and the settings say {wanted}: the record of a window would be looked for in the wrong one",
            f"set {variable('ledger_partitions')}={found}; never add partitions to the ledger",
        )
    elif not state.config:
        yield Finding(
            "ledger",
            "unknown",
            f"{told}; its cleanup policy may not be read by this login",
            "grant DescribeConfigs on it, or ask an administrator: it must be compact and never delete",
        )
    elif state.topic.deletes:
        yield Finding(
            "ledger",
            "failed",
            f"{told}, cleanup.policy={state.config['cleanup.policy']}: the record of old windows would be deleted, and "
            "they would be published twice",
            alter_command(settings, name, {"cleanup.policy": "compact"}),
        )
    else:
        yield Finding("ledger", "ok", f"{told}, compacted, nothing deleted for its age")
    yield from replication(settings, cluster, state, "ledger replicas")
