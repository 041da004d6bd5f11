"""First and last offsets of a topic's Kafka partitions, as they are now. All
offset requests are made here."""

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
# The client's metadata of the topic is out of date: since its last look, partitions were added or a leader
# was elected. After a broker was paused, a request with the old leader epoch was refused however often it
# was repeated (librdkafka 2.16).
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
"""Requests in progress: for each requested kind of offset, one request for each Kafka partition."""


def ask_offsets(
    client: Admin,
    topic: str,
    kafka_partitions: Iterable[int],
    specs: Sequence[OffsetSpec] = (LATEST,),
    *,
    committed: bool = False,
) -> Asked:
    """Send the requests; `offsets_of` waits for the answers.

    `committed`: offsets as a read_committed consumer sees them, without open transactions.
    """
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
    """For each of `specs`, the offset of each Kafka partition.

    Open transactions are included unless `committed`. `asked`: the same requests, if they were sent already.
    Raises as `explain` says, and KafkaUnavailable if the brokers do not answer.
    """
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
            # All requests are sent before the first answer is waited for.
            asked = asked or ask_offsets(client, topic, partitions, specs, committed=committed)
            found = [{place.partition: told.result().offset for place, told in one.items()} for one in asked]
            break
        except KafkaException as error:
            asked = None
            outdated = kafka_error(error).code() in _OUTDATED
            # If a leader has just moved, or the topic was just created, a retry finds the leader.
            if not (outdated or is_passing(kafka_error(error))) or time.monotonic() > deadline:
                raise client.explained(f"topic {topic}", error) from None
            if outdated:  # the client does not refresh its metadata by itself
                with suppress(KafkaException):
                    client.list_topics(topic, timeout=_ASK_SECONDS)
            time.sleep(0.1)
    # A request that timed out gives a negative offset instead of an exception; it
    # would look like an empty topic.
    if unknown_to := sorted({p for one in found for p, offset in one.items() if offset < 0}):
        raise client.named(
            KafkaUnavailable(
                f"topic {topic}",
                f"the brokers did not tell the offsets of partition {', '.join(map(str, unknown_to))} in {_ASK_SECONDS} s",
                next_step="check that the brokers run (`sluice doctor`), then launch again",
            )
        )
    return found
