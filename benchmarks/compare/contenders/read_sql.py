"""The common hand-written way: pandas.read_sql in chunks, a dict per row, confluent-kafka's AvroSerializer."""

from confluent_kafka.schema_registry import SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from benchmarks.compare.clock import Clock
from benchmarks.compare.contenders.values import Sender, frames
from benchmarks.compare.job import Job


def run(job: Job, clock: Clock) -> int:
    job.register()
    serializer = AvroSerializer(
        SchemaRegistryClient({"url": job.registry_url}),
        job.schema_text,
        conf={"auto.register.schemas": False, "subject.name.strategy": topic_subject_name_strategy},
    )
    context = SerializationContext(job.topic, MessageField.VALUE)
    sender = Sender(job)
    with clock.running():
        for rows in frames(job):
            for row in rows.to_dict("records"):
                sender.send(row[job.key], serializer(row, context))
        return sender.finish()
