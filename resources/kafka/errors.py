"""Kafka's errors in words that a reader understands: what happened, the likely cause, what to do."""

from confluent_kafka import KafkaError, KafkaException

from resources.errors import SluiceError, TransientError
from resources.kafka.record_sizes import LARGEST_SETTING
from resources.settings import variable
from resources.wording import counted

ClientFault = KafkaException
"""What the client raises, before `explain` makes a SluiceError of it."""

# The next step for the user of a reader that waits for an open transaction.
FIND_HANGING = "look for a hanging producer (kafka-transactions.sh find-hanging)"


class KafkaRefused(SluiceError):
    """Kafka, or its client, refused: a setting, a right or a topic has to change first."""


class KafkaUnavailable(TransientError):
    """Kafka could not be reached or did not answer in time."""


class DeliveryFailed(TransientError):
    """Records were queued and not acknowledged, for a reason that may pass; their transaction is aborted, so
    none of them is visible."""

    def __init__(self, topic: str, failed: int, reason: str) -> None:
        self.topic, self.failed = topic, failed
        super().__init__(
            f"topic {topic}",
            f"{counted(failed, 'record was', 'records were')} not acknowledged: {reason}",
            next_step="their transaction was aborted; launch the window again and it continues where it stopped",
        )


class ProducerThrottled(TransientError):
    """A client quota throttles the producer so much that the open transaction would not end in time.

    `records` of the queued records were acknowledged in `seconds`. `why`: the quota and its throttle time.
    """

    def __init__(self, topic: str, records: int, seconds: float, why: str) -> None:
        self.topic, self.records, self.seconds = topic, records, seconds
        super().__init__(
            f"topic {topic}",
            f"{counted(records, 'record was', 'records were')} acknowledged in {seconds:.0f} s: {why}",
            next_step="publish more slowly than the quota: --max-bytes-per-second below its producer_byte_rate; or raise "
            "the quota (kafka-configs.sh --alter --entity-type clients). Launch the window again and it continues where it "
            "stopped",
        )


class RecordTooLarge(KafkaRefused):
    """A record is larger than its topic or the client accepts; a retry does not help.

    `client_limit`: the most bytes before compression that the client accepts, if
    the client refused the record.
    """

    def __init__(
        self, topic: str, record_bytes: int, topic_limit: int | None, *, client_limit: int | None = None
    ) -> None:
        self.topic, self.record_bytes, self.topic_limit = topic, record_bytes, topic_limit
        self.client_limit = client_limit
        limit = f"{topic_limit:,} bytes" if topic_limit else "a limit that may not be read"
        what = f"a record of {record_bytes:,} bytes (key and value, before compression) is too large"
        topics = f"max.message.bytes of the topic, {limit} after compression"
        raise_topics = (
            f"raise max.message.bytes of the topic (kafka-configs.sh --alter --topic {topic} --add-config "
            f"max.message.bytes=…) and, where it is set, {variable('kafka.message.max.bytes')}"
        )
        if client_limit is None:
            super().__init__(
                f"topic {topic}",
                f"{what}: the brokers refuse it, compressed",
                allowed=topics,
                next_step=f"{raise_topics}; or make the event smaller",
            )
            return
        wanted = min(max(record_bytes * 2, client_limit), LARGEST_SETTING)
        step = f"set {variable('kafka.message.max.bytes')}={wanted}"
        if client_limit == topic_limit:
            # The client's limit equals the topic's limit: records are not compressed, or the
            # topic accepts more than 32 MB.
            step = f"{raise_topics}; or set a compression.type, where it is none"
        super().__init__(
            f"topic {topic}",
            f"{what}: the client refuses it before compression",
            allowed=f"message.max.bytes of the client, {client_limit:,} bytes before compression; and {topics}",
            next_step=f"{step}; or make the event smaller",
        )


class TransactionExpired(TransientError):
    """The brokers ended a transaction that stayed open too long; none of its records is visible."""

    def __init__(self, event: str, window: str, open_seconds: float, timeout_seconds: float) -> None:
        self.event, self.window = event, window
        super().__init__(
            f"{event} {window}",
            f"a transaction was open for {open_seconds:.0f} s and the brokers end it after {timeout_seconds:.0f} s "
            "(or another run has taken over this window)",
            next_step="launch the window again: it continues behind the last commit; if it happens again, lower "
            f"{variable('transaction_seconds')} or raise {variable('kafka.transaction.timeout.ms')}",
        )


class ProducerFenced(SluiceError):
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
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
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
    # A reader gets these while a partition changes its leader, or while the leader's broker comes back.
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.NETWORK_EXCEPTION,
}


# Nobody answers at an address, or nobody answers in time.
NO_ANSWER = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError._SSL,
}


def kafka_error(error: KafkaException | KafkaError) -> KafkaError:
    """The KafkaError within an exception."""
    inner: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    return inner


def is_fenced(error: KafkaError) -> bool:
    """True if a newer producer with the same transactional.id exists."""
    return error.code() in _FENCED


def is_login(error: KafkaError) -> bool:
    """True if a login or a certificate was refused."""
    return error.code() in _LOGIN


def is_passing(error: KafkaError) -> bool:
    """True if the same request may succeed later without any change."""
    return error.code() in _AWAY or error.retriable()


def explain(where: str, error: KafkaException | KafkaError) -> SluiceError:
    """`error` as an error that a user can act on; a TransientError if a later retry may help."""
    inner = kafka_error(error)
    code, text = inner.code(), inner.str()
    if is_login(inner):
        return KafkaRefused(
            where,
            f"Kafka refused the login or its certificate: {text}",
            next_step="check security.protocol, sasl.* and ssl.ca.location in the settings (`sluice doctor` prints them, secrets masked)",
        )
    if code in _RIGHTS:
        return KafkaRefused(
            where,
            f"the login lacks a right: {text}",
            next_step="ask for the ACL named in docs/operating.md#rights",
        )
    if code == KafkaError._INVALID_ARG or code == KafkaError._UNKNOWN_PROTOCOL:
        return KafkaRefused(
            where, f"the client refused a setting: {text}", next_step=f"check {variable('kafka.…')}"
        )
    if is_passing(inner):
        return KafkaUnavailable(
            where,
            f"Kafka did not answer: {text} ({inner.name()})",
            next_step="check the address and that the brokers run (`sluice doctor`); if the port is right, is security.protocol missing?",
        )
    return KafkaRefused(where, f"{text} ({inner.name()})")
