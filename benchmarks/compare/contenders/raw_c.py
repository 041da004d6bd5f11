"""The limit: librdkafka in C; every record is encoded and in memory before the clock starts."""

import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.compare.clock import Clock
from benchmarks.compare.job import Job
from benchmarks.compare.tools import CONTENDERS, compiled

_BATCH_ROWS = 65_536


def _records(job: Job) -> Path:
    return Path(job.shared) / f"records-{job.dataset}-{job.rows}.bin"


def prepare(job: Job) -> None:
    """Encode the rows to a file of blocks, once for the data set.

    A block, little-endian: rows n, bytes of keys, bytes of values (8 bytes each); n + 1 offsets of keys and
    of values (4 bytes each); keys; values. The schema id is 1: only the read back of the comparison decodes
    these records, and it knows the contract.
    """
    from benchmarks.compare.contenders.values import connect
    from pipelines.contract import parse_contract
    from pipelines.encoding import RecordEncoder

    ready = _records(job)
    if ready.exists():
        return
    encoder = RecordEncoder(
        parse_contract(job.schema_text, Path(job.contract)), schema_id=1, topic=job.topic, key=job.key
    )
    schema = parse_contract(job.schema_text, Path(job.contract)).arrow_schema
    scratch = ready.with_suffix(".part")
    with scratch.open("wb") as out:
        for batch in connect(job).sql(job.select).to_arrow_reader(_BATCH_ROWS):
            rows = pa.Table.from_batches([batch]).cast(schema).combine_chunks().to_batches()[0]
            encoded = encoder.encode(rows)
            parts = [_column(encoded.keys), _column(encoded.values)]
            head = np.array([rows.num_rows, parts[0][1].nbytes, parts[1][1].nbytes], "<i8")
            out.write(head.tobytes())
            for offsets, _ in parts:
                out.write(offsets.tobytes())
            for _, data in parts:
                out.write(data.tobytes())
    scratch.rename(ready)


def _column(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Offsets that begin at 0, and the bytes that they divide."""
    flat = pa.concat_arrays([values.cast(pa.binary())])
    _, offsets, data = flat.buffers()
    cuts = np.frombuffer(offsets, "<i4")[flat.offset : flat.offset + len(flat) + 1]
    return cuts - cuts[0], np.frombuffer(data, "u1")[cuts[0] : cuts[-1]]


def run(job: Job, clock: Clock) -> int:
    job.register()
    settings = {name: value for name, value in job.producer.items() if name != "bootstrap.servers"}
    told = [
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in settings.items()
    ]
    if job.variant == "transactional":
        told.append(f"transactional.id=raw-c-{job.topic}")
    command = [str(compiled(CONTENDERS / "raw_c.c")), job.bootstrap, job.topic, str(_records(job))]
    process = subprocess.Popen(
        [*command, str(job.transaction_rows), *told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        raise RuntimeError("the C program did not load its records")
    with clock.running():
        process.stdin.write("go\n")
        process.stdin.flush()
        answer = process.stdout.readline().split()
    clock.facts["librdkafka"] = answer[1]
    # It ends when we close its input, which is after its memory was measured.
    return int(answer[0])
