"""The content of a record as 128 bits, and of many records as one sum that does not depend on their order."""

from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.encoding.assembly import binary_from, byte_view, join

Hashes = npt.NDArray[np.uint64]
"""Shape (records, 2)."""

_MODULUS = 1 << 128


def content_hashes(keys: pa.Array, values: pa.Array) -> Hashes:
    """BLAKE2b of 16 bytes over: size of the key (four bytes), key, 1 and the value, or 0 for a tombstone.

    `keys` and `values` are binary of either width; a null value is a tombstone, a null key the empty one.
    """
    keys = keys.fill_null(b"")
    sizes = np.diff(byte_view(keys)[0]).astype(">u4").view(np.uint8).reshape(len(keys), 4)
    present = values.is_valid().to_numpy(zero_copy_only=False).astype(np.uint8).reshape(-1, 1)
    offsets, data = byte_view(join([binary_from(sizes), keys, binary_from(present), values.fill_null(b"")]))
    view = memoryview(data.data)
    digests = b"".join([blake2b(view[a:b], digest_size=16).digest() for a, b in pairwise(offsets.tolist())])
    return np.frombuffer(digests, ">u8").astype(np.uint64).reshape(-1, 2)


@dataclass
class Checksum:
    """Count and sum of content hashes modulo 2^128: equal for the same records in any order."""

    records: int = 0
    total: int = 0

    def add(self, hashes: Hashes) -> None:
        """Count these records too."""
        # Halves of 32 bits: their sums over any batch fit into 64.
        low, high = (hashes & 0xFFFFFFFF).sum(axis=0).tolist(), (hashes >> 32).sum(axis=0).tolist()
        first, second = (low[i] + (high[i] << 32) for i in (0, 1))
        self.records += len(hashes)
        self.total = (self.total + (first << 64) + second) % _MODULUS

    @classmethod
    def of_sums(cls, records: int, first: int, second: int) -> "Checksum":
        """From the sums of both columns of hashes."""
        return cls(records, ((first << 64) + second) % _MODULUS)

    def __str__(self) -> str:
        return f"{self.total:032x}"
