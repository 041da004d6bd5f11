"""Spark's Kafka sink in batch: Parquet to Avro with the contract, framed, keyed; two threads, one JVM."""

import os
from pathlib import Path

from benchmarks.compare.clock import Clock
from benchmarks.compare.job import Job
from benchmarks.compare.tools import jars


def _source(job: Job) -> Path:
    return Path(job.shared) / f"{job.dataset}-{job.rows}.parquet"


def prepare(job: Job) -> None:
    """The rows as Parquet: the format that Spark reads best,
    and cheaper for it than a query to another system."""
    from benchmarks.compare.contenders.values import connect

    if not _source(job).exists():
        connect(job).sql(job.select).write_parquet(str(_source(job)), row_group_size=122_880)


def run(job: Job, clock: Clock) -> int:
    from pyspark import __version__
    from pyspark.sql import SparkSession
    from pyspark.sql.avro.functions import to_avro
    from pyspark.sql.functions import concat, lit, struct

    clock.facts["spark"] = __version__
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # pyspark includes Scala and Spark's own jars; ours are those of the Kafka and Avro modules.
    ours = [
        str(jar) for jar in jars("spark_jars").glob("*.jar") if not jar.name.startswith(("scala-", "hadoop-"))
    ]
    session = (
        SparkSession.builder.master("local[2]")
        .appName("bench")
        .config("spark.jars", ",".join(ours))
        .config("spark.driver.memory", "2g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.local.dir", job.scratch)
        # By default a file this small is one task, and one of the two threads would be idle.
        .config("spark.sql.files.maxPartitionBytes", "16m")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    header = bytes([0]) + job.register().to_bytes(4, "big")
    schema = job.schema_text
    with clock.running():
        rows = session.read.parquet(str(_source(job)))
        value = concat(lit(bytearray(header)), to_avro(struct(*job.columns), schema))
        records = rows.select(rows[job.key].cast("binary").alias("key"), value.alias("value"))
        (
            records.write.format("kafka")
            .option("kafka.bootstrap.servers", job.bootstrap)
            .option("topic", job.topic)
            .option("kafka.acks", "all")
            .option("kafka.enable.idempotence", "true")
            .option("kafka.compression.type", "lz4")
            .option("kafka.linger.ms", "5")
            .option("kafka.batch.size", "262144")
            .save()
        )
    return job.rows
