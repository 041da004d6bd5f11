"""First and last offsets of a topic's Kafka partitions, as they are now. Nothing else asks for offsets."""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ListOffsetsResultInfo, OffsetSpec

from resources.kafka.connecting.logins import Admin
from resources.kafka.errors import KafkaUnavailable, is_passing, kafka_error
from resources.process.waiting import waiting_for

_ASK_SECONDS = 15
# What the client knows of the topic is old: partitions were added, or a leader was elected, since it last looked. After a
# broker stood still, a request with the epoch of before was refused for as long as it was repeated (librdkafka 2.16).
_OUTDATED = (
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
)

LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]


Asked = Sequence[Mapping[TopicPartition, "Future[ListOffsetsResultInfo]"]]
"""Requests under way: for each of the wished offsets, one for each Kafka partition."""


def ask_offsets(
    client: Admin,
    topic: str,
    kafka_partitions: Iterable[int],
    specs: Sequence[OffsetSpec] = (LATEST,),
    *,
    committed: bool = False,
) -> Asked:
    """Begin to ask; `offsets_of` waits. `committed`: as a read_committed consumer sees them, without open transactions."""
    isolation = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    partitions = sorted(kafka_partitions)
    return [
        client.list_offsets(
            {TopicPartition(topic, p): spec for p in partitions},
            isolation_level=isolation,
            request_timeout=_ASK_SECONDS,
        )
        for spec in specs
    ]


def offsets_of(
    client: Admin,
    topic: str,
    kafka_partitions: Iterable[int],
    specs: Sequence[OffsetSpec] = (LATEST,),
    *,
    committed: bool = False,
    asked: Asked | None = None,
) -> list[dict[int, int]]:
    """For each of `specs` the offset of each Kafka partition; open transactions included, but with `committed`. `asked`:
    the same was asked already. Raises as `explain` says, and KafkaUnavailable where the brokers do not answer."""
    partitions = sorted(kafka_partitions)
    if not partitions:
        return [{} for _ in specs]
    with waiting_for(f"Kafka to tell the offsets of topic {topic}"):
        return _answered(client, topic, partitions, specs, committed=committed, asked=asked)


def _answered(
    client: Admin,
    topic: str,
    partitions: Sequence[int],
    specs: Sequence[OffsetSpec],
    *,
    committed: bool,
    asked: Asked | None,
) -> list[dict[int, int]]:
    deadline = time.monotonic() + _ASK_SECONDS
    while True:
        try:
            # All are on their way before the first is waited for.
            asked = asked or ask_offsets(client, topic, partitions, specs, committed=committed)
            found = [{place.partition: told.result().offset for place, told in one.items()} for one in asked]
            break
        except KafkaException as error:
            asked = None
            outdated = kafka_error(error).code() in _OUTDATED
            # A leader that has just moved, or of a topic that was just made, is found by asking again.
            if not (outdated or is_passing(kafka_error(error))) or time.monotonic() > deadline:
                raise client.explained(f"topic {topic}", error) from None
            if outdated:  # the client does not look again by itself
                with suppress(KafkaException):
                    client.list_topics(topic, timeout=_ASK_SECONDS)
            time.sleep(0.1)
    # A request that timed out is no exception but a negative offset, which would pass for an empty topic.
    if unknown_to := sorted({p for one in found for p, offset in one.items() if offset < 0}):
        raise client.named(
            KafkaUnavailable(
                f"topic {topic}",
                f"the brokers did not tell the offsets of partition {', '.join(map(str, unknown_to))} in {_ASK_SECONDS} s",
                next_step="check that the brokers run (`sluice doctor`), then launch again",
            )
        )
    return found
