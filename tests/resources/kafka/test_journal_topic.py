"""The journal's topic on real brokers:
acknowledged records are read, by key, and a topic that would lose records is refused."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from resources.kafka.errors import KafkaRefused
from resources.kafka.reading.range_reader import RangeReader
from resources.kafka.topics.journal_topic import JOURNAL_CONFIG, JournalTopic, journal_topic
from resources.kafka.topics.ledger_topic import ledger_partition
from resources.kafka.topics.topics import TopicMissing, describe_topic
from resources.settings import Settings

if TYPE_CHECKING:
    from tests.resources.kafka.conftest import Cluster


def values(settings: Settings, *keys: str) -> list[tuple[str, bytes | None]]:
    return [(one.key, one.value) for one in JournalTopic(settings).read(keys or None)]


def test_what_is_written_is_read_by_its_key_in_order(any_cluster: "Cluster") -> None:
    settings = any_cluster.settings()
    journal = JournalTopic(settings)
    assert values(settings, "a.v1") == [] and list(journal.read([])) == []
    assert describe_topic(settings, journal.name) is None, "reading must create nothing"
    journal.append([])
    assert describe_topic(settings, journal.name) is None
    journal.append([("a.v1", b"1"), ("b.v1", b"2"), ("a.v1", b"3")])
    journal.append([("a.v1", "ä".encode())])
    assert values(settings, "a.v1") == [("a.v1", b"1"), ("a.v1", b"3"), ("a.v1", "ä".encode())]
    assert values(settings, "b.v1") == [("b.v1", b"2")] and values(settings, "c.v1") == []
    assert len(values(settings)) == 4
    found = describe_topic(settings, journal.name)
    assert found is not None and found.partitions == settings.ledger_partitions
    assert {name: found.config[name] for name in JOURNAL_CONFIG} == JOURNAL_CONFIG


def test_only_the_partition_of_a_key_is_read(cluster: "Cluster", monkeypatch: pytest.MonkeyPatch) -> None:
    settings = cluster.settings()
    keys = [f"{n}.v1" for n in range(12)]
    JournalTopic(settings).append([(key, b"x") for key in keys])
    asked: list[dict[int, int]] = []
    read = RangeReader.read
    monkeypatch.setattr(
        RangeReader, "read", lambda self, first, end: asked.append(end) or read(self, first, end)
    )
    assert values(settings, keys[3]) == [(keys[3], b"x")]
    assert [list(one) for one in asked] == [[ledger_partition(keys[3], 4)]]


def test_an_open_transaction_of_somebody_else_does_not_hide_the_end(cluster: "Cluster") -> None:
    settings = cluster.settings()
    journal = JournalTopic(settings)
    journal.append([("a.v1", b"1")])
    other = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": cluster.name})
    other.init_transactions(30)
    other.begin_transaction()
    other.produce(journal.name, b"odd", b"a.v1", partition=ledger_partition("a.v1", 4))
    other.flush(30)
    try:
        journal.append([("a.v1", b"2")])
        assert [value for _, value in values(settings, "a.v1") if value != b"odd"] == [b"1", b"2"]
    finally:
        other.abort_transaction(30)


@pytest.mark.parametrize(
    ("partitions", "config", "told"),
    [
        (4, {"cleanup_policy": "compact", "retention_ms": "-1"}, "cleanup.policy=compact"),
        (4, {"retention_ms": "604800000"}, "retention.ms=604800000"),
        (4, {"retention_ms": "-1", "retention_bytes": "1000000"}, "retention.bytes=1000000"),
        (3, {"retention_ms": "-1"}, "has 3 partitions, and the settings say 4"),
    ],
)
def test_a_topic_that_would_forget_is_refused_before_anything_is_written(
    cluster: "Cluster", partitions: int, config: dict[str, str], told: str
) -> None:
    settings = cluster.settings()
    cluster.create(journal_topic(settings), partitions, **config)
    for use in (lambda: JournalTopic(settings).append([("a.v1", b"1")]), lambda: values(settings)):
        with pytest.raises(KafkaRefused, match="journal") as error:
            use()
        assert told in error.value.problem and error.value.next_step
    ends = RangeReader(settings, journal_topic(settings), committed=False).ends(partitions)
    assert set(ends.values()) == {0}


def test_a_journal_that_may_not_be_created_names_the_command(cluster: "Cluster") -> None:
    settings = replace(cluster.settings(), create_topics=False)
    with pytest.raises(TopicMissing) as error:
        JournalTopic(settings).append([("a.v1", b"1")])
    assert "--config retention.ms=-1" in str(error.value) and "--partitions 4" in str(error.value)
    assert describe_topic(settings, journal_topic(settings)) is None


def test_a_name_that_kafka_does_not_take_is_refused(cluster: "Cluster") -> None:
    settings = replace(cluster.settings(), ledger_topic="x" * 245)
    with pytest.raises(KafkaRefused, match="at most 241 characters"):
        JournalTopic(settings)


def test_a_record_that_is_too_large_is_an_error(cluster: "Cluster") -> None:
    settings = cluster.settings()
    journal = JournalTopic(settings)
    with pytest.raises(KafkaRefused):
        journal.append([("a.v1", os.urandom(2_000_000))])
    assert values(settings) == []
