"""Converts source values to contract values in plain Python: the rules of `cells`, also for values that
were read from Arrow's buffers.

The result has the form of `pipelines.independent_judge.contract_form`.
"""

import datetime as dt
from collections.abc import Callable
from typing import cast

import pyarrow as pa

from pipelines.contract import AvroType
from pipelines.independent_judge.values import PlainValue
from pipelines.transform.conforming.cells import CellMisfitError, ExactValue, reader
from pipelines.transform.dead_letters import Reason
from pipelines.transform.value_rules import DAY_SECONDS, UNITS_PER_SECOND, unit_of

Convert = Callable[[object], PlainValue]
"""From a source value to the field's value. Each function is made for one Arrow type and gets only values of
that type, so the casts below (to lists, dicts and counts) are safe."""
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()


def of_arrow(kind: pa.DataType, avro: AvroType) -> Convert:
    """A function from a value of Arrow type `kind`, as the judge reads it, to the field's value.

    The function raises CellMisfitError for a value that the field cannot hold.
    """
    convert = _of_arrow(_storage(kind), avro)

    def nullable(value: object) -> PlainValue:
        if value is None:
            if avro.nullable:
                return None
            raise CellMisfitError(Reason.NULL, None, f"{avro}, not null")
        return convert(value)

    return nullable


def _storage(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return pa.bool_() if kind.extension_name == "arrow.bool8" else _storage(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _storage(kind.value_type)
    return kind


def _of_arrow(kind: pa.DataType, avro: AvroType) -> Convert:
    types = pa.types
    match avro.kind, avro.logical:
        case "array", _ if hasattr(kind, "value_type"):
            item = of_arrow(kind.value_type, avro.element)
            return cast(Convert, lambda values: [item(value) for value in values])
        case "map", _ if types.is_map(kind):
            item = of_arrow(kind.item_type, avro.element)
            text = of_arrow(kind.key_type, AvroType("string"))
            return cast(Convert, lambda pairs: {text(key): item(value) for key, value in pairs})
        case "record", _ if types.is_struct(kind) and all(
            kind.get_field_index(child.name) >= 0 for child in avro.fields
        ):
            children = [
                (child.name, of_arrow(kind.field(child.name).type, child.type)) for child in avro.fields
            ]
            return cast(Convert, lambda row: {name: convert(row[name]) for name, convert in children})
        case (("array" | "map" | "record"), _):
            return _never(kind, avro)
        case _, str(logical) if logical not in ("decimal", "uuid"):
            return _counts(kind, avro)
    return _never(kind, avro) if types.is_temporal(kind) else of_python(avro)


def _never(kind: pa.DataType, avro: AvroType) -> Convert:
    """For a column whose type cannot hold the field's values: the conformer accepts
    it only if it has no values."""

    def convert(value: object) -> PlainValue:
        raise CellMisfitError(Reason.WRONG_TYPE, value, f"{avro}, not {kind}")

    return convert


def _counts(kind: pa.DataType, avro: AvroType) -> Convert:
    """Converts temporal counts by integer arithmetic: `cells` uses Python's dates,
    which end at the year 9999."""
    day = avro.logical == "date"
    seconds = _seconds(kind)
    if seconds is None:
        return _never(kind, avro)
    per, divided_by = seconds
    target = 1 if day else UNITS_PER_SECOND[unit_of(str(avro.logical))]
    divisor = divided_by * (DAY_SECONDS if day else 1)

    def convert(count: int) -> int:
        units, rest = divmod(count * per * target, divisor)
        if rest:
            raise CellMisfitError(Reason.PRECISION_LOSS, count, str(avro))
        return units

    return cast(Convert, convert)


def _seconds(kind: pa.DataType) -> tuple[int, int] | None:
    """Two numbers for a type: count * first / second is in seconds. None if `kind` is no date or time."""
    if pa.types.is_date32(kind):
        return DAY_SECONDS, 1
    if pa.types.is_date64(kind):
        return 1, 1000
    if not (pa.types.is_timestamp(kind) or pa.types.is_time(kind)):
        return None
    return 1, UNITS_PER_SECOND[kind.unit]


def of_python(avro: AvroType) -> Convert:
    """The same as `of_arrow`, for a Python object, or a scalar of numpy or pandas."""
    read = reader(avro)
    return lambda value: _plain(read(value), avro)


def _plain(exact: ExactValue, avro: AvroType) -> PlainValue:
    if exact is None:
        return None
    # `exact` was read for this type, so its form is known.
    match avro.kind:
        case "array":
            return [_plain(value, avro.element) for value in cast("list[ExactValue]", exact)]
        case "map":
            return {
                key: _plain(value, avro.element) for key, value in cast("list[tuple[str, ExactValue]]", exact)
            }
        case "record":
            return {
                child.name: _plain(cast("dict[str, ExactValue]", exact)[child.name], child.type)
                for child in avro.fields
            }
    if isinstance(exact, dt.date):
        return exact.toordinal() - _EPOCH_DAY
    return cast(PlainValue, exact)  # scalars other than dates have the same form
