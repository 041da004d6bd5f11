"""One form of a contract's values; every side of a comparison is converted to it.

Temporal values are integer counts in the contract's unit; decimals are Decimal; uuids are lower-case text;
enums are their symbol; maps and records are dicts.
"""

from collections.abc import Callable
from typing import TypeAlias, cast
from uuid import UUID

from pipelines.contract import AvroType
from pipelines.independent_judge.values import PlainValue, decimal_of

Convert = Callable[[PlainValue], PlainValue]
"""From one side's value to this form. Each function is made for one Avro type and gets only values of that
type, so the casts below are safe."""
# A map before it is in this form: Arrow has pairs, Avro has a dict.
_Map: TypeAlias = "dict[str, PlainValue] | list[tuple[str, PlainValue]]"
_Entries = Callable[[_Map], dict[str, PlainValue]]


def of_rows(avro: AvroType) -> Convert:
    """For values that `values.reader_of` read from an array of the contract's own Arrow type."""
    return _through(avro, lambda value, _: value, cast(_Entries, dict))


def of_avro(avro: AvroType) -> Convert:
    """For values that an Avro reader returns without logical types."""
    return _through(avro, _leaf, lambda entries: cast("dict[str, PlainValue]", entries))


def _leaf(value: PlainValue, avro: AvroType) -> PlainValue:
    if avro.logical == "decimal":
        return decimal_of(int.from_bytes(cast(bytes, value), "big", signed=True), avro.scale)
    if avro.logical == "uuid" and avro.kind == "fixed":
        return str(UUID(bytes=cast(bytes, value)))
    return value


def _through(
    avro: AvroType,
    leaf: Callable[[PlainValue, AvroType], PlainValue],
    entries: _Entries,
) -> Convert:
    match avro.kind:
        case "array":
            item = _through(avro.element, leaf, entries)
            return cast(Convert, lambda value: None if value is None else [item(one) for one in value])
        case "map":
            item = _through(avro.element, leaf, entries)
            return cast(
                Convert,
                lambda value: (
                    None if value is None else {key: item(one) for key, one in entries(value).items()}
                ),
            )
        case "record":
            children = [(child.name, _through(child.type, leaf, entries)) for child in avro.fields]
            return cast(
                Convert,
                lambda value: (
                    None if value is None else {name: convert(value[name]) for name, convert in children}
                ),
            )
    return lambda value: None if value is None else leaf(value, avro)
