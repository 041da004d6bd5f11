"""Rows as Python objects, and the producer loop:
what the hand-written contenders share, as a team would write it."""

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pandas as pd
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from benchmarks.compare.job import Job


class Sender:
    """produce() with a delivery callback, and poll(): the loop of every tutorial."""

    def __init__(self, job: Job) -> None:
        self._topic = job.topic
        self._producer = Producer(job.producer)
        self.acknowledged = 0

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            raise KafkaException(error)
        self.acknowledged += 1

    def send(self, key: str, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, key=key, value=value, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)

    def finish(self) -> int:
        """Wait for every acknowledgement; returns how many there were."""
        self._producer.flush()
        return self.acknowledged


def connect(job: Job) -> Any:
    """The warehouse, opened as every contender opens it."""
    return duckdb.connect(job.database, read_only=True)


def frames(job: Job, chunk_rows: int = 10_000) -> Iterator[pd.DataFrame]:
    """The rows as pandas returns them with read_sql, but with None instead of NaN.

    Whole numbers are read as Int64: with pandas's own types, one null turns a column into floats, which Avro
    refuses.
    """
    fields = json.loads(job.schema_text)["fields"]
    whole = {
        field["name"]: "Int64" for field in fields if field["type"] in (["null", "int"], ["null", "long"])
    }
    for chunk in pd.read_sql(job.select, connect(job), chunksize=chunk_rows, coerce_float=False, dtype=whole):
        yield chunk.astype(object).where(chunk.notna(), None)
