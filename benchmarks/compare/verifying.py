"""Reads back what a contender wrote:
how many records there are, how large, and whether they match the rows."""

import io
import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import duckdb
from confluent_kafka import Consumer, TopicPartition
from fastavro import parse_schema, schemaless_reader

from benchmarks.compare.contender import Contender
from benchmarks.compare.job import Job

_SAMPLE = 200
_SILENCE_SECONDS = 20.0


class Wrong(Exception):
    """A contender's records are not what it should write; its figures are worthless."""


@dataclass(frozen=True)
class Seen:
    """What a read_committed consumer found; `bytes_per_row` counts keys and values, uncompressed."""

    records: int
    bytes_per_row: float
    kafka_partitions: int


def verify(job: Job, contender: Contender, schema: str | None = None) -> Seen:
    """Read the topic to its end. Raises Wrong. `schema`: for a contender whose registry has ended with it."""
    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap,
            "group.id": uuid4().hex,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
        }
    )
    records, size, sample, used = 0, 0, [], set()
    try:
        consumer.assign([TopicPartition(job.topic, p, 0) for p in range(job.kafka_partitions)])
        ended: set[int] = set()
        heard = time.monotonic()
        while len(ended) < job.kafka_partitions:
            messages = consumer.consume(10_000, 0.2)  # waits for so many records or so long, even at the end
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE_SECONDS:
                raise Wrong(f"{job.topic}: quiet for {_SILENCE_SECONDS:g} s after {records:,} records")
            for message in messages:
                if message.error() is not None:
                    ended.add(message.partition())  # type: ignore[arg-type]
                    continue
                key, value = message.key(), message.value()
                records += 1
                size += len(key) + len(value)  # type: ignore[arg-type]
                if len(sample) < _SAMPLE and records % 97 == 1:
                    sample.append((key, value))
                    used.add(message.partition())
    finally:
        consumer.close()
    if records != job.rows:
        raise Wrong(f"{contender.name}: {records:,} records on the topic, {job.rows:,} rows to publish")
    _compare(job, contender, sample, schema)  # type: ignore[arg-type]
    return Seen(records, size / max(records, 1), len(used))


def _compare(job: Job, contender: Contender, sample: list[tuple[bytes, bytes]], schema: str | None) -> None:
    """Check that each record of the sample, decoded, equals its row."""
    schemas: dict[int, Any] = {}
    with duckdb.connect(job.database, read_only=True) as connection:
        for key, value in sample:
            if value[0] != 0:
                raise Wrong(f"{contender.name}: a value that is not framed")
            # The C program's records were framed before any schema had an id.
            schema_id = int.from_bytes(value[1:5], "big")
            if schema_id not in schemas:
                text = schema or job.schema_text
                if contender.own_schema and not schema:
                    with urlopen(f"{job.registry_url}/schemas/ids/{schema_id}", timeout=30) as answer:
                        text = json.load(answer)["schema"]
                schemas[schema_id] = parse_schema(json.loads(text))
            found = schemaless_reader(io.BytesIO(value[5:]), schemas[schema_id], None)
            row = connection.execute(
                f"SELECT {', '.join(job.columns)} FROM {job.table} WHERE {job.key} = ?", [key.decode()]
            ).fetchone()
            if row is None:
                raise Wrong(f"{contender.name}: no row has the key {key!r}")
            expected = dict(zip(job.columns, row, strict=True))
            differing = [name for name in job.columns if not _same(found.get(name), expected[name])]
            if differing:
                name = differing[0]
                told = f"{name} is {found.get(name)!r}, the row says {expected[name]!r}"
                raise Wrong(f"{contender.name}: the record {key.decode()} differs from its row: {told}")


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, datetime) and isinstance(found, str):  # Debezium's own type for an instant
        found = datetime.fromisoformat(found)
    if isinstance(expected, datetime) and isinstance(found, datetime):
        return found.timestamp() == expected.timestamp()
    return bool(found == expected)
