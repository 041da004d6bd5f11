"""A long sort cut into several: rows of one stretch of an ordered column after those of another are sorted together.

What an external sort holds in memory grows with the parts that it merges, slowly, until it does not fit any more. So a
long one is done stretch by stretch, each from its own look at the table.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def bounds(sample: pa.Array, stretches: int) -> list[Any]:
    """Values, ascending, at which about `stretches` stretches of as many rows end, from a sample of the column."""
    values = sample.drop_null()
    if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
        # Python knows no nanoseconds, and where a stretch ends precisely does not matter.
        values = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    if not len(values):
        return []
    ordered = values.take(pc.sort_indices(values))
    at = [len(ordered) * n // stretches for n in range(1, stretches)]
    found = (_bindable(value) for value in ordered.take(pa.array(at, pa.int64())))
    return [end for end in dict.fromkeys(found) if end is not None]


def _bindable(value: Any) -> Any:
    """The Python value, None where there is none (infinity, a year after 9999): a neighbour ends the stretch then."""
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return None


def conditions(column: str, ends: Sequence[Any]) -> list[tuple[str, dict[str, Any]]]:
    """For each stretch, in their order, its condition and the parameters of that. Every row is in exactly one, and
    rows without a value are in the last, as in a sort."""
    if not ends:
        return [("TRUE", {})]
    found: list[tuple[str, dict[str, Any]]] = [(f"{column} < $sluice_end", {"sluice_end": ends[0]})]
    for first, end in pairwise(ends):
        within = f"{column} >= $sluice_first AND {column} < $sluice_end"
        found.append((within, {"sluice_first": first, "sluice_end": end}))
    found.append((f"{column} >= $sluice_first OR {column} IS NULL", {"sluice_first": ends[-1]}))
    return found
