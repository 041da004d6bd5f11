"""From rows to bytes: Avro records in the Confluent wire format, their keys, ids,
headers and Kafka partitions."""

from pipelines.encoding.decode import decode_body, decode_record
from pipelines.encoding.encoder import EncodedBatch, RecordEncoder
from pipelines.encoding.errors import EncodingError, FrameError
from pipelines.encoding.frame import frame_header, split_frame
from pipelines.encoding.headers import Headers, cloudevents_headers, publication_headers
from pipelines.encoding.judge import RecordJudge
from resources.kafka.batches.murmur2 import kafka_partitions, murmur2

__all__ = [
    "EncodedBatch",
    "EncodingError",
    "FrameError",
    "Headers",
    "RecordEncoder",
    "RecordJudge",
    "cloudevents_headers",
    "decode_body",
    "decode_record",
    "frame_header",
    "kafka_partitions",
    "murmur2",
    "publication_headers",
    "split_frame",
]
