"""One form of a contract's values; every side of a comparison is converted to it.

Temporal values are integer counts in the contract's unit; decimals are Decimal; uuids are lower-case text;
enums are their symbol; maps and records are dicts.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from pipelines.contract import AvroType
from pipelines.independent_judge.values import decimal_of

Convert = Callable[[Any], Any]


def of_rows(avro: AvroType) -> Convert:
    """For values that `values.reader_of` read from an array of the contract's own Arrow type."""
    return _through(avro, lambda value, _: value, dict)


def of_avro(avro: AvroType) -> Convert:
    """For values that an Avro reader returns without logical types."""
    return _through(avro, _leaf, lambda entries: entries)


def _leaf(value: Any, avro: AvroType) -> Any:
    if avro.logical == "decimal":
        return decimal_of(int.from_bytes(value, "big", signed=True), avro.scale)
    if avro.logical == "uuid" and avro.kind == "fixed":
        return str(UUID(bytes=value))
    return value


def _through(avro: AvroType, leaf: Callable[[Any, AvroType], Any], entries: Callable[[Any], Any]) -> Convert:
    match avro.kind:
        case "array":
            item = _through(avro.element, leaf, entries)
            return lambda value: None if value is None else [item(one) for one in value]
        case "map":
            item = _through(avro.element, leaf, entries)
            return lambda value: (
                None if value is None else {key: item(one) for key, one in entries(value).items()}
            )
        case "record":
            children = [(child.name, _through(child.type, leaf, entries)) for child in avro.fields]
            return lambda value: (
                None if value is None else {name: convert(value[name]) for name, convert in children}
            )
    return lambda value: None if value is None else leaf(value, avro)
