"""The properties of each kind of client: the user's, and above them the ones that Sluice fixes.

Sluice fixes a property only if exactly-once depends on it. If the user's settings contain such a property,
they are refused and the error names it; nothing is overridden in silence.
"""

import logging
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias, TypeVar

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition, libversion

from resources import c_library
from resources.kafka.batches.batch_reader import BatchReader, PublicReader
from resources.kafka.batches.deliveries import Deliveries
from resources.kafka.batches.producer_client import Client, PublicClient
from resources.kafka.connecting.logins import Admin, Login
from resources.kafka.connecting.throttle import Throttle
from resources.kafka.errors import KafkaRefused, kafka_error
from resources.kafka.native.library import Library, NativeUnavailable
from resources.kafka.native.producer import NativeClient
from resources.kafka.native.reader import NativeReader
from resources.kafka.native.self_test import native_library
from resources.kafka.record_sizes import largest_record
from resources.settings import Settings, variable

# librdkafka also logs what it reports as an error; unless the user adds a handler, this log stays quiet.
log = logging.getLogger("sluice.kafka")
log.addHandler(logging.NullHandler())

C = TypeVar("C")

# A group name that a right can be given to; no consumer ever joins this group.
READING_GROUP = "sluice-reads-without-a-group"

# Long enough for a slow disk; short enough that a killed run does not block
# readers and its successor for long.
_TRANSACTION_TIMEOUT_MS = 45_000

_QUEUE_KILOBYTES = 65_536

_WAYS = ("auto", "native", "public")
# Properties that confluent-kafka itself handles, not librdkafka.
_PUBLIC_ONLY = ("plugin.library.paths", "sasl.oauthbearer.metadata.")

# property -> why the user may not set it
_OURS = {
    "acks": "the ledger's counts must survive the loss of a leader",
    "request.required.acks": "the ledger's counts must survive the loss of a leader",
    "enable.idempotence": "a retried batch must not be written twice",
    "transactional.id": "it is what fences two runs of one window",
    "partitioner": "keys must land where Java producers put them",
    "isolation.level": "the ledger must never be read from an aborted transaction",
    "group.id": "reading back never joins a group",
    "enable.auto.commit": "reading back never commits an offset",
    "delivery.report.only.error": "every acknowledgement is counted",
    "enable.partition.eof": "the ledger is read up to a mark, and the end of a partition is part of that",
}


def _users(settings: Settings) -> dict[str, str]:
    for name, why in _OURS.items():
        if name in settings.kafka:
            raise KafkaRefused(
                f"setting kafka.{name}", f"is fixed by Sluice: {why}", next_step="remove it from the settings"
            )
    return {**settings.kafka, "bootstrap.servers": settings.bootstrap_servers}


# Properties that only one kind of client knows; librdkafka warns if another kind gets them.
_PRODUCER_ONLY = (
    "batch.", "compression.", "delivery.", "linger.ms", "message.", "queue.buffering.", "request.timeout.ms",
    "retries", "retry.backoff", "sticky.", "transaction.",
)  # fmt: skip
_CONSUMER_ONLY = (
    "auto.offset.reset",
    "fetch.",
    "max.partition.fetch",
    "max.poll",
    "queued.",
    "session.timeout",
    "check.crcs",
)


def _without(users: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in users.items() if not name.startswith(prefixes)}


def transaction_timeout_ms(settings: Settings) -> int:
    """How long the brokers leave a transaction open, in milliseconds.

    Raises KafkaRefused if it does not fit the other settings.
    """
    told = settings.kafka.get("transaction.timeout.ms", str(_TRANSACTION_TIMEOUT_MS))
    if not told.isdecimal():
        raise KafkaRefused(
            "setting kafka.transaction.timeout.ms", f"{told!r} is not a whole number of milliseconds"
        )
    if settings.transaction_seconds * 2000 > int(told):
        raise KafkaRefused(
            f"setting transaction_seconds={settings.transaction_seconds}",
            f"the brokers end a transaction after {int(told) / 1000:g} s, while records of it are still on their way",
            allowed="at most half of kafka.transaction.timeout.ms",
        )
    return int(told)


def producer(
    settings: Settings,
    transactional_id: str,
    *,
    max_message_bytes: int | None = None,
    few: bool = False,
    **more: object,
) -> Producer:
    """A transactional, idempotent producer for a topic that takes batches of `max_message_bytes`.

    Raises KafkaRefused for a property that the client refuses.
    """
    config = producer_config(settings, transactional_id, max_message_bytes, few=few)
    return _make(Producer, {**config, "logger": log, **more})


def appending_producer(settings: Settings, *, seconds: float) -> Producer:
    """An idempotent producer without transactions, for a few records that must all be acknowledged within `seconds`.

    Raises KafkaRefused for a property that the client refuses.
    """
    config = producer_config(settings, "", few=True)
    for name in ("transactional.id", "transaction.timeout.ms"):
        del config[name]
    milliseconds = str(int(seconds * 1000))
    own = {"message.timeout.ms": milliseconds, "socket.timeout.ms": milliseconds}
    return _make(Producer, {**config, **own, "logger": log})


def transactional_client(
    settings: Settings,
    transactional_id: str,
    deliveries: Deliveries,
    *,
    max_message_bytes: int | None = None,
    kafka_partitions: int | None = None,
    few: bool = False,
) -> Client:
    """A client as `producer` makes it, with the protocol that both ways to produce share.

    `settings.producing` chooses the way. The outcomes of its records go to `deliveries`. `few`: each record
    is sent at once and does not wait for others. Raises KafkaRefused for a property that the client refuses,
    and if the native way is required and not available.
    """
    library, login = _native(settings), Login()
    if library is None:
        throttle = Throttle()
        made = producer(
            settings,
            transactional_id,
            max_message_bytes=max_message_bytes,
            few=few,
            error_cb=login,
            throttle_cb=throttle,
        )
        return PublicClient(made, deliveries, login, throttle)
    config = producer_config(settings, transactional_id, max_message_bytes, few=few)
    return _make(
        lambda made: NativeClient(library, made, deliveries, login, log, kafka_partitions=kafka_partitions),
        config,
    )


def producer_config(
    settings: Settings, transactional_id: str, max_message_bytes: int | None = None, *, few: bool = False
) -> dict[str, str]:
    """The properties of a transactional producer."""
    timeout_ms = transaction_timeout_ms(settings)
    largest = largest_record(settings, max_message_bytes)
    sizes: dict[str, object] = {"message.max.bytes": largest}
    if max_message_bytes is not None:
        # librdkafka does not know a topic's limit and does not split a batch: a batch of small
        # records above the limit would be refused. A single record may be larger than batch.size;
        # the brokers judge it, compressed.
        sizes["batch.size"] = min(max_message_bytes, 1_000_000)
    config: dict[str, object] = {
        "compression.type": "lz4",
        "linger.ms": 0 if few else 5,
        # A new producer claims each window; with librdkafka's default of this and the next two
        # that takes 55 ms, with these 22.
        "retry.backoff.ms": 10,
        "reconnect.backoff.ms": 10,
        "topic.metadata.refresh.fast.interval.ms": 10,
        # With 200,000, a publication used 15 MB more memory and was no faster.
        "queue.buffering.max.messages": 65_536,
        # A record that is larger than the queue would wait for room for ever.
        "queue.buffering.max.kbytes": max(_QUEUE_KILOBYTES, largest // 1024 + 1),
        # A killed run holds readers back until its transaction times out; no other
        # time-out may be longer than that.
        "transaction.timeout.ms": timeout_ms,
        "socket.timeout.ms": min(30_000, timeout_ms * 2 // 3),
        "message.timeout.ms": min(40_000, timeout_ms * 8 // 9),
        **sizes,
        **_without(_users(settings), _CONSUMER_ONLY),
        "acks": "all",
        "enable.idempotence": "true",
        "partitioner": "murmur2_random",
        "transactional.id": transactional_id,
    }
    return {name: str(value) for name, value in config.items()}


def _native(settings: Settings) -> Library | None:
    """librdkafka for the native way; None for the public way."""
    if settings.producing not in _WAYS:
        raise KafkaRefused(
            f"setting producing={settings.producing}", "is not a way to produce", allowed=", ".join(_WAYS)
        )
    if settings.producing == "public":
        return None
    try:
        for name in settings.kafka:
            if name.startswith(_PUBLIC_ONLY):
                raise NativeUnavailable(f"kafka.{name} is known to the public way only")
        return native_library()
    except NativeUnavailable as reason:
        if settings.producing == "native":
            raise KafkaRefused(
                "setting producing=native",
                f"is not possible here: {reason}",
                next_step="leave it at auto, which then produces the public way",
            ) from None
        _say_once(str(reason))
        return None


@cache
def _say_once(reason: str) -> None:
    log.warning("records are produced the public way, several times slower: %s", reason)


class Reader(Consumer):
    """confluent-kafka's Consumer, with `throttle`: how long brokers throttle it,
    updated while it is polled."""

    throttle: Throttle

    def begin(self, topic: str, first: Mapping[int, int]) -> None:
        """Read these Kafka partitions of a topic from these offsets on, and no other partitions."""
        self.assign([TopicPartition(topic, p, offset) for p, offset in first.items()])


def client_version() -> str:
    """The version of librdkafka."""
    return str(libversion()[0])


Record: TypeAlias = Message
"""A record as the client returns it: `key()`, `value()`, `partition()`, `offset()`,
`timestamp()`, `headers()`."""


def consumer(settings: Settings, **more: object) -> Reader:
    """A consumer for reading back: read_committed; it joins no group and commits no offset."""
    throttle = Throttle()
    made = _make(Reader, {**_consumer_config(settings), **more, "logger": log, "throttle_cb": throttle})
    made.throttle = throttle
    return made


def _consumer_config(settings: Settings) -> dict[str, object]:
    return {
        "fetch.wait.max.ms": 20,
        # By default librdkafka checks a full queue again only after a second, which
        # costs seconds per million records.
        "fetch.queue.backoff.ms": 5,
        **_without(_users(settings), _PRODUCER_ONLY),
        "group.id": READING_GROUP,
        "enable.auto.commit": "false",
        "enable.partition.eof": "true",
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
    }


def batch_reader(settings: Settings, *, stamps: bool = False, **more: object) -> BatchReader:
    """A consumer for reading many records, with the protocol that both ways to read share.

    It reads the native way if records are produced natively too and the compiled library exists. `stamps`:
    also return the records' timestamps.
    """
    loops, library = c_library.library(), _native(settings)
    if loops is None or library is None:
        reader = consumer(settings, **more)
        return PublicReader(reader, reader.throttle, stamps=stamps)
    config = {name: str(value) for name, value in {**_consumer_config(settings), **more}.items()}
    return _make(lambda made: NativeReader(library, loops, made, log, stamps=stamps), config)


def admin(settings: Settings) -> Admin:
    """An admin client."""
    users = _without(_users(settings), _PRODUCER_ONLY + _CONSUMER_ONLY)
    return _make(Admin, {**users, "logger": log})


def _make(kind: Callable[[Any], C], config: Mapping[str, object]) -> C:
    try:
        return kind(config)
    except KafkaException as error:
        raise KafkaRefused(
            "settings [kafka]",
            kafka_error(error).str(),
            allowed="the properties of librdkafka's CONFIGURATION.md",
            next_step=f"correct the property in sluice.toml or its {variable('kafka.…')} variable",
        ) from None
    except (ValueError, TypeError) as error:
        raise KafkaRefused("settings [kafka]", str(error)) from None
