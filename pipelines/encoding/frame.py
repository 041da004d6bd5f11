"""The Confluent wire format: a zero byte, the schema id as four big-endian bytes, then the Avro body."""

import struct

from pipelines.encoding.errors import FrameError

HEADER_BYTES = 5


def frame_header(schema_id: int) -> bytes:
    """The five bytes before each body that is written with `schema_id`."""
    return struct.pack(">bI", 0, schema_id)


def split_frame(value: bytes) -> tuple[int, bytes]:
    """`(schema id, Avro body)` of a message value; raises `FrameError` if it has no such frame."""
    if len(value) < HEADER_BYTES or value[0] != 0:
        raise FrameError(
            "message value",
            f"{len(value)} bytes beginning with {value[:HEADER_BYTES].hex(' ') or 'nothing'}",
            allowed="the Confluent wire format: 00, then the schema id in four bytes, then the Avro body",
            next_step="check that the topic holds Avro written with a schema registry",
        )
    return int.from_bytes(value[1:HEADER_BYTES], "big"), bytes(value[HEADER_BYTES:])
