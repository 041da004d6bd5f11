"""The bytes of many places at once, gathered column by column and read out row by row.

A level is one nesting depth: the rows of a batch, or all items of an array field. Each value adds byte
columns (one byte per place, with a mask where some places have fewer bytes), and text adds Arrow buffers.
Neighbouring byte columns form one matrix whose masked read-out is row order; one Arrow kernel then
puts matrices and texts side by side. No Python object exists per row.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.encoding.assembly import Bytes, Offsets, binary_of, join
from pipelines.encoding.columns import Mask

_ByteColumn = tuple[int | Bytes, Mask | None]


class Level:
    """Collects what `length` places are made of, left to right; at least one place."""

    def __init__(self, length: int, prefix: bytes = b"") -> None:
        self._length = length
        self._pieces: list[pa.Array | bytes] = []
        self._pending: list[_ByteColumn] = [(byte, None) for byte in prefix]

    def constant(self, data: bytes, where: Mask | None) -> None:
        """The same bytes at every place, or at those where `where` is true."""
        self._pending += [(byte, where) for byte in data]

    def byte(self, values: Bytes, where: Mask | None) -> None:
        """One byte of its own at each place."""
        self._pending.append((values, where))

    def block(self, matrix: Bytes, where: Mask | None) -> None:
        """`matrix.shape[1]` bytes at each place."""
        self._pending += [(matrix[:, place], where) for place in range(matrix.shape[1])]

    def text(self, piece: pa.LargeBinaryArray) -> None:
        """A byte string at each place; empty where nothing is to be written, never null."""
        self._flush()
        self._pieces.append(piece)

    def finish(self) -> pa.LargeBinaryArray:
        """One byte string for each place."""
        self._flush()
        if all(isinstance(piece, bytes) for piece in self._pieces):
            self._pieces.append(binary_of(np.zeros(self._length + 1, np.int64), np.empty(0, np.uint8)))
        return join(self._pieces)

    def _flush(self) -> None:
        columns, self._pending = self._pending, []
        if not columns:
            return
        if all(isinstance(values, int) and where is None for values, where in columns):
            self._pieces.append(bytes(int(values) for values, _ in columns))
            return
        # Filled byte column by byte column (contiguous writes), then turned once.
        matrix = np.empty((len(columns), self._length), np.uint8)
        for place, (values, _) in enumerate(columns):
            matrix[place] = values
        turned = np.ascontiguousarray(matrix.T)
        if all(where is None for _, where in columns):
            offsets: Offsets = np.arange(self._length + 1, dtype=np.int64) * len(columns)
            self._pieces.append(binary_of(offsets, turned.ravel()))
            return
        masks = np.empty((len(columns), self._length), np.bool_)
        for place, (_, where) in enumerate(columns):
            masks[place] = True if where is None else where
        self._pieces.append(binary_of(_offsets(masks), turned[np.ascontiguousarray(masks.T)]))


def _offsets(masks: npt.NDArray[np.bool_]) -> Offsets:
    narrow = np.uint8 if len(masks) < 256 else np.int64
    offsets = np.zeros(masks.shape[1] + 1, np.int64)
    np.cumsum(np.add.reduce(masks.view(np.uint8), axis=0, dtype=narrow), out=offsets[1:])
    return offsets
