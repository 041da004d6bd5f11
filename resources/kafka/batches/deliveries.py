"""The outcome of the records that were queued: acknowledged, or failed and why."""

from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

_FAILURES_KEPT = 1000
# A record with one of these errors failed only because of another failure.
PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)


@dataclass
class Delivered:
    """What the brokers acknowledged: the number of records, and the first and last
    offset of each kafka_partition."""

    records: int = 0
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, kafka_partition: int, first: int, last: int, records: int = 1) -> None:
        """Count acknowledged records of one kafka_partition, from offset `first` to `last`."""
        self.records += records
        known = self.offsets.get(kafka_partition, (first, last))
        self.offsets[kafka_partition] = (min(first, known[0]), max(last, known[1]))

    def merge(self, other: "Delivered") -> None:
        """Add what another transaction delivered."""
        records = self.records + other.records
        for kafka_partition, (first, last) in other.offsets.items():
            self.add(kafka_partition, first, last)
        self.records = records


class Deliveries:
    """Counts the outcomes of one transaction after the other. Failures are kept across transactions, because
    a failure ends the producer; only `forget_failures` drops them."""

    def __init__(self) -> None:
        self.delivered = Delivered()
        # Acknowledged without an offset: a batch that was sent again long after it had arrived.
        self.unplaced = 0
        self.failed = 0
        self._failures: list[tuple[KafkaError, Callable[[], tuple[str, int]]]] = []

    def begin(self) -> None:
        """A new transaction begins: none of its records is delivered yet."""
        self.delivered, self.unplaced = Delivered(), 0

    def acknowledge(self, kafka_partition: int, first: int, last: int, records: int = 1) -> None:
        """Count records of the event's topic that were acknowledged at offsets `first` to `last`;
        below 0: offsets not known."""
        if first < 0:
            self.unplaced += records
        else:
            self.delivered.add(kafka_partition, first, last, records)

    def fail(self, error: KafkaError, record: Callable[[], tuple[str, int]]) -> None:
        """Count a record that failed.

        `record` returns its topic and its size in bytes, and is called later: a callback may
        run while the client raises, and then every call into the client fails. For the same
        reason `error` is not read here.
        """
        self.failed += 1
        if len(self._failures) < _FAILURES_KEPT:
            self._failures.append((error, record))

    def forget_failures(self) -> None:
        """Drop the failures: they were raised, or their transaction is aborted and
        its records are sent again."""
        self.failed = 0
        self._failures = []

    def first_failure(self) -> tuple[KafkaError, str]:
        """The error that explains the failure, and its topic. A purged record's error only
        if there is no other error."""
        told = next((pair for pair in self._failures if pair[0].code() not in PURGED), self._failures[0])
        return told[0], told[1]()[0]

    def largest_refused_bytes(self) -> int:
        """Size of the largest record that was refused for its size."""
        return max(
            record()[1] for error, record in self._failures if error.code() == KafkaError.MSG_SIZE_TOO_LARGE
        )
