"""arrow-kafka-pyo3: Arrow tables to Avro records in Rust, on librdkafka."""

from importlib.metadata import version

import pyarrow as pa
from arrow_kafka_pyo3 import ArrowKafkaSink

from benchmarks.compare.clock import Clock
from benchmarks.compare.contenders.values import connect
from benchmarks.compare.job import Job

_BATCH_ROWS = 32_768


def run(job: Job, clock: Clock) -> int:
    clock.facts["arrow-kafka-pyo3"] = version("arrow-kafka-pyo3")
    settings = job.producer
    sink = ArrowKafkaSink(
        kafka_servers=job.bootstrap,
        schema_registry_url=job.registry_url,
        max_in_flight=5,
        linger_ms=settings["linger.ms"],
        batch_size=1_000_000,
        compression_type=settings["compression.type"],
        enable_idempotence=True,
        acks="all",
    )
    with clock.running():
        sent = 0
        for batch in connect(job).sql(job.select).to_arrow_reader(_BATCH_ROWS):
            sent += sink.consume_arrow(pa.Table.from_batches([batch]), job.topic, key_cols=[job.key])
        sink.flush(timeout_ms=300_000)
    return sent
