"""What a contender must do, and what it reports back. Plain data: it is passed between processes as JSON."""

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
    Confluent wire format. `scratch` is an empty folder only for this run; `shared` exists as long as the data
    set's comparison. `variant` is the contender's own name for one of its ways.
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
        """The query of every contender that reads with SQL.
        DuckDB returns the rows in the order in which they were inserted."""
        limit = "" if self.rows >= self.rows_total else f" LIMIT {self.rows}"
        return f"SELECT {', '.join(self.columns)} FROM {self.table}{limit}"

    @property
    def schema_text(self) -> str:
        """The contract, an Avro schema as JSON text."""
        return Path(self.contract).read_text()

    @property
    def producer(self) -> dict[str, Any]:
        """librdkafka properties of every contender that uses it directly:
        the same durability and framing for all."""
        return {
            "bootstrap.servers": self.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            # Without these a new client waits a second before it sends its first record.
            "retry.backoff.ms": 10,
            "reconnect.backoff.ms": 10,
            "topic.metadata.refresh.fast.interval.ms": 10,
        }

    def register(self) -> int:
        """Register the contract for the topic's value; returns its schema id."""
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
    """One run. Seconds are only those of the work:
    interpreters, JVMs and sessions are started before the clock.

    CPU seconds are those of the contender's own processes; `broker_cpu_seconds` is what the broker used at
    the same time.
    `others_share`: the share of all cores that other processes used, 0 on a machine that does nothing else.
    `peak_mib`: the largest resident memory of each of its processes since the process started, added up.
    """

    rows: int
    seconds: float
    cpu_seconds: float
    broker_cpu_seconds: float
    peak_mib: float
    facts: dict[str, Any]
    others_share: float = 0.0
