"""Values from a driver as Python values, or from the server as text, for comparison with an Arrow snapshot.

A plain value has the form in which a snapshot's buffers are read: dates are days; times and instants are
integers in the unit of the column's Arrow type; maps are lists of pairs. UNKNOWN means that Python's driver
does not give the exact value.
"""

import datetime as dt
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

Plain = Callable[[Any], Any]


class Unknown:
    """See UNKNOWN."""

    def __repr__(self) -> str:
        return "not known"


UNKNOWN = Unknown()
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY_SECONDS = 86_400
_EPOCH = dt.datetime(1970, 1, 1)
_TIME = r"(?P<hour>\d+):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?"
_CLOCK = re.compile(_TIME)
_INSTANT = re.compile(
    r"(?P<year>\d+)-(?P<month>\d\d)-(?P<day>\d\d)(?P<before> BC| \(BC\))?"
    rf"(?:[ T]{_TIME}(?P<zone>[+-]\d\d(?::?\d\d)*)?)?(?P<behind> BC| \(BC\))?"
)


def number_of(kind: pa.DataType) -> Plain | None:
    """Returns a function from the text of a date, time or timestamp to its integer;
    None if `kind` is another type."""
    if pa.types.is_date32(kind):
        return lambda text: _date(text)
    if pa.types.is_time(kind):
        return lambda text: _clock(text, _PER_SECOND[kind.unit])
    if pa.types.is_timestamp(kind):
        return lambda text: _instant(text, _PER_SECOND[kind.unit])
    return None


def _date(text: str) -> Any:
    if text in ("infinity", "-infinity"):
        return (2**31 - 1) * (1 if text[0] == "i" else -1)
    found = _INSTANT.fullmatch(text)
    return UNKNOWN if found is None or found["hour"] else _days(found)


def _instant(text: str, per_second: int) -> Any:
    if text in ("infinity", "-infinity"):
        return (2**63 - 1) * (1 if text[0] == "i" else -1)
    found = _INSTANT.fullmatch(text)
    if found is None:
        return UNKNOWN
    seconds = _days(found) * _DAY_SECONDS
    if found["hour"] is None:
        return seconds * per_second
    if found["zone"]:
        sign = -1 if found["zone"][0] == "-" else 1
        parts = re.findall(r"\d\d", found["zone"])
        seconds -= sign * sum(int(part) * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    within = _within_day(found, per_second)
    return UNKNOWN if within is None else seconds * per_second + within


def _clock(text: str, per_second: int) -> Any:
    found = _CLOCK.fullmatch(text)
    count = None if found is None else _within_day(found, per_second)
    return UNKNOWN if count is None else count


def _within_day(found: "re.Match[str]", per_second: int) -> int | None:
    seconds = (int(found["hour"]) * 60 + int(found["minute"])) * 60 + int(found["second"] or 0)
    fraction = found["fraction"] or "0"
    count, rest = divmod(int(fraction) * per_second, 10 ** len(fraction))
    return None if rest else seconds * per_second + count


def _days(found: "re.Match[str]") -> int:
    """Days since 1970 in the proleptic Gregorian calendar, for any year: Python's own dates
    end at the years 1 and 9999."""
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    if found["before"] or found["behind"]:
        year = 1 - year
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def of_driver(kind: pa.DataType) -> Plain:
    """Returns a function from a Python value of DuckDB's driver to the plain value of an
    Arrow column of type `kind`."""
    present = _of_driver(kind)
    return lambda value: None if value is None else present(value)


def _of_driver(kind: pa.DataType) -> Plain:
    types = pa.types
    if types.is_dictionary(kind):
        return _of_driver(kind.value_type)
    if types.is_struct(kind):
        children = {child.name: of_driver(child.type) for child in kind}
        return lambda value: (
            {name: convert(value[name]) for name, convert in children.items()}
            if isinstance(value, dict) and value.keys() == children.keys()
            else UNKNOWN
        )
    if types.is_map(kind):
        key, item = of_driver(kind.key_type), of_driver(kind.item_type)
        # If Python cannot hash the keys, the driver gives two lists.
        hashable = not types.is_nested(kind.key_type)
        return lambda value: (
            [(key(k), item(v)) for k, v in value.items()] if hashable and isinstance(value, dict) else UNKNOWN
        )
    if hasattr(kind, "value_type"):
        element = of_driver(kind.value_type)
        return lambda value: [element(one) for one in value] if isinstance(value, (list, tuple)) else UNKNOWN
    if types.is_temporal(kind):
        return lambda value: _temporal(value, kind)
    if types.is_boolean(kind):
        return lambda value: value if isinstance(value, bool) else UNKNOWN
    if types.is_integer(kind):
        return lambda value: value if isinstance(value, int) else UNKNOWN
    if types.is_floating(kind):
        return lambda value: value if isinstance(value, float) else UNKNOWN
    if types.is_decimal(kind):
        return lambda value: Decimal(value) if isinstance(value, (Decimal, int)) else UNKNOWN
    if types.is_binary(kind) or types.is_large_binary(kind):
        return lambda value: bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else UNKNOWN
    if types.is_string(kind) or types.is_large_string(kind):
        return lambda value: str(value) if isinstance(value, (str, UUID)) else UNKNOWN
    return lambda _: UNKNOWN


def _temporal(value: Any, kind: pa.DataType) -> Any:
    """The integer of a date or time inside a nested value. DuckDB's driver gives infinities as Python's first
    and last dates and cuts nanoseconds, so these are UNKNOWN."""
    if isinstance(value, str):
        number = number_of(kind)
        return UNKNOWN if number is None else number(value)
    if isinstance(value, dt.datetime) and pa.types.is_timestamp(kind) and kind.unit != "ns":
        naive = value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
        if naive in (dt.datetime.max, dt.datetime.min):
            return UNKNOWN
        count, rest = divmod((naive - _EPOCH) // dt.timedelta(microseconds=1) * _PER_SECOND[kind.unit], 10**6)
        return UNKNOWN if rest else count
    if type(value) is dt.date and pa.types.is_date32(kind):
        return UNKNOWN if value in (dt.date.max, dt.date.min) else (value - _EPOCH.date()).days
    if isinstance(value, dt.time) and pa.types.is_time(kind) and value.tzinfo is None and kind.unit != "ns":
        return _clock(value.isoformat(), _PER_SECOND[kind.unit])
    return UNKNOWN


def of_text(kind: pa.DataType) -> Plain:
    """Returns a function from PostgreSQL's text of a value to the plain value of an
    Arrow column of type `kind`."""
    present = _of_text(kind)
    return lambda text: None if text is None else present(text)


def _of_text(kind: pa.DataType) -> Plain:
    types = pa.types
    number = number_of(kind)
    if number is not None:
        return number
    if types.is_boolean(kind):
        return lambda text: {"t": True, "true": True, "f": False, "false": False}.get(text, UNKNOWN)
    if types.is_integer(kind):
        return int
    if types.is_float32(kind):
        # PostgreSQL writes the shortest text that identifies the 32-bit number, so
        # it must be rounded to 32 bits.
        return lambda text: struct.unpack("<f", struct.pack("<f", float(text)))[0]
    if types.is_floating(kind):
        return float
    if types.is_decimal(kind):
        return Decimal
    if types.is_binary(kind):
        return lambda text: bytes.fromhex(text[2:]) if text.startswith("\\x") else UNKNOWN
    if types.is_list(kind):
        element = of_text(kind.value_type)
        return lambda text: UNKNOWN if (found := _elements(text)) is None else [element(one) for one in found]
    return (lambda text: text) if types.is_string(kind) else (lambda _: UNKNOWN)


_ELEMENT = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^,{}"]*)', re.DOTALL)


def _elements(text: str) -> list[str | None] | None:
    """The elements of an array with one dimension (PostgreSQL, "Array Input and Output
    Syntax"); None for another array."""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    found: list[str | None] = []
    place, end = 1, len(text) - 1
    while place < end or found:
        one = _ELEMENT.match(text, place, end)
        if one is None:
            return None
        if one["quoted"] is not None:
            found.append(re.sub(r"\\(.)", r"\1", one["quoted"], flags=re.DOTALL))
        else:
            found.append(None if one["bare"].upper() == "NULL" else one["bare"])
        place = one.end()
        if place >= end:
            return found
        if text[place] != ",":
            return None
        place += 1
    return found


def parameter_of(value: Any, kind: pa.DataType) -> Any:
    """A plain value of a column as a query parameter that finds its rows. None if there is no such parameter
    (for a null, a date that Python does not have, a type that is not compared)."""
    types = pa.types
    if value is None:
        return None
    if types.is_integer(kind) or types.is_boolean(kind) or types.is_decimal(kind):
        return value
    if types.is_string(kind) or types.is_large_string(kind):
        return value if isinstance(value, str) else None
    try:
        if types.is_date32(kind):
            return dt.date(1970, 1, 1) + dt.timedelta(days=value)
        if types.is_timestamp(kind) and kind.unit != "ns":
            instant = _EPOCH + dt.timedelta(microseconds=value * (10**6 // _PER_SECOND[kind.unit]))
            return instant.replace(tzinfo=dt.UTC) if kind.tz else instant
    except OverflowError:
        return None
    return None
