"""A column of records, keys or values, in the form that the compiled library reads."""

from dataclasses import dataclass

import pyarrow as pa

from pipelines.encoding.columns.assembly import byte_view


@dataclass(frozen=True)
class Side:
    """Addresses of a binary column: the 64-bit offsets, the data, the validity bitmap (0 if there is none),
    and the bit of the first row in it. They are valid as long as `kept` exists."""

    places: tuple[int, int, int, int]
    kept: tuple[object, ...]


def laid_out(column: pa.Array) -> Side:
    """The addresses of a binary or large_binary column, which may be a slice."""
    offsets, data = byte_view(column)
    validity = column.buffers()[0] if column.null_count else None
    return Side(
        (offsets.ctypes.data, data.ctypes.data, validity.address if validity else 0, column.offset),
        (offsets, data, validity),
    )
