"""Byte strings in Arrow buffers: read them as numpy arrays, make them from numpy arrays,
concatenate them row by row."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Offsets = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


def byte_view(array: pa.Array) -> tuple[Offsets, Bytes]:
    """`(offsets of len + 1, data)` of a binary or string array, with 32- or 64-bit
    offsets; its slice is applied."""
    wide = pa.types.is_large_binary(array.type) or pa.types.is_large_string(array.type)
    _, offsets, data = array.buffers()
    if offsets is None or offsets.size == 0:
        return np.zeros(len(array) + 1, np.int64), np.empty(0, np.uint8)
    places = np.frombuffer(offsets, np.int64 if wide else np.int32)
    kept = places[array.offset : array.offset + len(array) + 1].astype(np.int64, copy=False)
    return kept, np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)


def binary_from(matrix: Bytes) -> pa.LargeBinaryArray:
    """The rows of a (rows, width) matrix as byte strings."""
    rows, width = matrix.shape
    return binary_of(np.arange(rows + 1, dtype=np.int64) * width, np.ascontiguousarray(matrix).ravel())


def binary_of(offsets: Offsets, data: Bytes) -> pa.LargeBinaryArray:
    """A large_binary array over these buffers, without a copy."""
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def join(pieces: Sequence[pa.Array | bytes]) -> pa.LargeBinaryArray:
    """In each row, the pieces one after the other; a `bytes` piece is the same in every row. At least
    one piece must be an array."""
    wide = [
        pa.scalar(piece, pa.large_binary()) if isinstance(piece, bytes) else piece.cast(pa.large_binary())
        for piece in pieces
    ]
    if len(wide) == 1:
        return wide[0]
    return pc.binary_join_element_wise(*wide, pa.scalar(b"", pa.large_binary()))
