"""When a Kafka broker is ready: not when its port is open, but when a transaction can start."""

from typing import Any

CHECK_SECONDS = 5.0


def kafka_not_ready(bootstrap: str, *, cluster_id: str | None = None) -> str | None:
    """None if the broker answers as `cluster_id` (if known) and lets a producer initialise transactions.

    A new broker refuses transactions for about a second after its port opens (`Coordinator load in
    progress`), and a client that starts in that second fails.
    """
    # Not imported at the top: `sluice --help` imports this package and must not load librdkafka.
    from confluent_kafka import KafkaException, Producer
    from confluent_kafka.admin import AdminClient

    quiet: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "log_level": 0,
        "error_cb": lambda _error: None,
        "socket.timeout.ms": int(CHECK_SECONDS * 1000),
    }
    try:
        answer = AdminClient(quiet).list_topics(timeout=CHECK_SECONDS)
        if not answer.brokers:
            return "the broker to register"
        if cluster_id is not None and answer.cluster_id != cluster_id:
            return f"cluster {cluster_id} to answer on {bootstrap} (now it is {answer.cluster_id})"
        producer = Producer(
            {**quiet, "transactional.id": "sluice-readiness", "transaction.timeout.ms": 10_000}
        )
        producer.init_transactions(CHECK_SECONDS)
    except KafkaException as failure:
        return f"transactions ({failure.args[0].str()})"
    return None
