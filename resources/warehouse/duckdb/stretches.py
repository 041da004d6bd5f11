"""Divides a long sort into several: the rows are cut into ranges of the first column of the order
("stretches"), and each range is sorted by its own query, one after the other.

The memory of an external sort grows slowly with the number of parts that it merges, until it does not fit any
more. So each range of a long sort is sorted separately.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def bounds(sample: pa.Array, stretches: int) -> list[Any]:
    """Ascending values that divide the column into about `stretches` ranges with equally
    many rows, from a sample of it."""
    values = sample.drop_null()
    if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
        # Python has no nanoseconds, and the exact end of a range does not matter.
        values = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    if not len(values):
        return []
    ordered = values.take(pc.sort_indices(values))
    at = [len(ordered) * n // stretches for n in range(1, stretches)]
    found = (_bindable(value) for value in ordered.take(pa.array(at, pa.int64())))
    return [end for end in dict.fromkeys(found) if end is not None]


def _bindable(value: Any) -> Any:
    """The Python value, or None if Python has none (infinity, a year after 9999). Such a value ends
    no range, so two ranges stay one."""
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return None


def conditions(column: str, ends: Sequence[Any]) -> list[tuple[str, dict[str, Any]]]:
    """For each range, in their order, its SQL condition and the parameters of the condition. Every row is in
    exactly one range. Rows without a value are in the last range, as in a sort."""
    if not ends:
        return [("TRUE", {})]
    found: list[tuple[str, dict[str, Any]]] = [(f"{column} < $sluice_end", {"sluice_end": ends[0]})]
    for first, end in pairwise(ends):
        within = f"{column} >= $sluice_first AND {column} < $sluice_end"
        found.append((within, {"sluice_first": first, "sluice_end": end}))
    found.append((f"{column} >= $sluice_first OR {column} IS NULL", {"sluice_first": ends[-1]}))
    return found
