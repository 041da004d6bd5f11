"""First and last offsets of a topic's Kafka partitions, as they are now."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from resources.kafka.errors import KafkaUnavailable, explain, is_passing, kafka_error
from resources.kafka.logins import Admin

_ASK_SECONDS = 15

LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]


def offsets_of(
    client: Admin, topic: str, kafka_partitions: Iterable[int], specs: Sequence[OffsetSpec] = (LATEST,)
) -> list[dict[int, int]]:
    """For each of `specs` the offset of each Kafka partition, open transactions included. Raises as `explain` says, and
    KafkaUnavailable where the brokers do not answer."""
    partitions = sorted(kafka_partitions)
    if not partitions:
        return [{} for _ in specs]
    deadline = time.monotonic() + _ASK_SECONDS
    while True:
        try:
            # All on their way before the first is waited for.
            asked = [
                client.list_offsets(
                    {TopicPartition(topic, p): spec for p in partitions},
                    isolation_level=IsolationLevel.READ_UNCOMMITTED,
                    request_timeout=_ASK_SECONDS,
                )
                for spec in specs
            ]
            found = [{place.partition: told.result().offset for place, told in one.items()} for one in asked]
            break
        except KafkaException as error:
            unknown = kafka_error(error).code() == KafkaError._UNKNOWN_PARTITION
            # A leader that has just moved is found by asking again.
            if not (unknown or is_passing(kafka_error(error))) or time.monotonic() > deadline:
                raise explain(f"topic {topic}", error) from None
            if unknown:  # added since the client last looked, and it does not look again by itself
                with suppress(KafkaException):
                    client.list_topics(topic, timeout=_ASK_SECONDS)
            time.sleep(0.1)
    # A request that timed out is no exception but a negative offset.
    if any(offset < 0 for one in found for offset in one.values()):
        raise KafkaUnavailable(f"topic {topic}", f"the brokers did not tell its offsets in {_ASK_SECONDS} s")
    return found
