"""How the server sends a PostgreSQL column, how the column takes part in the
order, and what it becomes in Arrow.

The server's type of the column decides. The driver reads binary COPY and returns most types unchanged. This
module handles what the driver would change in silence: `infinity` (it becomes a date far in the past), arrays
with several dimensions or a first index other than 1 (the driver makes them flat and drops the index),
`money` and `oid` (they become plain integers), `numeric` (it becomes an opaque string). Nothing is rounded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resources.warehouse.errors import WarehouseError
from resources.warehouse.names import quoted, sql_name
from resources.warehouse.postgresql.types import ENUM, ServerType
from resources.warehouse.refusal import RefusedType

ALIAS = "source"

_NATIVE: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
_TEXTS = ("text", "varchar", "bpchar")
# Types whose text is the same in every session and contains the whole value.
_AS_TEXT = (
    "name",
    "char",
    "uuid",
    "json",
    "jsonb",
    "xml",
    "citext",
    "macaddr",
    "macaddr8",
    "refcursor",
    ENUM,
)
_MAX_PRECISION = 76
# What to write instead of a refused type, if that is not `x::text`.
_INSTEAD = {"money": "{}::numeric(19, 2)", "oid": "{}::bigint", "timetz": "{}::time", "inet": "host({})"}
_OTHER = {
    "interval": "EXTRACT(EPOCH FROM {}) for its seconds",
    "timetz": "{}::text to keep the offset",
    "inet": "{}::text to keep the netmask",
}

# Microseconds and days from 1970 back to 4713 BC, where PostgreSQL's own calendar begins.
_FIRST_MICROSECOND, _FIRST_DAY = -210_866_803_200_000_000, -2_440_588
# PostgreSQL counts from 2000; its infinities are the smallest and the largest integer. The driver adds the
# thirty years from 1970 to 2000, and the sum overflows.
_EPOCH_MICROSECONDS, _EPOCH_DAYS = 946_684_800_000_000, 10_957

Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class SourceColumn:
    """`expression` is what the server sends. `order` is the sort key of its rows (`order_first` if the column
    is in `order_by`). `convert` makes an array of `arrow_type` from the driver's array; it raises
    WarehouseError with the column's name if a value cannot be converted. `flag` is an SQL expression that
    must not be true for any row."""

    name: str
    arrow_type: pa.DataType
    expression: str
    order: tuple[str, ...]
    order_first: tuple[str, ...]
    convert: Convert
    flag: str | None = None


def source_column(field: pa.Field, kind: ServerType, where: str) -> SourceColumn | RefusedType:
    """The column for a field of the driver's schema; `kind` is the type that the server reports for it."""
    name, element = field.name, kind.element
    column = f"{ALIAS}.{quoted(name)}"
    place = f"{where}, column {name}"
    text = f'{column}::text COLLATE "C"'
    if kind.arrays == 1:
        return _array(field, kind, column, place) or _refused(name, kind)
    if kind.arrays or element is None:
        return _refused(name, kind)
    if element == "numeric":
        target = decimal_type(field)
        convert = _to_decimal(place, name, target) if target else _finite_text(place, name)
        return SourceColumn(name, target or pa.string(), text, (text,), (column, text), convert)
    if element in _TEXTS and field.type == pa.string():
        ordered = f'{column} COLLATE "C"'
        # When char(n) values are compared, blanks at the end do not count.
        tie = (f"octet_length({column})",) if element == "bpchar" else ()
        order = (ordered, *tie)
        return SourceColumn(name, pa.string(), ordered, order, order, _same)
    if element in _AS_TEXT:
        return SourceColumn(name, pa.string(), text, (text,), (text,), _same)
    if element in _NATIVE and field.type == _NATIVE[element]:
        zero = f"CASE WHEN {column} = 0 THEN {element}send({column}) END"
        # 0.0 and -0.0 are equal but have different bytes.
        order = (column, zero) if element in ("float4", "float8") else (column,)
        return SourceColumn(name, field.type, column, order, order, _native(place, field.type))
    return _refused(name, kind)


def _array(field: pa.Field, kind: ServerType, column: str, place: str) -> SourceColumn | None:
    """An array column as a list of its elements; None if the type of the elements is not supported."""
    element = kind.element
    # A list has no dimensions and no first index. An array without elements has neither, too.
    flag = f"(array_ndims({column}) > 1 OR array_lower({column}, 1) <> 1)"
    # For such an array the driver reports a lost connection, or makes it flat.
    sent = f"CASE WHEN {flag} THEN NULL ELSE {column} END"
    text = f'{column}::text COLLATE "C"'
    if element == "numeric" or element in _AS_TEXT:
        convert = _native_list(place, pa.list_(pa.string()))
        if element == "numeric":
            convert = _finite_texts(place, field.name, convert)
        expression = f"({sent})::text[]"
        return SourceColumn(field.name, pa.list_(pa.string()), expression, (text,), (text,), convert, flag)
    value = _NATIVE.get(str(element)) or (pa.string() if element in _TEXTS else None)
    if value is None or not pa.types.is_list(field.type) or field.type.value_type != value:
        return None
    arrow_type = pa.list_(value)
    convert = _native_list(place, arrow_type)
    return SourceColumn(field.name, arrow_type, sent, (text,), (text,), convert, flag)


def _refused(name: str, kind: ServerType) -> RefusedType:
    column = sql_name(name)
    if kind.arrays == 1:
        return RefusedType(name, kind.shown, f"{column}::text[]")
    element = "" if kind.arrays or kind.element is None else kind.element
    other = _OTHER.get(element)
    instead = _INSTEAD.get(element, "{}::text").format(column)
    return RefusedType(name, kind.shown, instead, other.format(column) if other else None)


def arrow_schema(columns: Sequence[SourceColumn]) -> pa.Schema:
    """The schema of the rows. Every column may be null, as far as a query shows."""
    return pa.schema([pa.field(column.name, column.arrow_type) for column in columns])


def decimal_type(field: pa.Field) -> pa.DataType | None:
    """The decimal128 or decimal256 that holds every value of a declared numeric(p, s). None if nothing is
    declared, or more than 76 digits are needed."""
    modifier = int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1"))
    if modifier < 4:
        return None
    # PostgreSQL, numeric.c: the precision is in the upper half, the scale in the
    # lower eleven bits, with a sign.
    precision = (modifier - 4 >> 16) & 0xFFFF
    scale = ((modifier - 4 & 0x7FF) ^ 1024) - 1024
    # numeric(3, 5) is at most 0.00999 and numeric(5, -2) at most 9999900. Avro and
    # Parquet need 0 <= scale <= precision.
    digits, scale = (precision - scale, 0) if scale < 0 else (max(precision, scale), scale)
    if digits > _MAX_PRECISION:
        return None
    return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)


def _same(array: Any) -> Any:
    return array


def _to_decimal(place: str, name: str, target: pa.DataType) -> Convert:
    def convert(array: Any) -> Any:
        try:
            return array.cast(target)
        except pa.ArrowInvalid:
            _refuse_special(array, place, name)
            raise WarehouseError(
                place,
                f"a value does not fit its declared {target}",
                next_step=f"cast it in the query: CAST(... AS numeric({target.precision}, {target.scale}))",
            ) from None

    return convert


def _finite_text(place: str, name: str) -> Convert:
    def convert(array: Any) -> Any:
        _refuse_special(array, place, name)
        return array

    return convert


def _finite_texts(place: str, name: str, inner: Convert) -> Convert:
    def convert(array: Any) -> Any:
        _refuse_special(array.flatten(), place, name, "::text[]")
        return inner(array)

    return convert


_SPECIAL = pa.array(["NaN", "Infinity", "-Infinity"])


def _refuse_special(array: Any, place: str, name: str, as_text: str = "::text") -> None:
    found = array.filter(pc.is_in(array, value_set=_SPECIAL))
    if len(found):
        column, value = sql_name(name), found[0].as_py()
        wanted = f"WHERE {column} IS DISTINCT FROM '{value}'"
        instead = f", make them null: NULLIF({column}, '{value}') AS {column}"
        if as_text.endswith("[]"):
            wanted, instead = f"WHERE array_position({column}, '{value}') IS NULL", ""
        raise WarehouseError(
            place,
            f"a numeric value is {value}, and no decimal is; so are at least {len(found):,} values of the window",
            next_step=f"leave such rows out in the query: {wanted}{instead}, or read the column as text: "
            f"{column}{as_text} AS {column}",
        )


def _native(place: str, arrow_type: pa.DataType) -> Convert:
    if pa.types.is_timestamp(arrow_type):
        return lambda array: _with_infinities(
            array, place, pa.int64(), _FIRST_MICROSECOND, _EPOCH_MICROSECONDS, arrow_type
        )
    if pa.types.is_date(arrow_type):
        return lambda array: _with_infinities(array, place, pa.int32(), _FIRST_DAY, _EPOCH_DAYS, arrow_type)
    return _same


def _with_infinities(
    array: Any, place: str, integer: pa.DataType, first: int, epoch: int, arrow_type: pa.DataType
) -> Any:
    """The infinities as the ends of the integer. There Sluice recognises them,
    and they become dead letters."""
    counts = array.view(integer)
    least = pc.min(counts).as_py()
    if least is None or least >= first:
        return array
    bits = integer.bit_width
    largest, whole = 2 ** (bits - 1) - 1, 2**bits
    for wrapped, extreme in ((largest + epoch - whole, largest), (-largest - 1 + epoch, -largest)):
        counts = pc.if_else(
            pc.equal(counts, pa.scalar(wrapped, integer)), pa.scalar(extreme, integer), counts
        )
    if pc.any(pc.and_(pc.less(counts, first), pc.greater(counts, -largest))).as_py():
        raise WarehouseError(
            place,
            "a date or timestamp lies after the year 294246, further than 64 bits of microseconds reach",
            next_step="leave such rows out in the query, or make them null",
        )
    return counts.view(arrow_type)


def _native_list(place: str, arrow_type: pa.DataType) -> Convert:
    inner = _native(place, arrow_type.value_type)

    def convert(array: Any) -> Any:
        values = inner(array.values)
        if values is array.values and array.type == arrow_type:
            return array
        return pa.ListArray.from_buffers(
            arrow_type, len(array), array.buffers()[:2], array.null_count, array.offset, [values]
        )

    return convert
