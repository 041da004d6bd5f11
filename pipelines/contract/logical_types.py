"""Logical types of Avro 1.12: the types to which each belongs, and which ones
Sluice does not support and why."""

from collections.abc import Mapping
from typing import TypedDict

from pipelines.contract.arrow_mapping import LARGEST_DECIMAL_PRECISION
from pipelines.contract.mistakes import SchemaMistakeError
from resources.errors import did_you_mean
from resources.json_value import Json

_BASES: dict[str, tuple[str, ...]] = {
    "decimal": ("bytes", "fixed"),
    "uuid": ("string", "fixed"),
    "date": ("int",),
    "time-millis": ("int",),
    "time-micros": ("long",),
    "timestamp-millis": ("long",),
    "timestamp-micros": ("long",),
    "timestamp-nanos": ("long",),
    "local-timestamp-millis": ("long",),
    "local-timestamp-micros": ("long",),
    "local-timestamp-nanos": ("long",),
}
_UNSUPPORTED = {
    "duration": (
        "because neither Parquet nor pandas can hold months, days and milliseconds as one value",
        "use a long and name the unit in the doc",
    ),
    "big-decimal": (
        "because its scale differs from row to row, and an Arrow decimal has one scale",
        "use decimal with a precision and a scale",
    ),
}


class Logical(TypedDict, total=False):
    """The part of an AvroType that its logical type determines."""

    logical: str
    precision: int
    scale: int


def logical_type(kind: str, node: Mapping[str, Json]) -> Logical:
    """The logical type of a type object; empty if it has none.

    Avro readers ignore an unknown logical type. So a misspelt one would turn instants into bare numbers in
    silence; here it is a mistake.
    """
    if "logicalType" not in node:
        return {}
    name = node["logicalType"]
    if not isinstance(name, str):
        raise SchemaMistakeError(f"logicalType {name!r} is not a string", ", ".join(_BASES))
    if name in _UNSUPPORTED:
        because, instead = _UNSUPPORTED[name]
        raise SchemaMistakeError(
            f"logicalType {name!r} is not supported, {because}", ", ".join(_BASES), instead
        )
    if name not in _BASES:
        raise SchemaMistakeError(
            f"logicalType {name!r} is not Avro's.{did_you_mean(name, _BASES)}", ", ".join(_BASES)
        )
    if kind not in _BASES[name]:
        bases = " or ".join(_BASES[name])
        raise SchemaMistakeError(f"logicalType {name!r} is not defined for {kind}", f"{name} on {bases}")
    if name == "decimal":
        return _decimal(kind, node)
    if name == "uuid" and kind == "fixed" and node.get("size") != 16:
        raise SchemaMistakeError(
            f"uuid on a fixed of {node.get('size')!r} bytes", "uuid on string or on fixed of 16 bytes"
        )
    return {"logical": name}


def check_no_strays(kind: str, node: Mapping[str, Json]) -> None:
    """Refuse attributes that Avro would ignore at this type, because their author meant something by them."""
    if "logicalType" in node and kind in ("record", "enum", "array", "map"):
        raise SchemaMistakeError(
            f"logicalType {node['logicalType']!r} is not defined for {kind}", ", ".join(_BASES)
        )
    strays = sorted({"precision", "scale"} & node.keys())
    if strays and node.get("logicalType") != "decimal":
        raise SchemaMistakeError(
            f"{' and '.join(map(repr, strays))} without logicalType 'decimal' has no effect in Avro"
        )


def _decimal(kind: str, node: Mapping[str, Json]) -> Logical:
    precision, scale = node.get("precision"), node.get("scale", 0)
    if isinstance(precision, bool) or not isinstance(precision, int) or precision < 1:
        raise SchemaMistakeError(
            f"decimal precision {precision!r}", "'precision': a whole number of digits, at least 1"
        )
    if isinstance(scale, bool) or not isinstance(scale, int) or not 0 <= scale <= precision:
        raise SchemaMistakeError(
            f"decimal scale {scale!r}", f"'scale': a whole number from 0 to the precision, {precision}"
        )
    if precision > LARGEST_DECIMAL_PRECISION:
        raise SchemaMistakeError(
            f"decimal precision {precision} is not supported, because Arrow decimals end at "
            f"{LARGEST_DECIMAL_PRECISION} digits",
            f"1 to {LARGEST_DECIMAL_PRECISION}",
        )
    size = node.get("size")
    if kind == "fixed" and isinstance(size, int) and size > 0:
        # Avro 1.12, Decimal: n bytes hold floor(log10(2^(8n-1) - 1)) digits.
        digits = len(str(2 ** (8 * min(size, 64) - 1) - 1)) - 1
        if precision > digits:
            raise SchemaMistakeError(
                f"decimal precision {precision} does not fit {size} bytes", f"at most {digits} digits"
            )
    return {"logical": "decimal", "precision": precision, "scale": scale}
