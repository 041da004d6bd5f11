"""Records in columns, for a producer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Rows:
    """Records in columns; each row is a record. `keys` are binary, `values` are
    large_binary (null: a tombstone).

    `headers`: one list of pairs for each row, or None. `timestamps_ms`: int64 (0: the time of publishing), or
    None. Raises ValueError for columns of other types or of different lengths.
    """

    keys: pa.BinaryArray
    values: pa.LargeBinaryArray
    headers: Sequence[Headers] | None = None
    timestamps_ms: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        types = (self.keys.type, self.values.type)
        if types != (pa.binary(), pa.large_binary()):
            raise ValueError(f"keys and values are {types[0]} and {types[1]}, not binary and large_binary")
        stamps = self.timestamps_ms
        if stamps is not None and stamps.dtype != np.int64:
            raise ValueError(f"timestamps are {stamps.dtype}, not int64")
        columns = [column for column in (self.values, self.headers, stamps) if column is not None]
        lengths = [len(self.keys), *map(len, columns)]
        if len(set(lengths)) > 1:
            raise ValueError(f"columns of different lengths: {lengths}")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def total_bytes(self) -> int:
        """The bytes of all keys and values, before compression and without Kafka's own
        framing; headers are not counted."""
        return sum(int(pc.sum(pc.binary_length(column)).as_py() or 0) for column in (self.keys, self.values))

    @property
    def tombstones(self) -> int:
        """Rows without a value."""
        return int(self.values.null_count)

    def slice(self, first: int, length: int) -> "Rows":
        """`length` rows from row `first`, or fewer if there are fewer; nothing is copied."""
        end = first + length
        return Rows(
            self.keys.slice(first, length),
            self.values.slice(first, length),
            None if self.headers is None else self.headers[first:end],
            None if self.timestamps_ms is None else self.timestamps_ms[first:end],
        )
