"""Decoded values as text for people and as JSON for programs."""

import json
from typing import Any


def to_json(value: object, *, indent: int | None = None) -> str:
    """JSON of decoded values: times in ISO 8601, decimals as written, bytes as hex."""
    return json.dumps(value, default=_text, ensure_ascii=False, indent=indent)


def to_cell(value: Any) -> str:
    """A value in a table: null as a dash, texts as they are, everything nested as JSON."""
    if value is None:
        return "-"
    if isinstance(value, dict | list):
        return to_json(value)
    return str(value) if isinstance(value, str | int | float) else _text(value)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    iso = getattr(value, "isoformat", None)
    return str(iso()).replace("+00:00", "Z") if iso else str(value)
