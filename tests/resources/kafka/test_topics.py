"""Topics: described, created only if that is allowed, otherwise the error names the command to run."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from resources.kafka.errors import KafkaRefused, KafkaUnavailable
from resources.kafka.topics.topics import TopicMissing, describe_topic, ensure_topic

if TYPE_CHECKING:
    from tests.resources.kafka.conftest import Cluster


def test_a_topic_is_described_by_its_cluster(cluster: "Cluster") -> None:
    name = cluster.topic(5, retention_ms="3600000", cleanup_policy="compact,delete", max_message_bytes="2000")
    topic = describe_topic(cluster.settings(), name)
    assert topic is not None
    assert (topic.partitions, topic.replicas, topic.retention_ms) == (5, 1, 3_600_000)
    assert topic.compacted and topic.deletes
    assert topic.max_message_bytes == 2000


def test_asking_for_a_topic_does_not_create_it(any_cluster: "Cluster") -> None:
    settings = any_cluster.settings()
    assert describe_topic(settings, f"{any_cluster.name}.absent") is None
    assert describe_topic(settings, f"{any_cluster.name}.absent") is None


def test_a_missing_topic_is_created_where_the_settings_allow_it(any_cluster: "Cluster") -> None:
    settings = any_cluster.settings()
    name = f"{any_cluster.name}.new"
    made = ensure_topic(settings, name, partitions=2, config={"cleanup.policy": "compact"})
    assert (made.name, made.partitions, made.compacted, made.deletes) == (name, 2, True, False)
    assert ensure_topic(settings, name, partitions=7) == made


def test_else_the_command_to_run_is_named(cluster: "Cluster") -> None:
    settings = replace(cluster.settings(), create_topics=False)
    with pytest.raises(TopicMissing) as caught:
        ensure_topic(settings, f"{cluster.name}.new", config={"cleanup.policy": "compact"})
    told = str(caught.value)
    assert f"--create --topic {cluster.name}.new --partitions 3" in told
    assert "--config cleanup.policy=compact" in told
    assert "SLUICE_CREATE_TOPICS=true" in told
    assert describe_topic(settings, f"{cluster.name}.new") is None


def test_what_the_cluster_refuses_is_said_in_its_words(cluster: "Cluster") -> None:
    settings = replace(cluster.settings(), replication_factor=3)
    with pytest.raises(KafkaRefused, match="INVALID_REPLICATION_FACTOR"):
        ensure_topic(settings, f"{cluster.name}.new")


def test_a_cluster_that_is_away_is_a_passing_fault(
    cluster: "Cluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.kafka.topics.topics._SECONDS", 1)
    settings = replace(cluster.settings(), kafka={"bootstrap.servers": "127.0.0.1:1"})
    with pytest.raises(KafkaUnavailable, match="check the address"):
        describe_topic(settings, "any.v1")
