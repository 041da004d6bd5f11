"""What the login may do, as far as Kafka reports it to a client."""

from collections.abc import Iterator

from pipelines.preflight.amounts import duration
from pipelines.preflight.facts import Facts
from pipelines.preflight.finding import Finding, failures_of
from resources.errors import SluiceError
from resources.kafka.factory import READING_GROUP, transaction_timeout_ms
from resources.kafka.topics.cluster import ClusterState, TopicState
from resources.settings import Settings, variable

_PAGE = "docs/operating.md#rights"


def access_findings(facts: Facts) -> Iterator[Finding]:
    """Rights on both topics, the reading group and the transactional id;
    and how long a transaction may last."""
    needed = {"Write"} | ({"Read"} if facts.settings.reconcile else set())
    yield from rights_on(facts.settings, facts.target, needed, "rights")
    yield from general_access(facts.settings, facts.kafka)


def general_access(settings: Settings, cluster: ClusterState) -> Iterator[Finding]:
    """The findings that are the same for every event."""
    yield from rights_on(settings, cluster.topics[settings.ledger_topic], {"Read", "Write"}, "ledger rights")
    if cluster.may_read_in_group is False:
        yield Finding(
            "group",
            "failed",
            f"this login has no right to group {READING_GROUP}, which reading needs though nothing joins it",
            _grant(settings, "Describe", "--group", READING_GROUP),
        )
    if cluster.authorizer:
        prefixed = "--resource-pattern-type prefixed --transactional-id"
        yield Finding(
            "transactional id",
            "unknown",
            "ACLs are in force, and Kafka tells nobody its right to a transactional id before it is used",
            "if this login has not published before: "
            + _grant(settings, "Write", prefixed, f"'{settings.code_location}|'"),
        )
    yield from _transactions(settings, cluster)


def rights_on(settings: Settings, state: TopicState, needed: set[str], subject: str) -> Iterator[Finding]:
    """Whether the login has the `needed` operations on a topic."""
    if state.presence != "there":
        return
    if state.rights is None:
        if not settings.embedded:
            yield Finding(
                subject, "unknown", f"the brokers do not say what this login may do on {state.name}"
            )
        return
    lacking = sorted(needed - state.rights)
    has = ", ".join(sorted(needed & state.rights)) or "none that it needs"
    if lacking:
        yield Finding(
            subject,
            "failed",
            f"this login lacks {' and '.join(lacking)} on {state.name} (it has: {has})",
            _grant(settings, ",".join(lacking), "--topic", state.name),
        )
    else:
        yield Finding(subject, "ok", f"{has} on {state.name}")


def _grant(settings: Settings, operations: str, option: str, name: str) -> str:
    login = settings.kafka.get("sasl.username", "<this login>")
    wanted = " ".join(f"--operation {one}" for one in operations.split(","))
    return (
        f"kafka-acls.sh --bootstrap-server {settings.bootstrap_servers} --add --allow-principal 'User:{login}' "
        f"{wanted} {option} {name} ({_PAGE})"
    )


def _transactions(settings: Settings, cluster: ClusterState) -> Iterator[Finding]:
    try:
        ours = transaction_timeout_ms(settings)
    except SluiceError as error:
        yield from failures_of("transactions", error)
        return
    told = f"a transaction may stay open {duration(ours)}"
    most = cluster.config.get("transaction.max.timeout.ms")
    if most is None:
        if not settings.embedded:
            yield Finding(
                "transactions",
                "unknown",
                f"{told}; what the brokers allow at most may not be read (15 min unless changed)",
                "DescribeConfigs on the cluster would show it",
            )
    elif ours > int(most):
        yield Finding(
            "transactions",
            "failed",
            f"{told}, and the brokers refuse more than {duration(int(most))} (transaction.max.timeout.ms={most})",
            f"set {variable('kafka.transaction.timeout.ms')}={most}, or raise transaction.max.timeout.ms on the brokers",
        )
    else:
        yield Finding("transactions", "ok", f"{told} of the {duration(int(most))} that the brokers allow")
