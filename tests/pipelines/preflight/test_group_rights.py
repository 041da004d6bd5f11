"""Limits by consumer lag on a broker with ACLs:
if the login may not see a group, the run ends, and says why."""

from contextlib import closing

import pytest
from confluent_kafka import Consumer, TopicPartition

from pipelines.journal.consumption_watch import ConsumptionWatch, DeclaredConsumer, Looked, Memory
from resources.kafka.errors import KafkaRefused
from resources.kafka.reading.lag import GroupReader
from resources.kafka.topics.journal_topic import journal_topic
from tests.pipelines.preflight.conftest import SecuredWorld

DESCRIBE = ("group", "billing", "DESCRIBE")


def test_a_group_is_read_with_describe_and_named_with_the_command_without(secured: SecuredWorld) -> None:
    topic = secured.world.topic
    secured.acls.set(*secured.needed.values())
    with closing(GroupReader(secured.platform().settings)) as reader:
        with pytest.raises(
            KafkaRefused, match="consumer group billing: the login may not see how far"
        ) as told:
            reader.lag(topic, "billing")
        assert "kafka-acls.sh" in str(told.value) and "--operation Describe --group billing" in str(
            told.value
        )
        secured.acls.set(*secured.needed.values(), DESCRIBE)
        assert reader.lag(topic, "billing").records == 0
        secured.acls.set(*secured.needed.values())
        with pytest.raises(KafkaRefused, match="may not see"):
            reader.lag(topic, "billing")


def test_a_declared_consumer_s_group_that_may_not_be_seen_is_a_problem_of_its_own(
    secured: SecuredWorld,
) -> None:
    world = secured.world
    world.deliver([("a", 1, 1)])
    (record,) = world.seen()
    consumer = Consumer({"bootstrap.servers": world.bootstrap, "group.id": "billing"})
    place = TopicPartition(world.topic, record.kafka_partition, record.offset + 1)
    consumer.commit(offsets=[place], asynchronous=False)
    consumer.close()
    journal = [("topic", journal_topic(world.settings()), one) for one in ("READ", "WRITE")]
    secured.acls.set(*secured.needed.values(), *journal)
    declared = DeclaredConsumer(world.event.full_name, world.topic, "billing", ("billing",))

    def look() -> Looked:
        return ConsumptionWatch(secured.platform(), [declared], Memory(), by="me").look()

    found = look()
    assert found.recorded == () and found.waiting == 1
    assert "not asked: consumer group billing: the login has no right to Describe it" in str(found)
    secured.acls.set(*secured.needed.values(), *journal, DESCRIBE)
    found = look()
    assert [one.kind for one in found.recorded] == ["first_consumption"] and found.waiting == 0
