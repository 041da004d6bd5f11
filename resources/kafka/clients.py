"""The settings each kind of client gets: the user's properties below, ours above.

Ours win only where the promise depends on them; such a property in the user's settings is refused
by name rather than overridden in silence.
"""

import logging
from collections.abc import Mapping
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from resources.errors import SluiceError
from resources.kafka.errors import KafkaRefused, kafka_error
from resources.settings import Settings

# librdkafka also logs what it reports as an error; without a handler of the user's it stays quiet.
log = logging.getLogger("sluice.kafka")
log.addHandler(logging.NullHandler())

C = TypeVar("C", Producer, Consumer, AdminClient)

# property -> why it is not the user's to set
_OURS = {
    "acks": "the ledger's counts must survive the loss of a leader",
    "enable.idempotence": "a retried batch must not be written twice",
    "transactional.id": "it is what fences two runs of one window",
    "partitioner": "keys must land where Java producers put them",
    "isolation.level": "the ledger must never be read from an aborted transaction",
    "group.id": "reading back never joins a group",
    "enable.auto.commit": "reading back never commits an offset",
    "enable.partition.eof": "the ledger is read up to a mark, and the end of a partition is part of that",
}


def _users(settings: Settings) -> dict[str, str]:
    for name, why in _OURS.items():
        if name in settings.kafka:
            raise KafkaRefused(
                f"setting kafka.{name}", f"is fixed by Sluice: {why}", next_step="remove it from the settings"
            )
    return {**settings.kafka, "bootstrap.servers": settings.bootstrap_servers}


# Settings that only one kind of client knows; librdkafka warns about the others.
_PRODUCER_ONLY = (
    "batch.", "compression.", "delivery.", "linger.ms", "message.", "queue.buffering.", "request.timeout.ms",
    "retries", "retry.backoff", "sticky.", "transaction.",
)  # fmt: skip
_CONSUMER_ONLY = ("auto.offset.reset", "fetch.", "max.partition.fetch", "max.poll", "queued.", "session.timeout", "check.crcs")


def _without(users: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in users.items() if not name.startswith(prefixes)}


def producer(settings: Settings, transactional_id: str, **more: object) -> Producer:
    """A transactional, idempotent producer. Raises KafkaRefused for a property the client refuses."""
    config: dict[str, object] = {
        "compression.type": "lz4",
        "linger.ms": 5,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 65_536,
        # A killed run holds readers back until its transaction times out; FACTS in docs/architecture.md.
        "transaction.timeout.ms": 45_000,
        "socket.timeout.ms": 30_000,
        "message.timeout.ms": 40_000,
        **_without(_users(settings), _CONSUMER_ONLY),
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "transactional.id": transactional_id,
        "logger": log,
        **more,
    }
    return _make(Producer, config)


def consumer(settings: Settings, **more: object) -> Consumer:
    """A consumer for reading back: read_committed, no group joined, no offset committed."""
    config: dict[str, object] = {
        "fetch.wait.max.ms": 20,
        **_without(_users(settings), _PRODUCER_ONLY),
        "group.id": "sluice-reads-without-a-group",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "logger": log,
        **more,
    }
    return _make(Consumer, config)


def admin(settings: Settings) -> AdminClient:
    """An admin client."""
    users = _without(_users(settings), _PRODUCER_ONLY + _CONSUMER_ONLY)
    return _make(AdminClient, {**users, "logger": log})


def _make(kind: type[C], config: dict[str, object]) -> C:
    try:
        return kind(config)  # type: ignore[call-arg]
    except KafkaException as error:
        raise KafkaRefused(
            "settings [kafka]",
            kafka_error(error).str(),
            allowed="the properties of librdkafka's CONFIGURATION.md",
            next_step="correct the property in sluice.toml or its SLUICE_KAFKA_… variable",
        ) from None
    except ValueError as error:
        raise SluiceError("settings [kafka]", str(error)) from None
