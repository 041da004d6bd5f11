"""What a login can see of a cluster, of some of its topics, and of its own rights there.

All requests are sent at the same time, and nothing is created: no topic, no producer id. If the login may not
see something, the answer says so; nothing is guessed.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from confluent_kafka import KafkaError, KafkaException, TopicCollection

# mypy cannot see the names that the package exports.
from confluent_kafka.admin import ConfigResource, ResourceType

from resources.kafka.connecting.logins import Admin
from resources.kafka.errors import explain, is_passing, kafka_error
from resources.kafka.factory import READING_GROUP, admin
from resources.kafka.topics.topics import Topic, topic_id_of
from resources.process.waiting import waiting_for
from resources.settings import Settings

_SECONDS = 15

# hidden: if a login has no right to a topic, Kafka does not say whether the topic exists.
Presence = Literal["there", "missing", "hidden"]

_CANNOT_SAY = {
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError._UNSUPPORTED_FEATURE,
    KafkaError.INVALID_REQUEST,
}
_NO_RIGHT = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}


@dataclass(frozen=True)
class TopicState:
    """A topic as one login sees it.

    `topic` is None unless presence is `there`; its `config` is empty if the login may not read it.
    `rights` are the operations that the login has according to the brokers (`Write`,
    `DescribeConfigs`, …); None if they do not say.
    """

    name: str
    presence: Presence
    topic: Topic | None = None
    in_sync: Sequence[int] = ()
    leaderless: int = 0
    rights: frozenset[str] | None = None

    @property
    def config(self) -> Mapping[str, str]:
        """The topic's settings; empty if the login may not read them."""
        return self.topic.config if self.topic else {}

    def number(self, name: str) -> int | None:
        """A setting that is a whole number; None if it may not be read or if the brokers do not know it."""
        told = self.config.get(name)
        return int(told) if told else None


@dataclass(frozen=True)
class ClusterState:
    """A cluster as one login sees it. `config` are one broker's settings; empty if
    the login may not read them."""

    brokers: int
    topics: Mapping[str, TopicState]
    cluster_id: str | None = None
    rights: frozenset[str] | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    may_read_in_group: bool | None = None

    @property
    def authorizer(self) -> bool | None:
        """Whether ACLs are in force; None if that is not known."""
        if "authorizer.class.name" in self.config:
            return bool(self.config["authorizer.class.name"])
        # If the login lacks a right on any of these, ACLs are in force. If it has
        # all rights, that proves nothing.
        seen = [self.rights, *(state.rights for state in self.topics.values() if state.presence == "there")]
        if any(state.presence == "hidden" for state in self.topics.values()):
            return True
        if any(rights is not None and "AlterConfigs" not in rights for rights in seen):
            return True
        return None


def describe(settings: Settings, topics: Sequence[str], *, client: Admin | None = None) -> ClusterState:
    """The cluster and these topics, as the login of the settings sees them. Raises as `explain` says."""
    with waiting_for(f"Kafka {settings.bootstrap_servers}"):
        return _described(settings, topics, client or admin(settings))


def _described(settings: Settings, topics: Sequence[str], client: Admin) -> ClusterState:
    asked: dict[str, Any] = {"request_timeout": _SECONDS}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
    # All requests are sent before the first answer is waited for.
    described = client.describe_topics(
        TopicCollection(list(topics)), include_authorized_operations=True, **asked
    )
    configs = client.describe_configs(resources, **asked)
    group = client.describe_consumer_groups([READING_GROUP], **asked)[READING_GROUP]
    cluster = client.describe_cluster(include_authorized_operations=True, **asked)
    where = f"Kafka {settings.bootstrap_servers}"
    about = _result(client, cluster, where)
    broker = ConfigResource(ResourceType.BROKER, str(about.nodes[0].id))
    broker_config = client.describe_configs([broker], **asked)[broker]
    states = {
        name: _topic(name, described[name], configs[resource])
        for name, resource in zip(topics, resources, strict=True)
    }
    return ClusterState(
        brokers=len(about.nodes),
        topics=states,
        cluster_id=about.cluster_id or None,
        rights=_rights(about.authorized_operations),
        config=_config(broker_config, where),
        may_read_in_group=_may_describe(group, where),
    )


def _topic(name: str, described: Any, config: Any) -> TopicState:
    where = f"topic {name}"
    try:
        found = described.result()
    except KafkaException as error:
        code = kafka_error(error).code()
        if code not in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED):
            raise explain(where, error) from None
        hidden = code == KafkaError.TOPIC_AUTHORIZATION_FAILED
        return TopicState(name, "hidden" if hidden else "missing")
    if not found.partitions:
        return TopicState(name, "missing")
    return TopicState(
        name,
        "there",
        Topic(
            name,
            len(found.partitions),
            min(len(partition.replicas) for partition in found.partitions),
            _config(config, where),
            topic_id_of(found),
        ),
        in_sync=tuple(len(partition.isr) for partition in found.partitions),
        leaderless=sum(partition.leader is None or partition.leader.id < 0 for partition in found.partitions),
        rights=_rights(found.authorized_operations),
    )


def _config(future: Any, where: str) -> dict[str, str]:
    try:
        return {name: entry.value for name, entry in future.result().items() if entry.value is not None}
    except KafkaException as error:
        if kafka_error(error).code() not in _CANNOT_SAY | _NO_RIGHT:
            raise explain(where, error) from None
        return {}


def _may_describe(group: Any, where: str) -> bool | None:
    try:
        group.result()
        return True
    except KafkaException as error:
        code = kafka_error(error).code()
        if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return False
        if code == KafkaError.GROUP_ID_NOT_FOUND:
            return True
        # A coordinator that is just being created will exist when it is needed.
        if code in _CANNOT_SAY or is_passing(kafka_error(error)):
            return None
        raise explain(where, error) from None


def _result(client: Admin, future: Future[Any], where: str) -> Any:
    try:
        return client.answer(future)
    except KafkaException as error:
        raise client.explained(where, error) from None


def _rights(operations: Any) -> frozenset[str] | None:
    """Operation names as Kafka's documentation and `kafka-acls.sh` write them;
    None if the brokers do not say."""
    if not operations:
        return None
    return frozenset("".join(part.title() for part in one.name.split("_")) for one in operations)
