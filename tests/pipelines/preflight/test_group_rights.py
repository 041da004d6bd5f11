"""Limits by consumer lag on a broker with ACLs: a group that the login may not see ends the run, and says why."""

from contextlib import closing

import pytest

from resources.kafka.errors import KafkaRefused
from resources.kafka.reading.lag import GroupReader
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
