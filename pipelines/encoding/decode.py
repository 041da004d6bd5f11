"""Message values back to Python: for previews, `tail` and tests. Not on the way of publishing."""

import json
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any, cast
from uuid import UUID

import fastavro

from pipelines.encoding.errors import FrameError
from pipelines.encoding.frame import split_frame

# fastavro 1.13 reads a uuid on string only; this is its documented way to add a logical type.
fastavro.read.LOGICAL_READERS.setdefault("fixed-uuid", lambda data, *_: UUID(bytes=data))


def decode_record(value: bytes, schema_by_id: Callable[[int], str]) -> dict[str, Any]:
    """The record in a framed message value, read with the schema that it was written with.

    `schema_by_id` gives the text of a schema (a registry's look-up; it should remember its answers).
    Logical types become Python's (`datetime`, `Decimal`, `UUID`); a record with a time that Python
    cannot hold (beyond year 9999) comes back with plain ints and bytes. Raises `FrameError`.
    """
    schema_id, body = split_frame(value)
    return decode_body(body, schema_by_id(schema_id), f"record of schema id {schema_id}")


def decode_body(body: bytes, schema_text: str, where: str = "Avro body") -> dict[str, Any]:
    """The record in an Avro body without its frame; all bytes must belong to it."""
    logical, plain = _parsed(schema_text)
    stream = BytesIO(body)
    try:
        try:
            record = fastavro.schemaless_reader(stream, logical, None)
        except (OverflowError, ArithmeticError):
            stream = BytesIO(body)
            record = fastavro.schemaless_reader(stream, plain, None)
    except (EOFError, ValueError, IndexError, LookupError) as error:
        raise FrameError(where, f"its {len(body)} bytes are not such a record: {error}") from error
    if stream.tell() != len(body):
        raise FrameError(where, f"{len(body) - stream.tell()} of its {len(body)} bytes are left over")
    return cast(dict[str, Any], record)


@lru_cache(maxsize=256)
def _parsed(schema_text: str) -> tuple[Any, Any]:
    schema = json.loads(schema_text)
    return fastavro.parse_schema(schema), fastavro.parse_schema(_without_logical_types(schema))


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(part) for part in schema]
    if isinstance(schema, dict):
        return {key: _without_logical_types(part) for key, part in schema.items() if key != "logicalType"}
    return schema
