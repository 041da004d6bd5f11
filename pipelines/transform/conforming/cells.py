"""Converts Python values, one by one, to the exact values that Arrow stores: for object columns.

Arrow's own inference would mix ints into floats and drop time zones and nanoseconds in silence. So each
Python value is checked here before Arrow gets it.
"""

import datetime as dt
import math
import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.contract import AvroType
from pipelines.contract.temporal import WideDate, WideTimestamp
from pipelines.transform.dead_letters import Misfit, Reason, shown
from pipelines.transform.row_json import from_scalar
from pipelines.transform.value_rules import (
    DAY_MICROS,
    EXACT_DOUBLE,
    EXACT_FLOAT,
    INTEGER_RANGE,
    NAN_DETAIL,
    UNITS_PER_SECOND,
    UUID_TEXT,
    integer_detail,
    unit_of,
)

ExactValue: TypeAlias = (
    "bool | int | float | str | bytes | Decimal | dt.date | list[ExactValue] | list[tuple[str, ExactValue]]"
    " | dict[str, ExactValue] | None"
)
"""A value that Arrow stores unchanged in the Arrow type of its Avro type. Times and timestamps are counts in
the type's unit, uuids are text, a map is a list of pairs, a record is a dict."""
Reader = Callable[[object], ExactValue]
"""From any Python value to its exact form; raises CellMisfitError."""
_EPOCH = dt.datetime(1970, 1, 1)
_EPOCH_UTC = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class CellMisfitError(Exception):
    """A Python value does not fit. While the error leaves nested values, `path` grows."""

    def __init__(self, reason: Reason, value: object, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.value, self.detail, self.path = reason, value, detail, ""

    def under(self, step: str) -> "CellMisfitError":
        self.path = step + self.path
        return self

    def at(self, row: int) -> Misfit:
        return Misfit(row, self.path, self.reason, shown(self.value), self.detail)


def read_cells(values: Sequence[object], avro: AvroType) -> tuple[list[ExactValue], list[Misfit]]:
    """`values` as values that `pa.array(..., arrow_type(avro))` stores unchanged; None
    where a misfit gives the reason."""
    read = reader(avro)
    exact: list[ExactValue] = []
    misfits: list[Misfit] = []
    for row, value in enumerate(values):
        try:
            exact.append(read(value))
        except CellMisfitError as misfit:
            exact.append(None)
            misfits.append(misfit.at(row))
    return exact, misfits


def reader(avro: AvroType) -> Reader:
    """A function from one Python value to its exact form; the function raises CellMisfitError."""
    match avro.kind, avro.logical:
        case _, "decimal":
            inner: Reader = partial(_decimal, precision=avro.precision, scale=avro.scale)
        case _, "uuid":
            inner = _uuid
        case _, "date":
            inner = _date
        case _, "time-millis" | "time-micros":
            inner = partial(_time, micros_per_unit=1000 if avro.logical == "time-millis" else 1)
        case _, str(logical):
            inner = partial(
                _timestamp, per_second=UNITS_PER_SECOND[unit_of(logical)], local=logical.startswith("local-")
            )
        case "boolean", _:
            inner = _boolean
        case "int" | "long", _:
            inner = partial(_integer, kind=avro.kind)
        case "float" | "double", _:
            inner = partial(_float, single=avro.kind == "float")
        case "string", _:
            inner = _string
        case "bytes", _:
            inner = _bytes
        case "fixed", _:
            inner = partial(_fixed, size=avro.size)
        case "enum", _:
            inner = partial(_enum, symbols=frozenset(avro.symbols), listed=", ".join(avro.symbols))
        case "array", _:
            inner = partial(_array, read=reader(avro.element))
        case "map", _:
            inner = partial(_map, read=reader(avro.element))
        case _:
            inner = partial(_record, readers={child.name: reader(child.type) for child in avro.fields})
    return partial(_nullable_or_not, read=inner, nullable=avro.nullable, avro=avro)


def _nullable_or_not(value: object, *, read: Reader, nullable: bool, avro: AvroType) -> ExactValue:
    if isinstance(value, (pa.Scalar, np.generic)):
        value = _unwrapped(value, avro)
    if value is None or value is pd.NA or value is pd.NaT:
        if nullable:
            return None
        raise CellMisfitError(Reason.NULL, None, f"{avro}, not null")
    if value.is_nan() if isinstance(value, Decimal) else isinstance(value, float) and math.isnan(value):
        raise CellMisfitError(Reason.NAN, value, NAN_DETAIL)
    return read(value)


def _unwrapped(value: pa.Scalar | np.generic, avro: AvroType) -> object:
    """The Python value of a numpy or Arrow scalar."""
    if isinstance(value, pa.Scalar):
        exact = from_scalar(value)
        if pa.types.is_temporal(value.type) and isinstance(exact, str | WideDate | WideTimestamp):
            raise _beyond_python(exact)
        return exact
    if isinstance(value, np.datetime64):
        try:
            return pd.Timestamp(value)  # NaT for NaT
        except ValueError:
            raise _beyond_python(value) from None
    if isinstance(value, np.longdouble):
        if value != value:
            return math.nan
        if np.longdouble(float(value)) != value:
            raise CellMisfitError(
                Reason.PRECISION_LOSS, value, f"{avro}; longdouble holds more than a double"
            )
        return float(value)
    if isinstance(value, (str, bytes)):  # np.str_, np.bytes_
        return value
    return value.item()


def _beyond_python(value: object) -> CellMisfitError:
    endless = value in ("infinity", "-infinity")
    return CellMisfitError(
        Reason.INFINITE if endless else Reason.OUT_OF_RANGE,
        value,
        "a finite date or timestamp; where no end is meant, null"
        if endless
        else "years 1 to 9999 in a column of Python objects; an Arrow-backed column holds any year",
    )


def _wrong(value: object, allowed: str) -> CellMisfitError:
    return CellMisfitError(Reason.WRONG_TYPE, value, f"{allowed}, not {type(value).__name__}")


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, "True or False")
    return value


def _integer(value: object, *, kind: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise _wrong(value, "a whole number")
    if isinstance(value, (float, Decimal)):
        # Decimal's own method: as a float, 1E+1000000 would be infinite.
        if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
            raise CellMisfitError(Reason.INFINITE, value, integer_detail(kind))
        if isinstance(value, Decimal) and value and value.adjusted() > 20:
            raise CellMisfitError(Reason.OUT_OF_RANGE, value, integer_detail(kind))
        # to_integral_value does not depend on the context's precision; % does.
        if value != (value.to_integral_value() if isinstance(value, Decimal) else math.trunc(value)):
            raise CellMisfitError(Reason.FRACTION, value, integer_detail(kind))
        if isinstance(value, float) and abs(value) > EXACT_DOUBLE:
            raise CellMisfitError(
                Reason.PRECISION_LOSS, value, "an int: a float has no single whole number above 2^53"
            )
    low, high = INTEGER_RANGE[kind]
    if not low <= value <= high:
        raise CellMisfitError(Reason.OUT_OF_RANGE, value, integer_detail(kind))
    return int(value)


def _float(value: object, *, single: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(value, "a float, or an int it holds exactly")
    name = "float (32 bits)" if single else "double"
    if isinstance(value, int):
        limit = EXACT_FLOAT if single else EXACT_DOUBLE
        if abs(value) > limit:
            raise CellMisfitError(Reason.PRECISION_LOSS, value, f"whole numbers up to {limit} in a {name}")
        return float(value)
    if not math.isfinite(value):
        raise CellMisfitError(Reason.INFINITE, value, f"a finite {name}")
    if single:
        try:
            same = struct.unpack("<f", struct.pack("<f", value))[0] == value
        except OverflowError:
            raise CellMisfitError(Reason.OUT_OF_RANGE, value, f"a number that fits a {name}") from None
        if not same:
            raise CellMisfitError(
                Reason.PRECISION_LOSS,
                value,
                f"a number that a {name} holds exactly: round to float32 yourself",
            )
    return float(value)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise CellMisfitError(Reason.INVALID_UTF8, value, "text without lone surrogates") from None
    return str.__str__(value)  # a plain str, also from a subclass of str


def _bytes(value: object) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _wrong(value, "bytes")
    return bytes(value)


def _fixed(value: object, *, size: int) -> bytes:
    content = _bytes(value)
    if len(content) != size:
        raise CellMisfitError(Reason.WRONG_LENGTH, value, f"exactly {size} bytes, not {len(content)}")
    return content


def _enum(value: object, *, symbols: frozenset[str], listed: str) -> str:
    text = _string(value)
    if text not in symbols:
        raise CellMisfitError(Reason.UNKNOWN_SYMBOL, value, f"one of {listed}")
    return text


def _uuid(value: object) -> str:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        if len(value) != 16:
            raise CellMisfitError(Reason.BAD_UUID, value, f"a uuid of 16 bytes, not {len(value)}")
        return str(uuid.UUID(bytes=value))
    text = _string(value)
    if not UUID_TEXT.fullmatch(text):
        raise CellMisfitError(Reason.BAD_UUID, value, "a uuid as 8-4-4-4-12 hexadecimal digits")
    return text.lower()


def _decimal(value: object, *, precision: int, scale: int) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise _wrong(value, "a decimal.Decimal or an int")
    number = Decimal(value)
    if not number.is_finite():
        raise CellMisfitError(Reason.INFINITE, value, "a finite decimal")
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or not any(digits):
        return Decimal((0, (0,), -scale))
    allowed = (
        f"decimal({precision}, {scale}): at most {precision - scale} digits before the point, {scale} after"
    )
    # Checked before any arithmetic: 1E+1000000 is a short Decimal but a very long integer.
    if number.adjusted() + 1 > precision - scale:
        raise CellMisfitError(Reason.TOO_MANY_DIGITS, value, allowed)
    surplus = max(0, -exponent - scale)
    if surplus:
        if any(digits[-surplus:]):
            raise CellMisfitError(Reason.PRECISION_LOSS, value, allowed)
        digits, exponent = digits[:-surplus], -scale
    return Decimal((sign, digits + (0,) * (exponent + scale), -scale))


def _date(value: object) -> dt.date:
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            raise CellMisfitError(
                Reason.ZONED_TIMESTAMP,
                value,
                "a date; the date of an instant depends on the zone: convert first",
            )
        if value.time() != dt.time() or getattr(value, "nanosecond", 0) != 0:
            raise CellMisfitError(Reason.PRECISION_LOSS, value, "a date, or a naive timestamp at midnight")
        return value.date()
    if not isinstance(value, dt.date):
        raise _wrong(value, "a date")
    return value


def _time(value: object, *, micros_per_unit: int) -> int:
    if not isinstance(value, dt.time):
        raise _wrong(value, "a time of day")
    if value.tzinfo is not None:
        raise CellMisfitError(Reason.ZONED_TIMESTAMP, value, "a time of day without a zone")
    micros = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    units, rest = divmod(micros, micros_per_unit)
    if rest or not 0 <= micros < DAY_MICROS:
        raise CellMisfitError(Reason.PRECISION_LOSS, value, "whole milliseconds")
    return units


def _timestamp(value: object, *, per_second: int, local: bool) -> int:
    if not isinstance(value, dt.datetime):
        raise _wrong(value, "a timestamp")
    zoned = value.utcoffset() is not None
    if zoned and local:
        raise CellMisfitError(Reason.ZONED_TIMESTAMP, value, "a local timestamp, without a zone")
    if not zoned and not local:
        raise CellMisfitError(Reason.NAIVE_TIMESTAMP, value, "an instant: a timestamp with a zone")
    count, source_per_second = _units(value, zoned)
    units, rest = divmod(count * per_second, source_per_second)
    if rest:
        raise CellMisfitError(Reason.PRECISION_LOSS, value, f"no finer than 1/{per_second} s")
    if not -(2**63) <= units < 2**63:
        raise CellMisfitError(Reason.OUT_OF_RANGE, value, f"a count of 1/{per_second} s that fits 64 bits")
    return units


def _units(value: dt.datetime, zoned: bool) -> tuple[int, int]:
    """Whole units since 1970 (in UTC if `zoned`), and the number of units in a second. Exact."""
    if isinstance(value, pd.Timestamp):
        raw = value.asm8  # a count in UTC if zoned
        return int(raw.astype("int64")), UNITS_PER_SECOND[np.datetime_data(raw.dtype)[0]]
    return (value - (_EPOCH_UTC if zoned else _EPOCH)) // _MICROSECOND, 1_000_000


def _array(value: object, *, read: Reader) -> list[ExactValue]:
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        value = list(value)  # as scalars: not every value of Arrow exists in Python
    elif isinstance(value, pd.Series):
        value = list(pa.array(value.array) if isinstance(value.dtype, pd.ArrowDtype) else value.array)
    if not isinstance(value, (list, tuple, np.ndarray)):
        raise _wrong(value, "a list")
    exact = []
    for position, item in enumerate(value):
        try:
            exact.append(read(item))
        except CellMisfitError as misfit:
            raise misfit.under(f"[{position}]") from None
    return exact


def _map(value: object, *, read: Reader) -> list[tuple[str, ExactValue]]:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, (list, tuple, np.ndarray)) or not all(
        isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs
    ):
        raise _wrong(value, "a dict, or a list of (key, value)")
    exact: dict[str, ExactValue] = {}
    for key, item in pairs:
        if key is None:
            raise CellMisfitError(Reason.NULL, value, "map keys are text, not null")
        text = _string(key)
        if text in exact:
            raise CellMisfitError(Reason.DUPLICATE_KEY, text, "each key once").under(f"[{text!r}]")
        try:
            exact[text] = read(item)
        except CellMisfitError as misfit:
            raise misfit.under(f"[{text!r}]") from None
    return list(exact.items())


def _record(value: object, *, readers: Mapping[str, Reader]) -> dict[str, ExactValue]:
    if not isinstance(value, Mapping):
        raise _wrong(value, "a dict")
    for name in value:
        if name not in readers:
            raise CellMisfitError(Reason.UNKNOWN_FIELD, value[name], f"only {', '.join(readers)}").under(
                f".{name}"
            )
    exact = {}
    for name, read in readers.items():
        if name not in value:
            raise CellMisfitError(
                Reason.MISSING_FIELD, None, "a value under this key; None where null is meant"
            ).under(f".{name}")
        try:
            exact[name] = read(value[name])
        except CellMisfitError as misfit:
            raise misfit.under(f".{name}") from None
    return exact
