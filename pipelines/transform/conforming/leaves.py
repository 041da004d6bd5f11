"""Converts whole Arrow columns of plain values to the contract's type: with Arrow's
kernels, whose results are checked.

Every function returns the column in its exact target type, with null where a value does not fit;
the column keeps these values as misfits. If a column's type cannot hold the field's values at
all, raises ColumnMismatchError.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.contract import AvroType
from pipelines.contract.arrow_mapping import arrow_type
from pipelines.transform.conforming.cells import read_cells
from pipelines.transform.dead_letters import Misfit, Reason, shown
from pipelines.transform.decimals import cast_exactly, exact_values
from pipelines.transform.row_json import from_scalar
from pipelines.transform.value_rules import (
    DAY_SECONDS,
    EXACT_DOUBLE,
    EXACT_FLOAT,
    EXACT_HALF,
    INTEGER_RANGE,
    NAN_DETAIL,
    UNITS_PER_SECOND,
    integer_detail,
    unit_of,
)

_CANONICAL_UUID = r"\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\z"
_LONG_MIN, _LONG_MAX = INTEGER_RANGE["long"]
_NAIVE_ADVICE = "say the zone: AT TIME ZONE in the SQL, or .dt.tz_localize(...) in the transform"


def _cast(sql: str, pandas: str) -> str:
    return f"CAST(... AS {sql}) in the SQL, or .astype('{pandas}') in the transform"


class ColumnMismatchError(Exception):
    """The column's type cannot become the field's type, whatever its rows contain. While the error leaves
    nested types, `path` grows. `field` is the type of the field at that path; `others` are further
    mismatches in the same column."""

    def __init__(self, found: object, allowed: str, next_step: str | None = None) -> None:
        super().__init__(f"{found}: {allowed}")
        # An author does not choose the width of a type's offsets, so `large_` is not shown.
        self.found, self.allowed = str(found).replace("large_", ""), allowed
        self.next_step, self.path = next_step, ""
        self.field: AvroType | None = None
        self.others: tuple[ColumnMismatchError, ...] = ()

    @property
    def each(self) -> "tuple[ColumnMismatchError, ...]":
        """This mismatch and the others."""
        return (self, *self.others)

    def of(self, field: AvroType) -> "ColumnMismatchError":
        for one in self.each:
            one.field = one.field or field
        return self

    def under(self, step: str) -> "ColumnMismatchError":
        for one in self.each:
            one.path = step + one.path
        return self


def require_none(found: Sequence[ColumnMismatchError]) -> None:
    """Raise all mismatches that were found in one column as one error; do nothing if there are none."""
    if found:
        first, *others = [one for mismatch in found for one in mismatch.each]
        first.others = tuple(others)
        raise first


@dataclass
class Column:
    """An Arrow array during its conversion; `flag` removes values from it and keeps them as misfits."""

    source: pa.Array
    array: pa.Array
    misfits: list[Misfit] = field(default_factory=list)

    def flag(self, mask: pa.BooleanArray, reason: Reason, detail: str) -> None:
        """Values where `mask` is true become misfits, and null in the array; a
        null in the mask means false."""
        if not pc.any(mask).as_py():
            return
        rows = np.flatnonzero(mask.fill_null(False).to_numpy(zero_copy_only=False))
        for row in rows.tolist():
            value = shown(from_scalar(self.source[row]))
            self.misfits.append(Misfit(row, "", reason, value, detail))
        self.array = pc.if_else(mask.fill_null(False), pa.scalar(None, self.array.type), self.array)


def conform_leaf(source: pa.Array, avro: AvroType) -> tuple[pa.Array, list[Misfit]]:
    """`source`, an array without dictionary, view or extension type, as `arrow_type(avro)`."""
    column = Column(source, source)
    converted = _converter(avro)(column, avro)
    return converted, column.misfits


def _converter(avro: AvroType) -> Callable[[Column, AvroType], pa.Array]:
    match avro.kind, avro.logical:
        case _, "decimal":
            return _decimal
        case _, "uuid":
            return _uuid
        case _, "date":
            return _date
        case _, "time-millis" | "time-micros":
            return _time
        case _, str():
            return _timestamp
        case "int" | "long", _:
            return _integer
        case "float" | "double", _:
            return _float
        case "string" | "enum", _:
            return _string
        case "bytes" | "fixed", _:
            return _binary
    return _boolean


def _boolean(column: Column, avro: AvroType) -> pa.Array:  # noqa: ARG001 - one signature for all
    if not pa.types.is_boolean(column.source.type):
        raise ColumnMismatchError(
            column.source.type, "bool", "compare, so that it says what true means: x != 0"
        )
    return column.array


def _integer(column: Column, avro: AvroType) -> pa.Array:
    found = column.source.type
    low, high = INTEGER_RANGE[avro.kind]
    if pa.types.is_floating(found):
        _whole_floats(column, avro.kind)
        return column.array.cast(pa.int64()).cast(arrow_type(avro))
    if pa.types.is_decimal(found):
        return _by_cast_or_cells(column, avro)
    if not pa.types.is_integer(found):
        raise ColumnMismatchError(
            found,
            "whole numbers (any int, or float and decimal without fractions)",
            _cast(*(("INTEGER", "int32[pyarrow]") if avro.kind == "int" else ("BIGINT", "int64[pyarrow]"))),
        )
    extremes = pc.min_max(column.array).as_py()
    if extremes["min"] is not None and (extremes["min"] < low or extremes["max"] > high):
        # A bound that the source type cannot pass is not compared: the source
        # type cannot represent that bound.
        for bound, beyond, passes in (
            (low, pc.less, extremes["min"] < low),
            (high, pc.greater, extremes["max"] > high),
        ):
            if passes:
                mask = beyond(column.array, pa.scalar(bound, found))
                column.flag(mask, Reason.OUT_OF_RANGE, integer_detail(avro.kind))
    return column.array.cast(arrow_type(avro))


def _whole_floats(column: Column, kind: str) -> None:
    found = column.source.type
    exact = (
        EXACT_HALF
        if pa.types.is_float16(found)
        else EXACT_FLOAT
        if pa.types.is_float32(found)
        else EXACT_DOUBLE
    )
    column.array = column.array.cast(pa.float64())
    _flag_not_finite(column, integer_detail(kind))
    low, high = INTEGER_RANGE[kind]
    column.flag(
        pc.not_equal(column.array, pc.trunc(column.array)),
        Reason.FRACTION,
        f"{integer_detail(kind)}: round it yourself",
    )
    if kind == "int":
        beyond = pc.or_(pc.less(column.array, float(low)), pc.greater(column.array, float(high)))
        column.flag(beyond, Reason.OUT_OF_RANGE, integer_detail(kind))
    column.flag(
        pc.greater(pc.abs(column.array), float(exact)),
        Reason.PRECISION_LOSS,
        f"an int: a {found} has no single whole number above {exact}",
    )


def _flag_not_finite(column: Column, detail: str) -> None:
    # Only NaN and infinity are not finite: so one pass is enough if all values are good.
    if pc.all(pc.is_finite(column.array)).as_py() is not False:
        return
    column.flag(pc.is_nan(column.array), Reason.NAN, NAN_DETAIL)
    column.flag(pc.is_inf(column.array), Reason.INFINITE, detail)


def _float(column: Column, avro: AvroType) -> pa.Array:
    found, target = column.source.type, arrow_type(avro)
    name = "float (32 bits)" if avro.kind == "float" else "double"
    if pa.types.is_integer(found):
        limit = EXACT_FLOAT if avro.kind == "float" else EXACT_DOUBLE
        extremes = pc.min_max(column.array).as_py()
        if extremes["min"] is not None and max(-extremes["min"], extremes["max"]) > limit:
            numbers = column.array.cast(pa.decimal128(20, 0))
            mask = pc.greater(pc.abs(numbers), pa.scalar(limit, pa.decimal128(20, 0)))
            column.flag(mask, Reason.PRECISION_LOSS, f"whole numbers up to {limit} in a {name}")
        return column.array.cast(target)
    if not pa.types.is_floating(found):
        raise ColumnMismatchError(
            found,
            "floats, or ints a float holds exactly",
            _cast(
                *(
                    ("REAL", "float[pyarrow]")
                    if avro.kind == "float"
                    else ("DOUBLE PRECISION", "double[pyarrow]")
                )
            ),
        )
    _flag_not_finite(column, f"a finite {name}")
    if found == pa.float64() and avro.kind == "float":
        single = column.array.cast(target, safe=False)
        column.flag(
            pc.and_(pc.is_inf(single), pc.is_valid(single)),
            Reason.OUT_OF_RANGE,
            f"a number that fits a {name}",
        )
        column.flag(
            pc.not_equal(single.cast(pa.float64()), column.array),
            Reason.PRECISION_LOSS,
            f"a number that a {name} holds exactly: round it with astype('float32[pyarrow]'), or use double",
        )
        return column.array.cast(target, safe=False)
    return column.array.cast(target)


def _string(column: Column, avro: AvroType) -> pa.Array:
    if not (pa.types.is_string(column.source.type) or pa.types.is_large_string(column.source.type)):
        raise ColumnMismatchError(column.source.type, "text", _cast("VARCHAR", "string[pyarrow]"))
    _flag_broken_text(column)
    text = column.array.cast(pa.string())
    if avro.kind == "enum":
        known = pc.is_in(text, value_set=pa.array(avro.symbols, pa.string()))
        mask = pc.and_(pc.invert(known), pc.is_valid(text))
        column.array = text
        column.flag(mask, Reason.UNKNOWN_SYMBOL, f"one of {', '.join(avro.symbols)}")
        return column.array
    return text


def _flag_broken_text(column: Column) -> None:
    try:
        column.array.validate(full=True)
    except pa.ArrowInvalid:
        raw = column.array.cast(pa.large_binary()).to_pylist()
        mask = pa.array([value is not None and not _is_utf8(value) for value in raw], pa.bool_())
        column.flag(mask, Reason.INVALID_UTF8, "text in UTF-8")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _binary(column: Column, avro: AvroType) -> pa.Array:
    found, target = column.source.type, arrow_type(avro)
    fixed = pa.types.is_fixed_size_binary(found)
    if not (fixed or pa.types.is_binary(found) or pa.types.is_large_binary(found)):
        raise ColumnMismatchError(
            found, "bytes", "encode it explicitly: .str.encode('utf-8') in the transform"
        )
    if avro.kind == "bytes":
        return column.array.cast(target)
    if fixed and found.byte_width != avro.size:
        raise ColumnMismatchError(found, f"exactly {avro.size} bytes")
    if not fixed:
        lengths = pc.binary_length(column.array)
        column.flag(pc.not_equal(lengths, avro.size), Reason.WRONG_LENGTH, f"exactly {avro.size} bytes")
    return column.array.cast(target)


def _uuid(column: Column, avro: AvroType) -> pa.Array:  # noqa: ARG001 - one signature for all
    found = column.source.type
    if pa.types.is_fixed_size_binary(found) and found.byte_width == 16:
        return uuid_text(column.array)
    if not (pa.types.is_string(found) or pa.types.is_large_string(found)):
        raise ColumnMismatchError(found, "uuids as text or as 16 bytes", "CAST(... AS UUID) in the SQL")
    _flag_broken_text(column)
    text = column.array.cast(pa.string())
    if pc.all(pc.match_substring_regex(text, _CANONICAL_UUID)).as_py() is False:
        # Capitals mean the same uuid; they are changed to lower case. Not with ascii_lower: it shifts the
        # texts of an array whose first text does not begin at the start of its buffer.
        text = column.array = pc.utf8_lower(text)
        bad = pc.invert(pc.match_substring_regex(text, _CANONICAL_UUID))
        column.flag(bad, Reason.BAD_UUID, "a uuid as 8-4-4-4-12 hexadecimal digits")
        return column.array
    return text


def uuid_text(array: pa.Array) -> pa.Array:
    """16-byte uuids as canonical text."""
    raw = [None if value is None else value.hex() for value in array.to_pylist()]
    joined = [h if h is None else f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in raw]
    return pa.array(joined, pa.string())


def _decimal(column: Column, avro: AvroType) -> pa.Array:
    found = column.source.type
    if not (pa.types.is_decimal(found) or pa.types.is_integer(found)):
        # PostgreSQL's lists of numerics arrive as text, whatever cast the query has.
        step = (
            "CAST(... AS DECIMAL(p, s)) in the SQL; for texts in a list, Decimal(text) of each in the transform"
            if pa.types.is_string(found) or pa.types.is_large_string(found)
            else "CAST(... AS DECIMAL(p, s)) in the SQL; a float has no exact decimal"
        )
        raise ColumnMismatchError(found, "decimals or ints", step)
    return _by_cast_or_cells(column, avro)


def _by_cast_or_cells(column: Column, avro: AvroType) -> pa.Array:
    """Cast the whole column if it is proved that every value fits. Otherwise convert value by
    value, to say which does not fit."""
    target = arrow_type(avro)
    converted = cast_exactly(column.array, target)
    if converted is not None:
        return converted
    nullable = avro if avro.nullable else _as_nullable(avro)
    exact, misfits = read_cells(exact_values(column.array), nullable)
    column.misfits.extend(misfits)
    return pa.array(exact, target)


def _as_nullable(avro: AvroType) -> AvroType:
    # Nulls were checked before this function: here they only pass through.
    return replace(avro, null_branch=0)


def _raw(array: pa.Array) -> pa.Array:
    """The integers of a temporal array, as int64; not copied if they have 64 bits."""
    return array.view(pa.int64()) if array.type.bit_width == 64 else array.view(pa.int32()).cast(pa.int64())


def _flag_infinite(column: Column, limit: int) -> None:
    """Warehouses return their 'infinity' as the largest integer, which is not a real instant."""
    extremes = pc.min_max(column.array).as_py()
    if extremes["max"] is not None and (extremes["max"] >= limit or extremes["min"] <= -limit):
        mask = pc.or_(pc.greater_equal(column.array, limit), pc.less_equal(column.array, -limit))
        column.flag(mask, Reason.INFINITE, "a finite date or timestamp; where no end is meant, null")


def _rescale(column: Column, per_second: int, target_per_second: int) -> None:
    """Convert `column.array`, int64 counts, from one unit to another, exactly; other values are flagged."""
    if target_per_second > per_second:
        factor = target_per_second // per_second
        _flag_beyond(column, _LONG_MAX // factor, f"a count of 1/{target_per_second} s that fits 64 bits")
        column.array = pc.multiply_checked(column.array, factor)
    elif target_per_second < per_second:
        factor = per_second // target_per_second
        units = pc.divide(column.array, factor)
        rest = pc.not_equal(pc.multiply(units, factor), column.array)
        if pc.any(rest).as_py():
            column.flag(
                rest, Reason.PRECISION_LOSS, f"no finer than 1/{target_per_second} s: cut it yourself"
            )
            units = pc.divide(column.array, factor)
        column.array = units


def _flag_beyond(column: Column, limit: int, detail: str) -> None:
    extremes = pc.min_max(column.array).as_py()
    if extremes["max"] is not None and (extremes["max"] > limit or extremes["min"] < -limit):
        mask = pc.or_(pc.greater(column.array, limit), pc.less(column.array, -limit))
        column.flag(mask, Reason.OUT_OF_RANGE, detail)


def _timestamp(column: Column, avro: AvroType) -> pa.Array:
    found = column.source.type
    local = str(avro.logical).startswith("local-")
    if not pa.types.is_timestamp(found):
        raise (
            ColumnMismatchError(found, "naive timestamps", "CAST(... AS TIMESTAMP) in the SQL")
            if local
            else ColumnMismatchError(
                found, "timestamps with a zone (instants)", "CAST(... AS TIMESTAMPTZ) in the SQL"
            )
        )
    if local and found.tz is not None:
        raise ColumnMismatchError(
            found, "naive timestamps", "choose the local time: .dt.tz_convert(zone).dt.tz_localize(None)"
        )
    if not local and found.tz is None:
        raise ColumnMismatchError(found, "timestamps with a zone (instants)", _NAIVE_ADVICE)
    column.array = _raw(column.array)
    _flag_infinite(column, _LONG_MAX)
    _rescale(column, UNITS_PER_SECOND[found.unit], UNITS_PER_SECOND[unit_of(str(avro.logical))])
    return column.array.view(arrow_type(avro))


def _time(column: Column, avro: AvroType) -> pa.Array:
    found = column.source.type
    if not pa.types.is_time(found):
        raise ColumnMismatchError(found, "times of day", "CAST(... AS TIME) in the SQL")
    per_second = UNITS_PER_SECOND[found.unit]
    column.array = counts = _raw(column.array)
    mask = pc.or_(pc.less(column.array, 0), pc.greater_equal(column.array, DAY_SECONDS * per_second))
    column.flag(mask, Reason.OUT_OF_RANGE, "a time from 00:00 to before 24:00")
    unit = unit_of(str(avro.logical))
    _rescale(column, per_second, UNITS_PER_SECOND[unit])
    if column.array is counts and found == arrow_type(avro):
        return column.source
    return (
        column.array.cast(pa.int32()).view(arrow_type(avro))
        if unit == "ms"
        else column.array.view(arrow_type(avro))
    )


def _date(column: Column, avro: AvroType) -> pa.Array:
    found = column.source.type
    if pa.types.is_timestamp(found) and found.tz is not None:
        raise ColumnMismatchError(
            found, "dates", "the date of an instant depends on the zone: .dt.tz_convert(zone).dt.date"
        )
    if not (pa.types.is_date(found) or pa.types.is_timestamp(found)):
        raise ColumnMismatchError(
            found, "dates, or naive timestamps at midnight", "CAST(... AS DATE) in the SQL"
        )
    if pa.types.is_date32(found):
        column.array = column.array.view(pa.int32())
        _flag_infinite(column, 2**31 - 1)
        return column.array.view(arrow_type(avro))
    per_day = DAY_SECONDS * (1000 if pa.types.is_date64(found) else UNITS_PER_SECOND[found.unit])
    column.array = _raw(column.array)
    _flag_infinite(column, _LONG_MAX)
    days = pc.divide(column.array, per_day)
    rest = pc.not_equal(pc.multiply(days, per_day), column.array)
    column.flag(
        rest, Reason.PRECISION_LOSS, "a date, or a naive timestamp at midnight: cut the time yourself"
    )
    column.array = pc.divide(column.array, per_day)
    _flag_beyond(column, 2**31 - 2, "a date whose count of days fits 32 bits")
    return column.array.cast(pa.int32()).view(arrow_type(avro))
