"""Symbols of an enum as their indexes in the schema."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.encoding.columns.leaves import Column
from pipelines.encoding.errors import EncodingError


def symbol_places(column: Column) -> npt.NDArray[np.int32]:
    """The index of each value among its enum's symbols; 0 under nulls. Raises
    `EncodingError` for an unknown symbol."""
    array = column.leaf
    places = pc.index_in(array, pa.array(column.node.avro.symbols, pa.string()))
    if places.null_count:
        unknown = places.is_null().to_numpy(zero_copy_only=False)
        if column.valid is not None:
            unknown &= column.valid
        if unknown.any():
            first = array[int(unknown.argmax())].as_py()
            raise EncodingError(
                column.node.path, f"symbol {first!r}", allowed=", ".join(column.node.avro.symbols)
            )
        places = places.fill_null(0)
    symbols: npt.NDArray[np.int32] = places.to_numpy()
    return symbols
