"""Exact Python values from message values: for previews, plans, `tail`, the order of values, and tests."""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias, cast
from uuid import UUID

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from pipelines.contract.temporal import WideDate, WideTimestamp, date_of, time_of, timestamp_of
from pipelines.encoding.errors import FrameError
from pipelines.encoding.frame import split_frame
from resources.json_value import Json

if TYPE_CHECKING:
    from fastavro.types import Schema

# fastavro's own readers end at the years 1 and 9999, refuse a time outside a day, and support neither
# nanoseconds nor a uuid on fixed. So the logical types in a schema are renamed, and the readers of this
# module, which refuse nothing, read them.
_PREFIX = "exact-"

DecodedValue: TypeAlias = (
    "bool | int | float | str | bytes | Decimal | UUID | dt.date | dt.time | WideDate | WideTimestamp"
    " | list[DecodedValue] | dict[str, DecodedValue] | None"
)
"""A value of a decoded record; see `decode_record`. A timestamp is a `datetime`, which is also a `date`."""


def decode_record(value: bytes, schema_by_id: Callable[[int], str]) -> dict[str, DecodedValue]:
    """The record in a framed message value, read with the schema with which it was written.

    `schema_by_id` returns the text of a schema (a request to a registry; it should cache its
    answers). Logical types become Python's types (`datetime`, `Decimal`, `UUID`). A date or
    timestamp that Python cannot hold becomes a `WideDate` or `WideTimestamp`; a time outside a day
    becomes its count. Raises `FrameError`.
    """
    schema_id, body = split_frame(value)
    return decode_body(body, schema_by_id(schema_id), f"record of schema id {schema_id}")


def decode_body(body: bytes, schema_text: str, where: str = "Avro body") -> dict[str, DecodedValue]:
    """The record in an Avro body without its frame. All bytes must belong to the
    record. Raises `FrameError`."""
    try:
        schema = _parsed(schema_text)
    except (SchemaParseException, UnknownType, ValueError, LookupError, TypeError) as error:
        raise FrameError(where, f"its schema is not an Avro schema that can be read: {error}") from error
    stream = BytesIO(body)
    try:
        record = fastavro.schemaless_reader(stream, schema, None)
    except (EOFError, ValueError, IndexError, LookupError) as error:
        raise FrameError(where, f"its {len(body)} bytes are not such a record: {error}") from error
    if stream.tell() != len(body):
        raise FrameError(where, f"{len(body) - stream.tell()} of its {len(body)} bytes are left over")
    return cast("dict[str, DecodedValue]", record)


@lru_cache(maxsize=256)
def _parsed(schema_text: str) -> "Schema":
    try:
        # It raises for JSON that is no schema.
        return fastavro.parse_schema(cast("Schema", _renamed(json.loads(schema_text))))
    except (SchemaParseException, UnknownType):
        # Somebody else's way of writing, `{"type": "ns.Name"}`, or a default of 1 for a double. Only
        # what matters for reading records is kept. Imported here, because this is rare and the
        # registry's client takes a while to load.
        from resources.registry.schemas import writer_schema

        return fastavro.parse_schema(cast("Schema", _renamed(writer_schema(schema_text))))


def _renamed(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_renamed(part) for part in schema]
    if isinstance(schema, dict):
        return {
            key: f"{_PREFIX}{part}" if key == "logicalType" else part if key == "default" else _renamed(part)
            for key, part in schema.items()
        }
    return schema


def _decimal(data: bytes, schema: Mapping[str, Json] | None, *_: object) -> Decimal | bytes:
    # fastavro passes the schema of the type, although its type allows None.
    scale = cast("Mapping[str, Json]", schema).get("scale", 0)
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 0:
        return data  # Avro 1.12: an invalid logical type is ignored
    unscaled = int.from_bytes(data, "big", signed=True)
    # From its digits: arithmetic would round to the precision of a context.
    return Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -scale))


def _uuid_of_text(text: str, *_: object) -> UUID | str:
    try:
        return UUID(text)
    except ValueError:
        return text


def _uuid_of_bytes(data: bytes, *_: object) -> UUID | bytes:
    return UUID(bytes=data) if len(data) == 16 else data


def _install() -> None:
    readers = fastavro.read.LOGICAL_READERS
    for base in ("bytes", "fixed"):
        readers[f"{base}-{_PREFIX}decimal"] = _decimal
    readers[f"string-{_PREFIX}uuid"] = _uuid_of_text
    readers[f"fixed-{_PREFIX}uuid"] = _uuid_of_bytes
    readers[f"int-{_PREFIX}date"] = lambda days, *_: date_of(days)
    for base, unit, per_second in (
        ("int", "millis", 1_000),
        ("long", "micros", 1_000_000),
    ):
        readers[f"{base}-{_PREFIX}time-{unit}"] = lambda count, *_, per=per_second: time_of(count, per)
    for unit, per_second in (("millis", 1_000), ("micros", 1_000_000), ("nanos", 1_000_000_000)):
        for kind, zoned in (("timestamp", True), ("local-timestamp", False)):
            readers[f"long-{_PREFIX}{kind}-{unit}"] = lambda count, *_, per=per_second, utc=zoned: (
                timestamp_of(count, per, zoned=utc)
            )


_install()
