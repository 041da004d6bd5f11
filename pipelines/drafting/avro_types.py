"""The Avro type that a column's Arrow type becomes in a first draft: the one that loses nothing."""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, count
from typing import Any

import pyarrow as pa

_T = pa.types
_SIMPLE: list[tuple[Callable[[Any], bool], Any]] = [
    (_T.is_boolean, "boolean"),
    (_T.is_uint32, "long"),
    (_T.is_int64, "long"),
    # More than a long can hold: twenty digits hold every value.
    (_T.is_uint64, {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 0}),
    (_T.is_integer, "int"),
    (_T.is_float16, "float"),
    (_T.is_float32, "float"),
    (_T.is_floating, "double"),
    (_T.is_date, {"type": "int", "logicalType": "date"}),
    (_T.is_time, {"type": "long", "logicalType": "time-micros"}),
    (_T.is_string, "string"),
    (_T.is_large_string, "string"),
    (_T.is_string_view, "string"),
    (_T.is_binary, "bytes"),
    (_T.is_large_binary, "bytes"),
    (_T.is_binary_view, "bytes"),
    (_T.is_fixed_size_binary, "bytes"),
]
_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INSTANTS = {"s": "millis", "ms": "millis", "us": "micros", "ns": "nanos"}


def avro_of(arrow: pa.DataType, name: str, taken: set[str] | None = None) -> Any | None:
    """Avro JSON for an Arrow type, or None if Avro has no such type. `name` is the name for nested records; a
    name that is `taken` gets a number, and each new name is added to `taken`."""
    taken = set() if taken is None else taken
    if _T.is_timestamp(arrow):
        local = "" if arrow.tz else "local-"
        return {"type": "long", "logicalType": f"{local}timestamp-{_INSTANTS[arrow.unit]}"}
    if _T.is_decimal(arrow):
        return {
            "type": "bytes",
            "logicalType": "decimal",
            "precision": arrow.precision,
            "scale": max(arrow.scale, 0),
        }
    if _T.is_dictionary(arrow):
        return avro_of(arrow.value_type, name, taken)
    if _T.is_map(arrow):
        return (
            _nested("map", "values", arrow.item_type, name, taken) if _T.is_string(arrow.key_type) else None
        )
    if _T.is_list(arrow) or _T.is_large_list(arrow) or _T.is_fixed_size_list(arrow):
        return _nested("array", "items", arrow.value_type, name, taken)
    if _T.is_struct(arrow):
        own = type_name(name, taken)
        fields = [(child, avro_of(child.type, f"{name}_{child.name}", taken)) for child in arrow]
        if any(avro is None or legal_name(child.name) != child.name for child, avro in fields):
            return None
        return {
            "type": "record",
            "name": own,
            "doc": "TODO: what this is.",
            "fields": [
                nullable_field(child.name, avro, "TODO: what this is, and its unit.")
                for child, avro in fields
            ],
        }
    return next((avro for fits, avro in _SIMPLE if fits(arrow)), None)


def enum_of(labels: Sequence[str], name: str, taken: set[str]) -> dict[str, Any] | None:
    """An Avro enum of the labels, or None if one of them cannot be a symbol."""
    if not labels or not all(map(_SYMBOL.fullmatch, labels)):
        return None
    return {"type": "enum", "name": type_name(name, taken), "symbols": list(labels)}


def type_name(name: str, taken: set[str]) -> str:
    """`record_name`, with a number if it is taken; the name is added to `taken`."""
    own = free(record_name(name), taken)
    taken.add(own)
    return own


def free(name: str, taken: Iterable[str]) -> str:
    """`name`, or the first of `name_2`, `name_3`, ... that is not taken; case does not count."""
    lower = {one.lower() for one in taken}
    return next(one for one in chain([name], (f"{name}_{n}" for n in count(2))) if one.lower() not in lower)


def nullable_field(name: str, avro: Any, doc: str) -> dict[str, Any]:
    """A field that may be null, with the default that makes a later addition or removal compatible."""
    return {"name": name, "type": ["null", avro], "default": None, "doc": doc}


def record_name(name: str) -> str:
    """`flight_departed` as `FlightDeparted`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def legal_name(name: str) -> str:
    """`name`, with the characters replaced that Avro forbids in names."""
    legal = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    return f"_{legal}" if legal[:1].isdigit() or not legal else legal


def _nested(kind: str, inner: str, arrow: pa.DataType, name: str, taken: set[str]) -> Any | None:
    avro = avro_of(arrow, name, taken)
    return None if avro is None else {"type": kind, inner: ["null", avro]}
