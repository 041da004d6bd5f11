"""Whether a field's default fits its type (Avro 1.12, "default: a default value for this field")."""

import math
import re
from collections.abc import Mapping
from decimal import Decimal

from pipelines.contract.avro_type import AvroType
from resources.json_value import Json

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
FLOAT_MAX = 3.4028234663852886e38
UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DAY = {"time-millis": 86_400_000, "time-micros": 86_400_000_000}


def misfit(default: Json, avro: AvroType) -> str | None:
    """What a default of `avro` must be; None if `default` is correct.

    The default of a union must fit the union's first branch. Avro 1.12 allows any branch, but readers that
    implement earlier releases would then refuse the whole schema.
    """
    if avro.null_branch == 0:
        return None if default is None else "null, the union's first branch"
    if default is None:
        other = "; to default to null write the union as ['null', ...]" if avro.nullable else ""
        return f"{_expected(avro)}{other}"
    return None if _fits(default, avro) else _expected(avro)


def _fits(default: Json, avro: AvroType) -> bool:
    match avro.kind:
        case "boolean":
            return isinstance(default, bool)
        case "int" | "long":
            low, high = (INT_MIN, INT_MAX) if avro.kind == "int" else (LONG_MIN, LONG_MAX)
            if isinstance(default, bool) or not isinstance(default, int):
                return False
            return low <= default <= high and (avro.logical not in _DAY or 0 <= default < _DAY[avro.logical])
        case "float" | "double":
            if isinstance(default, bool) or not isinstance(default, (int, float)):
                return False
            limit = FLOAT_MAX if avro.kind == "float" else 1.7976931348623157e308
            return math.isfinite(default) and abs(default) <= limit
        case "bytes" | "fixed":
            return isinstance(default, str) and _bytes_fit(default, avro)
        case "string":
            return isinstance(default, str) and (
                avro.logical != "uuid" or UUID_TEXT.fullmatch(default) is not None
            )
        case "enum":
            return default in avro.symbols
        case "array":
            return isinstance(default, list) and all(misfit(item, avro.element) is None for item in default)
        case "map":
            return isinstance(default, dict) and all(
                misfit(value, avro.element) is None for value in default.values()
            )
        case "record":
            return isinstance(default, dict) and _record_fits(default, avro)


def _record_fits(default: Mapping[str, Json], avro: AvroType) -> bool:
    if set(default) - {child.name for child in avro.fields}:
        return False
    return all(
        misfit(default[child.name], child.type) is None if child.name in default else child.has_default
        for child in avro.fields
    )


def _bytes_fit(default: str, avro: AvroType) -> bool:
    if any(ord(character) > 255 for character in default):
        return False
    if avro.kind == "fixed" and len(default) != avro.size:
        return False
    if avro.logical != "decimal":
        return True
    unscaled = int.from_bytes(default.encode("latin-1"), "big", signed=True)
    return bool(default) and len(Decimal(unscaled).as_tuple().digits) <= avro.precision


def _expected(avro: AvroType) -> str:
    match avro.kind:
        case "boolean":
            return "true or false"
        case "int" | "long" if avro.logical in _DAY:
            return f"a whole number from 0 to {_DAY[avro.logical] - 1}"
        case "int":
            return f"a whole number from {INT_MIN} to {INT_MAX}"
        case "long":
            return f"a whole number from {LONG_MIN} to {LONG_MAX}"
        case "float" | "double":
            return f"a finite number in the range of a {avro.kind}"
        case "bytes" | "fixed":
            length = f" of {avro.size} characters" if avro.kind == "fixed" else ""
            digits = f", at most {avro.precision} digits unscaled" if avro.logical == "decimal" else ""
            return f"a string{length}, each standing for a byte (U+0000 to U+00FF){digits}"
        case "string":
            return "a uuid as text" if avro.logical == "uuid" else "a string"
        case "enum":
            return f"one of {', '.join(avro.symbols)}"
        case "array":
            return f"a list, each element {_expected(avro.element)}"
        case "map":
            return f"an object, each value {_expected(avro.element)}"
        case "record":
            names = ", ".join(child.name for child in avro.fields)
            return f"an object with values that fit the fields {names}"
