"""A row as JSON text, exactly: what JSON cannot hold becomes text, nothing is rounded."""

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.transform.decimals import exact_decimal
from pipelines.transform.rules import DAY_SECONDS, UNITS_PER_SECOND


def row_json(row: Mapping[str, object]) -> str:
    """`row` as one JSON object.

    Decimals, dates, times, timestamps and uuids are strings in their ISO form, bytes are base64, NaN and
    infinities are the strings "NaN", "Infinity", "-Infinity", a map is a list of pairs, so that a
    repeated key is still seen.
    """
    return json.dumps({str(name): _plain(value) for name, value in row.items()}, ensure_ascii=True)


def _plain(value: Any) -> Any:
    if isinstance(value, pa.Scalar):
        return _plain(from_scalar(value))
    if isinstance(value, np.generic) and not isinstance(
        value, (np.datetime64, np.timedelta64, np.longdouble)
    ):
        value = value.item()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def from_scalar(scalar: Any) -> Any:
    """The Python value; as text where Python has none (a date beyond the year 9999, broken UTF-8).

    A temporal value that Python cannot hold is its count of units since 1970 or midnight.
    """
    kind = scalar.type
    if pa.types.is_time(kind) and scalar.is_valid and not _in_a_day(scalar):
        return str(scalar.value)  # as_py would wrap it into the next day
    if pa.types.is_decimal(kind):
        return exact_decimal(scalar)
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return scalar.as_buffer().to_pybytes().decode("utf-8", "backslashreplace")
        return str(scalar.value) if pa.types.is_temporal(kind) else str(scalar)


def _in_a_day(scalar: Any) -> bool:
    return bool(0 <= scalar.value < DAY_SECONDS * UNITS_PER_SECOND[scalar.type.unit])
