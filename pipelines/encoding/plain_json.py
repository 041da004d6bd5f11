"""Decoded values as plain JSON values: the form in which commands and Dagster's metadata show them."""

import json
import math
from collections.abc import Mapping
from decimal import Decimal

from resources.json_value import Json


def plain(value: object) -> Json:
    """`value` made only of what JSON has. Exact: what a JSON number cannot hold becomes text.

    Whole numbers and finite floats are numbers. Decimals are text with all digits of their scale; dates and
    times are text in ISO 8601; bytes are hexadecimal text; uuids are their canonical text. NaN and the
    infinities are the texts "NaN", "Infinity" and "-Infinity".
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    iso = getattr(value, "isoformat", None)
    return str(iso()).replace("+00:00", "Z") if iso else str(value)


def to_json(value: object, *, indent: int | None = None) -> str:
    """JSON of decoded values; see `plain`."""
    return json.dumps(plain(value), ensure_ascii=False, indent=indent, allow_nan=False)
