"""Decoded values as text for people and as JSON for programs."""

from typing import Any

from pipelines.encoding.plain_json import plain, to_json

__all__ = ["to_cell", "to_json"]


def to_cell(value: Any) -> str:
    """A value in a table: null as a dash, texts as they are, nested values as JSON."""
    if value is None:
        return "-"
    if isinstance(value, dict | list):
        return to_json(value)
    return str(plain(value))
