"""What a contender is told to do, and what it tells back. Plain data: it crosses a process boundary as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# The one window of every data set, and the column that holds each row's event time.
DAY = "2013-01-01"
EVENT_TIME = "recorded_at"


@dataclass(frozen=True)
class Job:
    """Publish the first `rows` rows of `table`, in a DuckDB file, to `topic`: one record a row.

    The record's key is the text of the column `key`; its value is Avro by the contract at `contract`, in the
    Confluent wire format. `scratch` is an empty folder for this run alone; `shared` lives as long as the data set's
    comparison. `variant` is the contender's own word for which of its ways is meant.
    """

    contender: str
    variant: str
    dataset: str
    database: str
    table: str
    columns: tuple[str, ...]
    key: str
    contract: str
    rows: int
    rows_total: int
    topic: str
    kafka_partitions: int
    bootstrap: str
    registry_url: str
    broker_pid: int
    scratch: str
    shared: str
    transaction_rows: int

    @property
    def select(self) -> str:
        """The query of everyone that reads with SQL. DuckDB gives the rows in the order they were inserted."""
        limit = "" if self.rows >= self.rows_total else f" LIMIT {self.rows}"
        return f"SELECT {', '.join(self.columns)} FROM {self.table}{limit}"

    @property
    def schema_text(self) -> str:
        """The contract, an Avro schema as JSON text."""
        return Path(self.contract).read_text()

    @property
    def producer(self) -> dict[str, Any]:
        """librdkafka properties of everyone that uses it by hand: the same durability and framing for all."""
        return {
            "bootstrap.servers": self.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            # Without these a new client waits a second for its first record to leave.
            "retry.backoff.ms": 10,
            "reconnect.backoff.ms": 10,
            "topic.metadata.refresh.fast.interval.ms": 10,
        }

    def register(self) -> int:
        """Register the contract as the topic's value; returns its schema id."""
        from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

        client = SchemaRegistryClient({"url": self.registry_url})
        found: int = client.register_schema(f"{self.topic}-value", Schema(self.schema_text, "AVRO"))
        return found

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Job":
        told = json.loads(path.read_text())
        return cls(**{**told, "columns": tuple(told["columns"])})


@dataclass(frozen=True)
class Measured:
    """One run. Seconds are of the work alone: interpreters, JVMs and sessions are started before the clock is.

    CPU seconds are the contender's own processes'; `broker_cpu_seconds` is what the broker used meanwhile.
    `others_share`: how much of all cores went to neither, 0 on a machine that does nothing else.
    `peak_mib`: the largest resident memory of each of its processes since it began, added up.
    """

    rows: int
    seconds: float
    cpu_seconds: float
    broker_cpu_seconds: float
    peak_mib: float
    facts: dict[str, Any]
    others_share: float = 0.0
