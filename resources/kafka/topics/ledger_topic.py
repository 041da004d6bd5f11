"""The ledger topic as a map from key to its newest committed value.

The reader asks for the high watermark as *read_uncommitted* and then reads *read_committed* up to it. The
last stable offset is not enough: if another producer has an open transaction, it hides this window's own last
commit, and the window would be published twice.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from confluent_kafka import KafkaException, TopicPartition

from resources.kafka.errors import (
    KafkaRefused,
    KafkaUnavailable,
)
from resources.kafka.factory import Record, admin, consumer
from resources.kafka.reading.offsets import Asked, ask_offsets, offsets_of
from resources.kafka.reading.range_reader import ReadStalled, read_until
from resources.kafka.topics.topics import describe_topic, ensure_topic
from resources.process.waiting import waiting_for
from resources.settings import Settings, variable
from resources.wording import counted

LEDGER_CONFIG = {"cleanup.policy": "compact", "retention.ms": "-1"}

_ASK_SECONDS = 15
# A killed run's open transaction ends after its transaction.timeout.ms, when the
# broker next checks for expired ones.
_WAIT_SECONDS = 120.0
_SAY_AFTER_SECONDS = 3.0
_FETCH_WAIT_MS = 3


class LedgerBlocked(KafkaUnavailable):
    """Another producer's open transaction hides the end of the ledger."""


class LedgerRemade(KafkaRefused):
    """The ledger was deleted and created again, or its log was truncated, after this process had read it."""

    def __init__(self, topic: str, told: str) -> None:
        super().__init__(
            f"topic {topic}",
            f"{told}: the ledger was deleted and made again, or its log was cut. What it said is gone, and every window "
            "would count as never published",
            next_step="restore the ledger topic; do not publish before (docs/operating.md#ledger)",
        )


class LedgerValue(bytes):
    """The value of a ledger record, with its Kafka partition and offset. `misplaced`: it is not in the Kafka
    partition of its key, so Sluice did not write it, and no run may use it."""

    kafka_partition: int
    offset: int
    misplaced: bool


def ledger_partition(key: str, partitions: int) -> int:
    """The Kafka partition of a key: CRC-32 of the key's UTF-8 bytes, modulo `partitions`;
    the same in every language."""
    return zlib.crc32(key.encode()) % partitions


class LedgerLog:
    """Follows the ledger. Each Kafka partition is read once; after that only what was added to it."""

    def __init__(self, settings: Settings, *, say: Callable[[str], None] = lambda _: None) -> None:
        self._settings = settings
        self._say = say
        self._topic = settings.ledger_topic
        self._admin = admin(settings)
        # The same client describes the topic and asks for offsets below. A client's very first request may be
        # lost together with the connection to the bootstrap address (librdkafka 2.16), and a lost request for
        # offsets is repeated after 3 s.
        found = describe_topic(settings, self._topic, client=self._admin) or ensure_topic(
            settings,
            self._topic,
            partitions=settings.ledger_partitions,
            config=LEDGER_CONFIG,
        )
        if found.partitions != settings.ledger_partitions:
            raise KafkaRefused(
                f"topic {self._topic}",
                f"has {counted(found.partitions, 'partition')}, the settings say {settings.ledger_partitions}: "
                "the record of a window would be looked for in the wrong one",
                next_step=f"set {variable('ledger_partitions')}={found.partitions}; never add partitions to the ledger",
            )
        if found.config and found.deletes:
            raise KafkaRefused(
                f"topic {self._topic}",
                f"has cleanup.policy={found.config['cleanup.policy']}: the record of old windows would be deleted,"
                " and they would be published twice",
                next_step=f"kafka-configs.sh --bootstrap-server {settings.bootstrap_servers} --alter --topic "
                f"{self._topic} --add-config cleanup.policy=compact",
            )
        self.partitions, self.topic_id = found.partitions, found.topic_id
        # The last record of a partition may be a commit marker. Then only a fetch that finds nothing shows
        # the end, and such a fetch waits this long for new records. Partitions are assigned, and so fetched,
        # only while the ledger is followed.
        self._consumer = consumer(settings, **{"fetch.wait.max.ms": _FETCH_WAIT_MS})
        self._values: dict[str, LedgerValue] = {}
        self._misplaced: dict[str, LedgerValue] = {}
        self._read_to: dict[int, int] = {}
        self._once_read: set[int] = set()
        self._followed: list[TopicPartition] = []

    def known(self, key: str) -> tuple[bool, bytes | None]:
        """Whether the Kafka partition of `key` has been read, and the newest value at
        that time. Sends no request."""
        return ledger_partition(key, self.partitions) in self._once_read, self._values.get(key)

    def ask(self, key: str) -> Callable[[], bytes | None]:
        """Begin to look for the newest committed value of `key` as of now, so that
        the caller can do something else.

        The returned function waits for the value and raises as `latest` does.
        """
        kafka_partition = ledger_partition(key, self.partitions)
        asked = ask_offsets(self._admin, self._topic, [kafka_partition])
        if kafka_partition in self._read_to:
            self._fetch([kafka_partition])

        def answer() -> bytes | None:
            self._follow([kafka_partition], _WAIT_SECONDS, asked)
            return self._values.get(key)

        return answer

    def latest(self, key: str, *, patience_seconds: float = _WAIT_SECONDS) -> bytes | None:
        """The newest committed value of `key`, as of now or later; None if there is none.

        Raises LedgerBlocked if an open transaction hides the end for longer than `patience_seconds`.
        """
        self._follow([ledger_partition(key, self.partitions)], patience_seconds)
        return self._values.get(key)

    def newest(
        self, keys: Iterable[str], *, patience_seconds: float = _WAIT_SECONDS
    ) -> dict[str, bytes | None]:
        """The newest committed value of each of `keys`, read at the same time; otherwise as `latest`."""
        wanted = list(keys)
        self._follow(sorted({ledger_partition(key, self.partitions) for key in wanted}), patience_seconds)
        return {key: self._values.get(key) for key in wanted}

    def entries(self, *, patience_seconds: float = _WAIT_SECONDS) -> Iterator[tuple[str, bytes]]:
        """The newest committed value of every key of every Kafka partition, and the misplaced
        values. Raises as `latest`."""
        self._follow(list(range(self.partitions)), patience_seconds)
        yield from sorted([*self._values.items(), *self._misplaced.items()])

    def close(self) -> None:
        """Free the clients."""
        self._consumer.close()

    def _follow(
        self, kafka_partitions: list[int], patience_seconds: float, asked: Asked | None = None
    ) -> None:
        with waiting_for(f"Kafka to read the ledger {self._topic}"):
            self._follow_to_the_end(kafka_partitions, patience_seconds, asked)

    def _follow_to_the_end(
        self, kafka_partitions: list[int], patience_seconds: float, asked: Asked | None
    ) -> None:
        try:
            ends = self._watermarks(kafka_partitions, asked)
            self._require_not_cut(ends)
            marks = {p: mark for p, mark in ends.items() if mark > self._read_to.get(p, 0)}
            if not marks:
                self._once_read.update(kafka_partitions)
                return
            new = [p for p in marks if p not in self._read_to]
            if new:
                if not self._read_to:
                    # A connected consumer looks up a topic that it does not know only once a second.
                    with suppress(KafkaException):
                        self._consumer.list_topics(self._topic, timeout=_ASK_SECONDS)
                self._read_to |= dict.fromkeys(new, 0)
            self._fetch(list(marks))
            self._read(marks, patience_seconds)
            self._once_read.update(kafka_partitions)
        finally:
            self._fetch([])

    def _require_not_cut(self, ends: dict[int, int]) -> None:
        for p, end in sorted(ends.items()):
            if end < self._read_to.get(p, 0):
                raise LedgerRemade(
                    self._topic,
                    f"partition {p} ends at offset {end:,}, and it was read to {self._read_to[p]:,} before",
                )

    def _fetch(self, kafka_partitions: list[int]) -> None:
        """From now on fetch these Kafka partitions, from the offset to which each was read, and no others."""
        if sorted(kafka_partitions) == sorted(one.partition for one in self._followed):
            return
        if self._followed:
            self._consumer.incremental_unassign(self._followed)
        self._followed = [TopicPartition(self._topic, p, self._read_to[p]) for p in kafka_partitions]
        if self._followed:
            self._consumer.incremental_assign(self._followed)

    def _read(self, marks: dict[int, int], patience_seconds: float) -> None:
        """Read the records up to the marks, and perhaps more."""
        ours = f"another run's transaction is open (a killed run's ends within {_WAIT_SECONDS:.0f} s)"
        try:
            for taken in read_until(
                self._consumer,
                self._topic,
                marks,
                what="the ledger: ",
                hidden=ours,
                stalled="a transaction stays open",
                patience_seconds=patience_seconds,
                say=self._say,
            ):
                for record in taken.records:
                    self._take(record)
                for p, reached in taken.reached.items():
                    self._read_to[p] = max(reached, self._read_to.get(p, 0))
        except ReadStalled as stalled:
            self._watermarks(list(marks))  # if no broker answers, this raises, with the better reason
            raise LedgerBlocked(
                f"topic {self._topic}",
                f"could not be read to its end in {patience_seconds:.0f} s: {stalled.why}",
                next_step=f"{stalled.step}, then launch again",
            ) from None

    def _take(self, record: Record) -> None:
        kafka_partition, raw = record.partition() or 0, record.value()
        key = (record.key() or b"").decode(errors="replace")
        own = kafka_partition == ledger_partition(key, self.partitions)
        newest = self._values if own else self._misplaced
        if raw is None:
            newest.pop(key, None)
            return
        value = LedgerValue(raw)
        value.kafka_partition, value.offset = kafka_partition, record.offset() or 0
        value.misplaced = not own
        newest[key] = value

    def _watermarks(self, kafka_partitions: list[int], asked: Asked | None = None) -> dict[int, int]:
        (found,) = offsets_of(self._admin, self._topic, kafka_partitions, asked=asked)
        return found
