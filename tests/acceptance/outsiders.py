"""Consumers without any of our code:
librdkafka reading committed records, fastavro, the registry over HTTP, kcat."""

import io
import json
import struct
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import fastavro
import httpx
from confluent_kafka import Consumer, TopicPartition

_SECONDS = 60


@dataclass(frozen=True)
class Received:
    """One committed record, decoded with the schema that it names."""

    kafka_partition: int
    offset: int
    key: bytes | None
    value: Mapping[str, Any] | None
    headers: Mapping[str, bytes]
    schema_id: int | None


Offsets = Mapping[int, int]


@dataclass
class Outsider:
    """A service that consumes events: it knows two addresses, and nothing of Sluice."""

    bootstrap: str
    registry_url: str
    _schemas: dict[int, Any] = field(default_factory=dict)

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "an-outsider",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
            }
        )

    def ends(self, topic: str) -> dict[int, int]:
        """The offset after the last record, transaction marker or open record of each partition;
        empty: no topic."""
        consumer = self._consumer()
        try:
            known = consumer.list_topics(timeout=_SECONDS).topics.get(topic)
            return {
                p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=_SECONDS)[1]
                for p in (known.partitions if known else ())
            }
        finally:
            consumer.close()

    def read(self, topic: str, since: Offsets) -> list[Received]:
        """Every committed record from `since` on, ordered by partition and offset.

        Reads until each partition reports its end; if a transaction is open, the end is where it began.
        """
        return self._read(topic, since, self._decoded)

    def newest(self, topic: str) -> dict[str, dict[str, Any]]:
        """The newest committed JSON value of each key, as the ledger holds them."""
        found = self._read(topic, {}, lambda message: (message.key().decode(), json.loads(message.value())))
        return dict(found)

    def _read(self, topic: str, since: Offsets, take: Callable[[Any], Any]) -> list[Any]:
        consumer = self._consumer()
        found: list[Any] = []
        try:
            known = consumer.list_topics(timeout=_SECONDS).topics.get(topic)
            waiting = set(known.partitions) if known else set()
            consumer.assign([TopicPartition(topic, p, since.get(p, 0)) for p in waiting])
            while waiting:
                message = consumer.poll(_SECONDS)
                assert message is not None, f"{topic} {waiting}: no answer in {_SECONDS} s"
                if message.error() is None:
                    found.append((message.partition(), message.offset(), take(message)))
                else:
                    assert message.error().name() == "_PARTITION_EOF", message.error()
                    waiting.discard(message.partition())
        finally:
            consumer.close()
        return [taken for _, _, taken in sorted(found, key=lambda record: record[:2])]

    def _decoded(self, message: Any) -> Received:
        value, schema_id = message.value(), None
        if value is not None:
            magic, schema_id = struct.unpack(">bI", value[:5])
            assert magic == 0
            body = io.BytesIO(value[5:])
            value = fastavro.schemaless_reader(body, self.schema(schema_id), None)
            assert body.read() == b"", "bytes behind the record"
        return Received(
            message.partition(),
            message.offset(),
            message.key(),
            value,
            dict(message.headers() or []),
            schema_id,
        )

    def schema(self, schema_id: int) -> Any:
        """The parsed schema that the registry has under this id."""
        if schema_id not in self._schemas:
            # A registry on this machine is not behind a proxy.
            answer = httpx.get(
                f"{self.registry_url}/schemas/ids/{schema_id}", trust_env=False
            ).raise_for_status()
            self._schemas[schema_id] = fastavro.parse_schema(json.loads(answer.json()["schema"]))
        return self._schemas[schema_id]

    def subject(self, subject: str) -> dict[str, Any]:
        """The newest version of a subject, as the registry returns it."""
        url = f"{self.registry_url}/subjects/{subject}/versions/latest"
        found: dict[str, Any] = httpx.get(url, trust_env=False).raise_for_status().json()
        return found

    def kcat(self, topic: str, since: Offsets) -> list[tuple[int, int, str, int]]:
        """Partition, offset, key and value length of each committed record, as kcat prints them."""
        rows: list[tuple[int, int, str, int]] = []
        for kafka_partition, first in since.items():
            told = subprocess.run(
                [
                    "kcat", "-C", "-b", self.bootstrap, "-t", topic, "-p", str(kafka_partition), "-o", str(first),
                    "-e", "-q", "-X", "isolation.level=read_committed", "-f", "%p\t%o\t%k\t%S\n",
                ],
                capture_output=True, text=True, check=True, timeout=_SECONDS,
            ).stdout  # fmt: skip
            for line in told.splitlines():
                p, offset, key, size = line.split("\t")
                rows.append((int(p), int(offset), key, int(size)))
        return rows
