"""Kafka's errors in a reader's words: what happened, the likely cause, what to do."""

from typing import Any

from confluent_kafka import KafkaError, KafkaException

from resources.errors import PassingFault, SluiceError


class KafkaRefused(SluiceError):
    """Kafka, or its client, refused: a setting, a right or a topic has to change first."""


class KafkaUnavailable(PassingFault):
    """Kafka could not be reached or did not answer in time."""


class DeliveryFailed(PassingFault):
    """Records were queued and not acknowledged; their transaction is aborted, so none of them is visible."""

    def __init__(self, topic: str, failed: int, reason: str) -> None:
        self.topic, self.failed = topic, failed
        super().__init__(
            f"topic {topic}",
            f"{failed} records were not acknowledged: {reason}",
            next_step="their transaction was aborted; launch the window again and it continues where it stopped",
        )


class TakenOver(SluiceError):
    """Another run has taken over this window; this one stops without having published anything twice."""

    def __init__(self, event: str, window: str) -> None:
        self.event, self.window = event, window
        super().__init__(
            f"{event} {window}",
            "another run has taken over this window",
            next_step="look at that run; this one stops here, and nothing was published twice",
        )


_FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}
_RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_LOGIN = {KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._AUTHENTICATION, KafkaError._SSL}
_AWAY = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.CONCURRENT_TRANSACTIONS,
}


def kafka_error(error: KafkaException | KafkaError) -> KafkaError:
    """The KafkaError within an exception."""
    inner: Any = error.args[0] if isinstance(error, KafkaException) else error
    return inner


def is_fenced(error: KafkaError) -> bool:
    """True when a newer producer with the same transactional.id exists."""
    # A fenced producer may only say _FATAL at the next call, with the fencing in its text.
    return error.code() in _FENCED or (error.fatal() and "fenced" in error.str().lower())


def explain(where: str, error: KafkaException | KafkaError) -> SluiceError:
    """`error` as something a user can act on; PassingFault when trying again later may help."""
    inner = kafka_error(error)
    code, text = inner.code(), inner.str()
    if code in _LOGIN:
        return KafkaRefused(
            where,
            f"Kafka refused the login or its certificate: {text}",
            next_step="check security.protocol, sasl.* and ssl.ca.location in the settings (`sluice doctor` prints them, secrets masked)",
        )
    if code in _RIGHTS:
        return KafkaRefused(
            where, f"the login lacks a right: {text}", next_step="ask for the ACL named in docs/operating.md#rights"
        )
    if code == KafkaError._INVALID_ARG or code == KafkaError._UNKNOWN_PROTOCOL:
        return KafkaRefused(where, f"the client refused a setting: {text}", next_step="check SLUICE_KAFKA_…")
    if code in _AWAY or inner.retriable():
        return KafkaUnavailable(
            where,
            f"Kafka did not answer: {text} ({inner.name()})",
            next_step="check the address and that the brokers run (`sluice doctor`); if the port is right, is security.protocol missing?",
        )
    return KafkaRefused(where, f"{text} ({inner.name()})")
