"""The time 24:00, which exists in warehouses but not in Python: as a Python value it would become 00:00."""

from collections.abc import Callable
from typing import cast

import numpy as np
import pyarrow as pa

from pipelines.independent_judge.values import PlainValue, UnreadableType, reader_of

_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}

ALLOWED = (
    "with a transform a time from 00:00 to before 24:00, because Python reads 24:00 as 00:00; write in the query "
    "CAST(... AS VARCHAR), or NULLIF(..., TIME '24:00')"
)

# Says whether a value, as `reader_of` reads it and not null, contains 24:00. Each function is made for one
# Arrow type and gets only values of that type, so the casts below are safe.
_Holds = Callable[[PlainValue], bool]


def end_of_day(batch: pa.RecordBatch) -> dict[int, str]:
    """The rows of `batch`, ascending, that contain 24:00 in a column, also in a nested value;
    with the first such column."""
    found: dict[int, str] = {}
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        holds = _holds(array.type)
        if holds is None or (pa.types.is_time(array.type) and not _may_hold(array)):
            continue
        try:
            value_of = reader_of(array)
        except UnreadableType:
            continue
        for row in range(len(array)):
            value = value_of(row)
            if value is not None and holds(value):
                found.setdefault(row, name)
    return dict(sorted(found.items()))


def _may_hold(array: pa.Array) -> bool:
    """False if no value of a column of times is 24:00. Under a null, the buffer may contain anything."""
    counts = np.frombuffer(array.buffers()[1] or b"", np.dtype(f"i{array.type.bit_width // 8}"))
    own = counts[array.offset : array.offset + len(array)]
    return bool((own >= _DAY[array.type.unit]).any())


def _holds(kind: pa.DataType) -> _Holds | None:
    """A function that says whether a value of this type, read by `reader_of`, contains
    24:00; None if no value can."""
    types = pa.types
    if types.is_time(kind):
        day = _DAY[kind.unit]
        return cast(_Holds, lambda value: value >= day)
    if types.is_struct(kind):
        children = [(child.name, holds) for child in kind if (holds := _holds(child.type))]
        return _any_of(children) if children else None
    if types.is_map(kind):
        key, item = _holds(kind.key_type), _holds(kind.item_type)
        if key is None and item is None:
            return None
        return cast(
            _Holds,
            lambda pairs: any(
                (key is not None and key(k)) or (item is not None and v is not None and item(v))
                for k, v in pairs
            ),
        )
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _holds(kind.value_type)
    if hasattr(kind, "value_type"):
        element = _holds(kind.value_type)
        return element and cast(
            _Holds, lambda values: any(one is not None and element(one) for one in values)
        )
    return None


def _any_of(children: list[tuple[str, _Holds]]) -> _Holds:
    return cast(
        _Holds,
        lambda value: any((one := value[name]) is not None and holds(one) for name, holds in children),
    )
