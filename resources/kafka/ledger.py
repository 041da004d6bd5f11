"""The ledger topic as a map from key to its newest committed value.

The reader asks for the high watermark as *read_uncommitted* and then reads *read_committed* up to it. The
last stable offset would not do: behind another producer's open transaction it hides this window's own
last commit, and the window would be published twice.
"""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ListOffsetsResultInfo, OffsetSpec  # type: ignore[attr-defined]

from resources.kafka.clients import admin, consumer
from resources.kafka.errors import (
    FIND_HANGING,
    KafkaRefused,
    KafkaUnavailable,
    explain,
    is_passing,
    kafka_error,
)
from resources.kafka.topics import describe_topic, ensure_topic
from resources.settings import Settings

LEDGER_CONFIG = {"cleanup.policy": "compact", "retention.ms": "-1"}

_ASK_SECONDS = 15
# An open transaction of a killed run ends after its transaction.timeout.ms and the broker's next look.
_WAIT_SECONDS = 120.0
_SAY_AFTER_SECONDS = 3.0
_FETCH_WAIT_MS = 3


class LedgerHeldBack(KafkaUnavailable):
    """Another producer's open transaction hides the end of the ledger."""


class LedgerRemade(KafkaRefused):
    """The ledger was deleted and made again, or its log was cut, after this process had read it."""

    def __init__(self, topic: str, told: str) -> None:
        super().__init__(
            f"topic {topic}",
            f"{told}: the ledger was deleted and made again, or its log was cut. What it said is gone, and every window "
            "would count as never published",
            next_step="restore the ledger topic; do not publish before (docs/operating.md#ledger)",
        )


class LedgerValue(bytes):
    """The value of a ledger record, which knows where it is. `misplaced`: not in the partition of its key, so whoever wrote
    it was not Sluice, and no run may go by it."""

    kafka_partition: int
    offset: int
    misplaced: bool


_Asked = dict[TopicPartition, "Future[ListOffsetsResultInfo]"]


def ledger_partition(key: str, partitions: int) -> int:
    """Where a key lives: CRC-32 of its UTF-8, the same in every language."""
    return zlib.crc32(key.encode()) % partitions


class LedgerLog:
    """Follows the ledger; each partition is read once, then only what was added to it."""

    def __init__(self, settings: Settings, *, say: Callable[[str], None] = lambda _: None) -> None:
        self._settings = settings
        self._say = say
        self._topic = settings.ledger_topic
        self._admin = admin(settings)
        # Described by the client that is asked for offsets below: a client's very first request may be lost with
        # the connection to the bootstrap address (librdkafka 2.16), and one for offsets is repeated after 3 s.
        found = describe_topic(settings, self._topic, client=self._admin) or ensure_topic(
            settings,
            self._topic,
            partitions=settings.ledger_partitions,
            config=LEDGER_CONFIG,
        )
        if found.partitions != settings.ledger_partitions:
            raise KafkaRefused(
                f"topic {self._topic}",
                f"has {found.partitions} partitions, the settings say {settings.ledger_partitions}: "
                "the record of a window would be looked for in the wrong one",
                next_step=f"set SLUICE_LEDGER_PARTITIONS={found.partitions}; never add partitions to the ledger",
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
        # A partition that ends with a commit is known to end by a fetch that found nothing, which waits this long for
        # something. Fetched is only while the ledger is followed: a partition is assigned for that, and not longer.
        self._consumer = consumer(settings, **{"fetch.wait.max.ms": _FETCH_WAIT_MS})
        self._values: dict[str, LedgerValue] = {}
        self._misplaced: dict[str, LedgerValue] = {}
        self._read_to: dict[int, int] = {}
        self._once_read: set[int] = set()
        self._followed: list[TopicPartition] = []

    def known(self, key: str) -> tuple[bool, bytes | None]:
        """Whether the partition of `key` has been read, and the newest value of then. Asks nobody."""
        return ledger_partition(key, self.partitions) in self._once_read, self._values.get(key)

    def ask(self, key: str) -> Callable[[], bytes | None]:
        """Begin to look for the newest committed value of `key` as of now, while there is something else to do; what is
        returned waits for it, and raises, as `latest` does."""
        kafka_partition = ledger_partition(key, self.partitions)
        asked = self._ask([kafka_partition])
        if kafka_partition in self._read_to:
            self._fetch([kafka_partition])

        def answer() -> bytes | None:
            self._follow([kafka_partition], _WAIT_SECONDS, asked)
            return self._values.get(key)

        return answer

    def latest(self, key: str, *, patience_seconds: float = _WAIT_SECONDS) -> bytes | None:
        """The newest committed value of `key`, as of now or later.

        Raises LedgerHeldBack when an open transaction hides the end for longer than `patience_seconds`.
        """
        self._follow([ledger_partition(key, self.partitions)], patience_seconds)
        return self._values.get(key)

    def newest(
        self, keys: Iterable[str], *, patience_seconds: float = _WAIT_SECONDS
    ) -> dict[str, bytes | None]:
        """The newest committed value of each of `keys`, asked for at once; else as `latest`."""
        wanted = list(keys)
        self._follow(sorted({ledger_partition(key, self.partitions) for key in wanted}), patience_seconds)
        return {key: self._values.get(key) for key in wanted}

    def entries(self) -> Iterator[tuple[str, bytes]]:
        """Newest committed value of every key of every partition, and those that are misplaced."""
        self._follow(list(range(self.partitions)), _WAIT_SECONDS)
        yield from sorted([*self._values.items(), *self._misplaced.items()])

    def close(self) -> None:
        """Free the clients."""
        self._consumer.close()

    def _follow(
        self, kafka_partitions: list[int], patience_seconds: float, asked: "_Asked | None" = None
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
                    # A topic that a connected consumer has not heard of is looked up once a second only.
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
        """From now on fetch these, from where they were read to, and no others."""
        if sorted(kafka_partitions) == sorted(one.partition for one in self._followed):
            return
        if self._followed:
            self._consumer.incremental_unassign(self._followed)
        self._followed = [TopicPartition(self._topic, p, self._read_to[p]) for p in kafka_partitions]
        if self._followed:
            self._consumer.incremental_assign(self._followed)

    def _read(self, marks: dict[int, int], patience_seconds: float) -> None:
        """Take what is there up to the marks, each of which is removed when it is reached."""
        started, said = time.monotonic(), False
        while marks:
            first = self._consumer.poll(0.2)
            # consume() waits out its whole time-out for a full batch; after one message, take what is here.
            for message in [first, *self._consumer.consume(10_000, timeout=0)] if first is not None else []:
                if message.partition() in marks:
                    started = time.monotonic()  # a quota slows a reader, and an open transaction stops it
                self._take(message, marks)
            waited = time.monotonic() - started
            if marks and waited > _SAY_AFTER_SECONDS and not said:
                said = True
                hidden = (
                    f"another run's transaction is open (a killed run's ends within {_WAIT_SECONDS:.0f} s)"
                )
                self._say(f"waiting for the ledger: {self._consumer.throttle.told(started) or hidden}")
            if marks and waited > patience_seconds:
                self._watermarks(list(marks))  # raises, with the better reason, when the brokers are away
                why, step = self._consumer.throttle.reader_waits(
                    started, "a transaction stays open", FIND_HANGING
                )
                raise LedgerHeldBack(
                    f"topic {self._topic}",
                    f"could not be read to its end in {patience_seconds:.0f} s: {why}",
                    next_step=f"{step}, then launch again",
                )

    def _take(self, message: object, marks: dict[int, int]) -> None:
        error = message.error()  # type: ignore[attr-defined]
        kafka_partition = message.partition()  # type: ignore[attr-defined]
        if error is None:
            reached = message.offset() + 1  # type: ignore[attr-defined]
            key = (message.key() or b"").decode(errors="replace")  # type: ignore[attr-defined]
            own = kafka_partition == ledger_partition(key, self.partitions)
            newest = self._values if own else self._misplaced
            if message.value() is None:  # type: ignore[attr-defined]
                newest.pop(key, None)
            else:
                value = LedgerValue(message.value())  # type: ignore[attr-defined]
                value.kafka_partition, value.offset = kafka_partition, reached - 1
                value.misplaced = not own
                newest[key] = value
        elif error.code() == KafkaError._PARTITION_EOF:
            # Transaction markers and aborted records are not handed over; the end of the partition is.
            reached = message.offset()  # type: ignore[attr-defined]
        else:
            raise explain(f"topic {self._topic}", error)
        self._read_to[kafka_partition] = max(reached, self._read_to.get(kafka_partition, 0))
        if reached >= marks.get(kafka_partition, reached + 1):
            del marks[kafka_partition]

    def _ask(self, kafka_partitions: list[int]) -> "_Asked":
        asked = {TopicPartition(self._topic, p): OffsetSpec.latest() for p in kafka_partitions}  # type: ignore[no-untyped-call]
        return self._admin.list_offsets(
            asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_ASK_SECONDS
        )

    def _watermarks(self, kafka_partitions: list[int], asked: "_Asked | None" = None) -> dict[int, int]:
        deadline = time.monotonic() + _ASK_SECONDS
        while True:
            try:
                futures = asked or self._ask(kafka_partitions)
                marks = {tp.partition: future.result().offset for tp, future in futures.items()}
                break
            except KafkaException as error:
                asked = None
                # A leader that moved, or is not elected yet on a topic just created, is there in a moment.
                if not is_passing(kafka_error(error)) or time.monotonic() > deadline:
                    raise explain(f"topic {self._topic}", error) from None
                time.sleep(0.1)
        # A request that timed out is no exception but offset -1001, which would pass for an empty ledger.
        if unknown := sorted(p for p, mark in marks.items() if mark < 0):
            raise KafkaUnavailable(
                f"topic {self._topic}",
                f"the brokers did not tell the end of partition {', '.join(map(str, unknown))} in {_ASK_SECONDS} s",
                next_step="check that the brokers run (`sluice doctor`), then launch again",
            )
        return marks
