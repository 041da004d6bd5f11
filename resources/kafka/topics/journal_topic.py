"""The journal topic: append-only, read by key, never compacted and never deleted because of age.

All records of a key are in one Kafka partition, so reading one key means reading a part of the topic.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from resources.kafka.errors import DeliveryFailed, KafkaRefused, explain, kafka_error
from resources.kafka.factory import appending_producer
from resources.kafka.reading.range_reader import RangeReader
from resources.kafka.topics.ledger_topic import ledger_partition
from resources.kafka.topics.topics import Topic, alter_command, describe_topic, ensure_topic
from resources.process.waiting import waiting_for
from resources.settings import Settings, variable
from resources.wording import counted

JOURNAL_CONFIG = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_SUFFIX = ".journal"
# Kafka's own limit for the length of a topic name.
_LONGEST_NAME = 249
_APPEND_SECONDS = 20.0


@dataclass(frozen=True)
class Entry:
    """A record of the journal as it is on the topic. `value` is None if the record has no value."""

    key: str
    value: bytes | None
    kafka_partition: int
    offset: int


def journal_topic(settings: Settings) -> str:
    """The journal's topic: `<ledger topic>.journal`. Raises KafkaRefused if that
    name is too long for Kafka."""
    name = f"{settings.ledger_topic}{_SUFFIX}"
    if len(name) > _LONGEST_NAME:
        raise KafkaRefused(
            f"setting ledger_topic={settings.ledger_topic[:40]}…",
            f"the journal's topic would be called {name[:40]}…, with {len(name)} characters, and Kafka allows {_LONGEST_NAME}",
            allowed=f"a ledger topic of at most {_LONGEST_NAME - len(_SUFFIX)} characters, to have a journal",
        )
    return name


def problem_of(settings: Settings, found: Topic) -> tuple[str, str] | None:
    """What makes a topic unfit as the journal, and what to do. None if it is fit, as far
    as its settings may be read."""
    if found.partitions != settings.ledger_partitions:
        return (
            f"has {counted(found.partitions, 'partition')}, and the settings say {settings.ledger_partitions}: the records "
            "of an event would be looked for in the wrong one",
            f"set {variable('ledger_partitions')}={found.partitions} where the ledger has as many; never add partitions to the "
            "journal",
        )
    if not found.config:
        return None
    wrong = {
        name: wanted
        for name, wanted in JOURNAL_CONFIG.items()
        if (value := found.config.get(name)) is not None and value != wanted
    }
    if not wrong:
        return None
    settings_shown = ", ".join(f"{name}={found.config[name]}" for name in wrong)
    return f"has {settings_shown}: its records would be removed", alter_command(settings, found.name, wrong)


class JournalTopic:
    """Appends and reads. It keeps no client open. Not for use by several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.name = journal_topic(settings)

    def append(self, records: Sequence[tuple[str, bytes]], *, seconds: float = _APPEND_SECONDS) -> None:
        """Write records (key, value) in their order; after it returns, all in-sync replicas have them.

        The topic is created if the settings allow that. Raises TopicMissing, KafkaRefused, KafkaUnavailable
        and DeliveryFailed; after an error any of the records may or may not be on the topic.
        """
        if not records:
            return
        # The producer is created before the topic is looked up: a new client (librdkafka 2.16) needs some
        # milliseconds without a request to find a broker for its producer id. Otherwise it looks for a broker
        # again only after half a second.
        producer = appending_producer(self._settings, seconds=seconds)
        found = ensure_topic(
            self._settings, self.name, partitions=self._settings.ledger_partitions, config=JOURNAL_CONFIG
        )
        self._require_fit(found)
        with waiting_for(f"Kafka to write to the journal {self.name}"):
            self._produce(producer, records, seconds)

    def _produce(self, producer: Producer, records: Sequence[tuple[str, bytes]], seconds: float) -> None:
        where = f"topic {self.name}"
        failed: list[KafkaError] = []
        delivered: list[None] = []

        def acknowledged(error: KafkaError | None, _: Message) -> None:
            if error is None:
                delivered.append(None)
            else:
                failed.append(error)

        try:
            # If the client is not connected when the first record is queued, the same half a second passes.
            producer.list_topics(self.name, timeout=seconds)
            for key, value in records:
                place = ledger_partition(key, self._settings.ledger_partitions)
                producer.produce(
                    self.name, value=value, key=key.encode(), partition=place, on_delivery=acknowledged
                )
            producer.flush(seconds + 1)
        except KafkaException as error:
            raise explain(where, kafka_error(error)) from None
        except BufferError:
            raise DeliveryFailed(self.name, len(records), "the client's queue is full") from None
        if failed:
            raise explain(where, failed[0])
        if len(delivered) < len(records):
            missing = len(records) - len(delivered)
            raise DeliveryFailed(self.name, missing, f"no acknowledgement within {seconds:g} s")

    def read(self, keys: Iterable[str] | None = None) -> Iterator[Entry]:
        """Records of these keys (None: of all keys); the records of a key in the
        order in which they were written.

        Reads only the Kafka partitions of the keys. Yields nothing if the topic does not exist. Raises
        KafkaRefused for a topic that is no journal, and KafkaUnavailable.
        """
        wanted = None if keys is None else set(keys)
        if wanted == set():
            return
        found = self._described()
        if found is None:
            return
        self._require_fit(found)
        places = (
            set(range(found.partitions))
            if wanted is None
            else {ledger_partition(key, found.partitions) for key in wanted}
        )
        # Not read_committed: no journal record is in a transaction, and a foreign
        # producer's open one would hide the end.
        with closing(RangeReader(self._settings, self.name, committed=False)) as reader:
            ends = reader.ends(found.partitions)
            for records in reader.read({}, {p: ends[p] for p in places}):
                for record in records:
                    key = (record.key() or b"").decode(errors="replace")
                    if wanted is None or key in wanted:
                        yield Entry(key, record.value(), record.partition() or 0, record.offset() or 0)

    def _described(self) -> Topic | None:
        return describe_topic(self._settings, self.name)

    def _require_fit(self, found: Topic) -> None:
        wrong = problem_of(self._settings, found)
        if wrong is not None:
            raise KafkaRefused(f"topic {self.name}", wrong[0], next_step=wrong[1])
