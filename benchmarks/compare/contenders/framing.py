"""Framed Avro of one dict with fastavro, as people write it by hand."""

import io
import json
import struct
from typing import Any

from fastavro import parse_schema, schemaless_writer

from benchmarks.compare.job import Job


class Framer:
    """Confluent-framed bytes of rows with the job's contract."""

    def __init__(self, job: Job) -> None:
        self._schema = parse_schema(json.loads(job.schema_text))
        self._header = struct.pack(">bI", 0, job.register())

    def frame(self, row: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        out.write(self._header)
        schemaless_writer(out, self._schema, row)
        return out.getvalue()
