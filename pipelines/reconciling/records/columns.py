"""A side of records, keys or values, as the compiled library reads it."""

from dataclasses import dataclass

import pyarrow as pa

from pipelines.encoding.columns.assembly import byte_view


@dataclass(frozen=True)
class Side:
    """Addresses of a binary column: offsets of 64 bits, data, validity or 0, and which bit of it is the first row's.
    Good for as long as `kept` is."""

    places: tuple[int, int, int, int]
    kept: tuple[object, ...]


def laid_out(column: pa.Array) -> Side:
    """A binary or large_binary column, of any slice."""
    offsets, data = byte_view(column)
    validity = column.buffers()[0] if column.null_count else None
    return Side(
        (offsets.ctypes.data, data.ctypes.data, validity.address if validity else 0, column.offset),
        (offsets, data, validity),
    )
