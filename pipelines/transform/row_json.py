"""A row as JSON text, exactly: what JSON cannot hold becomes text; nothing is rounded."""

import base64
import datetime as dt
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeAlias, cast
from uuid import UUID

import numpy as np
import pyarrow as pa

from pipelines.contract.temporal import WideDate, WideTimestamp, date_of, timestamp_of
from pipelines.transform.decimals import exact_decimal
from pipelines.transform.value_rules import DAY_SECONDS, UNITS_PER_SECOND
from resources.json_value import Json
from resources.wording import text_of

PythonValue: TypeAlias = (
    "bool | int | float | str | bytes | Decimal | UUID | dt.date | dt.time | dt.timedelta"
    " | tuple[int, int, int] | WideDate | WideTimestamp | list[PythonValue] | list[tuple[PythonValue, PythonValue]]"
    " | dict[str, PythonValue] | None"
)
"""The exact value of an Arrow scalar; see `from_scalar`. A timestamp is a `datetime`, which is also a `date`.
An interval is three numbers (months, days, nanoseconds). A map is a list of pairs."""

_T = pa.types

# A number of so many bits has fewer than 4,300 digits.
_LONGEST_BITS = 14_000


def row_json(row: Mapping[str, object]) -> str:
    """`row` as one JSON object.

    Decimals, dates, times, timestamps and uuids are strings in their ISO form; bytes are base64; NaN and
    infinities are the strings "NaN", "Infinity", "-Infinity"; a map is a list of pairs, so that a
    repeated key is still visible.
    """
    return json.dumps({str(name): _plain(value) for name, value in row.items()}, ensure_ascii=True)


def _plain(value: object) -> Json:
    if isinstance(value, pa.Scalar):
        return _plain(from_scalar(value))
    if isinstance(value, np.generic) and not isinstance(
        value, (np.datetime64, np.timedelta64, np.longdouble)
    ):
        value = value.item()
    if value is None or isinstance(value, (bool, int)):
        # A number of more than 4,300 digits becomes text: Python and other JSON
        # parsers do not read such a number.
        return text_of(value) if isinstance(value, int) and value.bit_length() > _LONGEST_BITS else value
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


def from_scalar(scalar: pa.Scalar) -> PythonValue:
    """The exact Python value of an Arrow scalar, whatever its type holds; nested
    values too. A map becomes pairs.

    If Python does not have the value: a date or timestamp becomes a `WideDate` or `WideTimestamp`; one at the
    ends of its integer, which warehouses use for infinity, becomes the text "infinity" or "-infinity";
    another temporal value becomes its count as text; broken UTF-8 is escaped.
    """
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if isinstance(kind, pa.BaseExtensionType):
        return _or_text(scalar) if kind.extension_name == "arrow.uuid" else from_scalar(scalar.value)
    if _T.is_dictionary(kind):
        return from_scalar(scalar.value)
    if _T.is_map(kind):
        return [(from_scalar(key), from_scalar(value)) for key, value in _pairs(scalar)]
    if _T.is_struct(kind):
        return {child.name: from_scalar(scalar[place]) for place, child in enumerate(kind)}
    if _T.is_nested(kind) and hasattr(scalar, "values"):
        return plain_values(scalar.values)
    if _T.is_timestamp(kind) or _T.is_date(kind):
        return _moment(scalar)
    if _T.is_time(kind) and not _in_a_day(scalar):
        return str(scalar.value)  # as_py would turn it into a time of the next day
    if _T.is_decimal(kind):
        return exact_decimal(scalar)
    return _or_text(scalar)


def plain_values(array: pa.Array) -> list[PythonValue]:
    """The values of an Arrow array; see `from_scalar`."""
    return [from_scalar(scalar) for scalar in array]


def _pairs(scalar: pa.Scalar) -> list[tuple[pa.Scalar, pa.Scalar]]:
    entries = scalar.values
    return list(zip(entries.field(0), entries.field(1), strict=True))


def _moment(scalar: pa.Scalar) -> dt.date | WideDate | WideTimestamp | str:
    kind, count = scalar.type, scalar.value
    largest = 2 ** (kind.bit_width - 1) - 1
    if abs(count) >= largest:
        return "infinity" if count > 0 else "-infinity"
    try:
        return cast(dt.date, scalar.as_py())
    except (ValueError, OverflowError, LookupError):  # a year, or a time zone, that Python does not have
        if _T.is_date(kind):
            return date_of(count if _T.is_date32(kind) else count // (DAY_SECONDS * 1000))
        return timestamp_of(count, UNITS_PER_SECOND[kind.unit], zoned=kind.tz is not None)


def _or_text(scalar: pa.Scalar) -> PythonValue:
    kind = scalar.type
    try:
        return cast(PythonValue, scalar.as_py())
    except (ValueError, OverflowError):
        if _T.is_string(kind) or _T.is_large_string(kind) or _T.is_string_view(kind):
            return cast(bytes, scalar.as_buffer().to_pybytes()).decode("utf-8", "backslashreplace")
        return str(scalar.value) if _T.is_temporal(kind) else str(scalar)


def _in_a_day(scalar: pa.Scalar) -> bool:
    return bool(0 <= scalar.value < DAY_SECONDS * UNITS_PER_SECOND[scalar.type.unit])
