"""Topics: the properties of a topic, and the creation of one if the settings allow that."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection

# mypy cannot see the names that the package exports.
from confluent_kafka.admin import (
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicDescription,
)

from resources.errors import SluiceError
from resources.kafka.connecting.logins import Admin
from resources.kafka.errors import KafkaUnavailable, kafka_error
from resources.kafka.factory import admin
from resources.process.waiting import waiting_for
from resources.settings import Settings, variable

_SECONDS = 15
# 16 zero bytes, in the form in which Kafka writes ids.
_NO_ID = "A" * 22


class TopicMissing(SluiceError):
    """A topic does not exist and Sluice may not create it."""


@dataclass(frozen=True)
class Topic:
    """A topic as the cluster describes it. `config` holds the topic's settings as text. `topic_id` changes if
    the topic is deleted and created again; None if the brokers give no ids."""

    name: str
    partitions: int
    replicas: int
    config: Mapping[str, str]
    topic_id: str | None = None

    @property
    def compacted(self) -> bool:
        """True if old values of a key may be removed."""
        return "compact" in self.config.get("cleanup.policy", "delete")

    @property
    def max_message_bytes(self) -> int | None:
        """The largest batch of records in bytes that the topic accepts, after compression;
        None if it may not be read."""
        told = self.config.get("max.message.bytes")
        return int(told) if told else None

    @property
    def deletes(self) -> bool:
        """True if records are removed because of their age or the topic's size, whatever their key."""
        return "delete" in self.config.get("cleanup.policy", "delete")

    @property
    def retention_ms(self) -> int | None:
        """How long a record is kept, counted from its timestamp; -1 for ever, None if it may not be read."""
        kept = self.config.get("retention.ms")
        return None if kept is None else int(kept)


def describe_topic(settings: Settings, name: str, *, client: Admin | None = None) -> Topic | None:
    """The topic, or None if the cluster has no such topic."""
    client = client or admin(settings)
    with waiting_for(f"Kafka {settings.bootstrap_servers}, topic {name}"):
        described_topic = _described(client, name)
    if described_topic is None:
        return None
    partitions = described_topic.partitions
    config: dict[str, str] = {}
    resource = ConfigResource(ResourceType.TOPIC, name)
    try:
        described = client.answer(client.describe_configs([resource], request_timeout=_SECONDS)[resource])
        config = {key: entry.value for key, entry in described.items()}
    except KafkaException as error:
        # Reading a topic's settings needs a right that publishing does not need;
        # without it the preflight checks less.
        if kafka_error(error).code() not in (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.UNSUPPORTED_VERSION,
            KafkaError._UNSUPPORTED_FEATURE,
        ):
            raise client.explained(f"topic {name}", error) from None
    return Topic(name, len(partitions), len(partitions[0].replicas), config, topic_id_of(described_topic))


def topic_id_of(described: TopicDescription) -> str | None:
    """The id that the cluster gave a topic (KIP-516); None if it is all zeros, which
    means that the topic has no id."""
    told = str(described.topic_id or "")
    return None if told in ("", _NO_ID) else told


def _described(client: Admin, name: str) -> TopicDescription | None:
    # Not list_topics(name): a broker with auto.create.topics.enable would create the
    # topic because of that request.
    try:
        described = client.answer(
            client.describe_topics(TopicCollection([name]), request_timeout=_SECONDS)[name]
        )
    except KafkaException as error:
        if kafka_error(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise client.explained(f"topic {name}", error) from None
    return described if described.partitions else None


def ensure_topic(
    settings: Settings, name: str, *, partitions: int | None = None, config: Mapping[str, str] | None = None
) -> Topic:
    """The topic; it is created if the settings allow that. Raises TopicMissing with the command to run."""
    client = admin(settings)
    found = describe_topic(settings, name, client=client)
    if found is not None:
        return found
    partitions = partitions or settings.topic_partitions
    if not settings.create_topics:
        raise TopicMissing(
            f"topic {name}",
            "does not exist, and the settings do not allow Sluice to create it",
            next_step=f"{create_command(settings, name, partitions, config)} (or set {variable('create_topics')}=true)",
        )
    # -1: the brokers' default.replication.factor (KIP-464).
    wanted = NewTopic(name, partitions, settings.replication_factor or -1, config=dict(config or {}))
    try:
        client.answer(client.create_topics([wanted], request_timeout=_SECONDS)[name])
    except KafkaException as error:
        if kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise client.explained(f"topic {name}", error) from None
    return _wait_for_leaders(settings, name, client)


def create_command(
    settings: Settings, name: str, partitions: int, config: Mapping[str, str] | None = None
) -> str:
    """The command with which an administrator creates a topic as Sluice would create it."""
    replicas = f" --replication-factor {settings.replication_factor}" if settings.replication_factor else ""
    extra = "".join(f" --config {key}={value}" for key, value in (config or {}).items())
    return (
        f"kafka-topics.sh --bootstrap-server {settings.bootstrap_servers} --create --topic {name} "
        f"--partitions {partitions}{replicas}{extra}"
    )


def alter_command(settings: Settings, name: str, config: Mapping[str, str]) -> str:
    """The command with which an administrator changes a topic's settings."""
    values = ",".join(
        f"{key}=[{value}]" if "," in value else f"{key}={value}" for key, value in config.items()
    )
    return (
        f"kafka-configs.sh --bootstrap-server {settings.bootstrap_servers} --alter --topic {name} "
        f"--add-config {values}"
    )


def _wait_for_leaders(settings: Settings, name: str, client: Admin) -> Topic:
    """A new topic is listed before its Kafka partitions have leaders; wait until they can be written."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        described = _described(client, name)
        leaders = [partition.leader for partition in described.partitions] if described else []
        if leaders and all(leader is not None and leader.id >= 0 for leader in leaders):
            found = describe_topic(settings, name, client=client)
            if found is not None:
                return found
        time.sleep(0.1)
    raise KafkaUnavailable(f"topic {name}", f"was created, but has no leader after {_SECONDS} s")
