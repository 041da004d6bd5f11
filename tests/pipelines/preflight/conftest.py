"""Facts made by hand for the rules; a world on a real broker, and one with ACLs, for the queries."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines import Event, load_catalogue
from pipelines.preflight.facts import ContractState, Disk, Facts
from pipelines.preflight.finding import Finding
from pipelines.preflight.fitness import judge
from resources.kafka.topics.cluster import ClusterState, TopicState
from resources.kafka.topics.ledger_topic import LedgerLog
from resources.kafka.topics.topics import Topic
from resources.platform import Platform
from resources.settings import load_settings
from tests.fixtures_servers import KafkaServer, RegistryServer, own_server
from tests.pipelines.preflight.secured_kafka import LOGIN, PASSWORD, Acls, Right, SecuredKafka
from tests.pipelines.preflight.topics import create_topic
from tests.pipelines.publishing.conftest import World

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2013, 3, 1, tzinfo=UTC)
ALL_RIGHTS = frozenset(
    {"Read", "Write", "Create", "Delete", "Alter", "Describe", "DescribeConfigs", "AlterConfigs"}
)

# The settings of an unchanged topic in Apache Kafka 4.3.
CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "delete.retention.ms": "86400000",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": "9223372036854775807",
    "message.timestamp.after.max.ms": "3600000",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
}


@dataclass(frozen=True)
class Case:
    """Facts without a problem; a test changes one of them."""

    facts: Facts

    def of(self, **changes: Any) -> "Case":
        """The facts with other fields."""
        return Case(replace(self.facts, **changes))

    def event(self, **changes: Any) -> "Case":
        """Another declaration."""
        return self.of(event=replace(self.facts.event, **changes))

    def settings(self, **changes: Any) -> "Case":
        """Other settings."""
        return self.of(settings=replace(self.facts.settings, **changes))

    def cluster(self, **changes: Any) -> "Case":
        """Another cluster."""
        return self.of(cluster=replace(self.facts.kafka, **changes))

    def topic(self, *, ledger: bool = False, config: dict[str, str] | None = None, **changes: Any) -> "Case":
        """The topic, or the ledger's topic, in another state; `config` changes single settings."""
        state = self.facts.ledger if ledger else self.facts.target
        assert state.topic is not None
        described = {name: changes.pop(name) for name in ("partitions", "replicas") if name in changes}
        topic = replace(state.topic, **described, config={**state.topic.config, **(config or {})})
        changed = replace(state, **{"topic": topic, **changes})
        return self.cluster(topics={**self.facts.kafka.topics, state.name: changed})

    def findings(self, subject: str) -> list[Finding]:
        """The findings of one subject."""
        return [finding for finding in judge(self.facts) if finding.subject == subject]

    def finding(self, subject: str) -> Finding:
        """The one finding of a subject."""
        (only,) = self.findings(subject)
        return only


@pytest.fixture(scope="session")
def sample_event() -> Event:
    """One of the repository's own events, daily windows from 2013-01-01."""
    return load_catalogue(ROOT / "assets").find("flight_departed")


@pytest.fixture
def case(sample_event: Event, tmp_path: Path) -> Case:
    """January 2013, on 1 March, on three brokers, not published yet."""
    settings = load_settings(
        {
            "SLUICE_HOME": str(tmp_path),
            "SLUICE_KAFKA_BOOTSTRAP_SERVERS": "kafka-1:9092",
            "SLUICE_REGISTRY_URL": "http://registry:8081",
        }
    )

    def state(name: str, partitions: int, **config: str) -> TopicState:
        settings_of_it = CONFIG | {key.replace("_", "."): value for key, value in config.items()}
        topic = Topic(name, partitions, 3, settings_of_it)
        return TopicState(name, "there", topic, in_sync=(3,) * partitions, rights=ALL_RIGHTS)

    cluster = ClusterState(
        brokers=3,
        topics={
            sample_event.topic: state(sample_event.topic, 6),
            settings.ledger_topic: state(settings.ledger_topic, 16, cleanup_policy="compact"),
        },
        rights=frozenset({"AlterConfigs", "DescribeConfigs"}),
        config={"authorizer.class.name": "", "transaction.max.timeout.ms": "900000"},
        may_read_in_group=True,
    )
    return Case(
        Facts(
            sample_event,
            sample_event.topic,
            settings,
            sample_event.windows.parse("2013-01"),
            NOW,
            cluster,
            ContractState(1),
            Disk("/snapshots", 10**12, "/tmp", 10**12),
        )
    )


@pytest.fixture
def world(kafka: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path) -> Iterator[World]:
    """On a real Apache Kafka."""
    made = World(tmp_path, kafka.bootstrap, embedded_registry.url)
    yield made
    made.close()


@dataclass
class SecuredWorld:
    """An event on a broker with ACLs: the tests may do anything, the platform only what its login may do."""

    world: World
    acls: Acls
    bootstrap: str

    @property
    def needed(self) -> dict[str, Right]:
        """The rights of the table in docs/operating.md, by the names that the preflight uses."""
        ledger = self.world.settings().ledger_topic
        return {
            "topic write": ("topic", self.world.topic, "WRITE"),
            "topic read": ("topic", self.world.topic, "READ"),
            "topic config": ("topic", self.world.topic, "DESCRIBE_CONFIGS"),
            "ledger write": ("topic", ledger, "WRITE"),
            "ledger read": ("topic", ledger, "READ"),
            "ledger config": ("topic", ledger, "DESCRIBE_CONFIGS"),
            "group": ("group", "sluice-reads-without-a-group", "DESCRIBE"),
            "transactional id": ("transactional id", "sluice|*", "WRITE"),
        }

    def grant_all_but(self, *left_out: str) -> None:
        """Grant every right that is needed, except some."""
        self.acls.set(*(right for name, right in self.needed.items() if name not in left_out))

    def platform(self, **more: Any) -> Platform:
        """The platform with the login."""
        login = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": LOGIN,
            "sasl.password": PASSWORD,
        }
        return self.world.platform(kafka=login, create_topics=False, **more)


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A real Apache Kafka with an authorizer, started when the first test requests it."""
    with own_server(KafkaServer, SecuredKafka(), tmp_path_factory) as handle:
        yield handle


@pytest.fixture
def secured(
    secured_kafka: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path
) -> Iterator[SecuredWorld]:
    """An existing topic and ledger, and a login without any right."""
    world = World(tmp_path, secured_kafka.bootstrap, embedded_registry.url)
    create_topic(world)
    LedgerLog(world.settings()).close()
    host = secured_kafka.bootstrap.partition(":")[0]
    acls = Acls(secured_kafka.bootstrap)
    acls.set()
    yield SecuredWorld(world, acls, f"{host}:{secured_kafka.running.ports[2]}")
    world.close()
