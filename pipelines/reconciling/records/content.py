"""The content of a record as 128 bits, and of many records as one sum that does not depend on their order.

Two numbers of 64 bits are made of each record, by the same rule with another seed and another factor:

    mix(h, word)    h = (h xor word) * factor modulo 2^64, then h = h xor (h >> 32)
    content         for the key and then for the value, mix in its length in bytes (for a tombstone's value
                    2^64 - 1) and its bytes: words of eight, little-endian. The last word is filled up with
                    zeros; it is mixed in even if no bytes are left for it. At the end mix in zero twice.
    long ones       a key or value of more than 1,024 bytes is replaced by its BLAKE2b of 16 bytes

Every step can be undone, so records that differ in one word never have the same numbers. This is no
protection against somebody who makes such records on purpose.
"""

from ctypes import CDLL
from dataclasses import dataclass
from hashlib import blake2b
from struct import unpack

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.reconciling.records.columns import laid_out
from resources.c_library import library

Hashes = npt.NDArray[np.uint64]
"""Shape (2, records)."""

_SEEDS = (0x243F6A8885A308D3, 0x13198A2E03707344)
_FACTORS = (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93)
_64_BITS = _TOMBSTONE = 2**64 - 1
_LONG = 1024
# Rows at a time in plain Python, which makes an object of each value.
_ROWS = 4096

_MODULUS = 1 << 128


def content_hashes(keys: pa.Array, values: pa.Array) -> Hashes:
    """Both numbers of each record.

    `keys` and `values` are binary or large_binary; a null value is a tombstone, a null key counts as empty.
    """
    compiled = library()
    return plain_hashes(keys, values) if compiled is None else _compiled(compiled, keys, values)


def plain_hashes(keys: pa.Array, values: pa.Array) -> Hashes:
    """The same in plain Python, record by record: a hundred times as slow."""
    found = np.empty((2, len(keys)), np.uint64)
    for at in range(0, len(keys), _ROWS):
        records = zip(keys.slice(at, _ROWS).to_pylist(), values.slice(at, _ROWS).to_pylist(), strict=True)
        found[:, at : at + _ROWS] = np.array([plain_content(*record) for record in records], np.uint64).T
    return found


def plain_content(key: bytes | None, value: bytes | None) -> list[int]:
    """Both numbers of one record, in plain Python."""
    words: list[int] = []
    for part in (key or b"", value):
        if part is None:
            words += (_TOMBSTONE, 0)
            continue
        if len(part) > _LONG:
            part = _short(part)
        filled = part + bytes(8 - len(part) % 8)
        words += (len(part), *unpack(f"<{len(filled) // 8}Q", filled))
    words += (0, 0)
    found = []
    for number, factor in zip(_SEEDS, _FACTORS, strict=True):
        for word in words:
            number = (number ^ word) * factor & _64_BITS
            number ^= number >> 32
        found.append(number)
    return found


def with_numbers(hashes: Hashes, numbers: npt.NDArray[np.int64]) -> Hashes:
    """Both numbers of each record, with one more word mixed in."""
    mixed = hashes ^ numbers.view(np.uint64)
    mixed *= np.array(_FACTORS, np.uint64)[:, None]
    mixed ^= mixed >> np.uint64(32)
    return mixed


def _compiled(compiled: CDLL, keys: pa.Array, values: pa.Array) -> Hashes:
    found = np.empty((2, len(keys)), np.uint64)
    sides = [laid_out(column) for column in (keys, values)]
    places = [place for side in sides for place in side.places]
    if compiled.sluice_contents(len(keys), *places, *(half.ctypes.data for half in found)) < 0:
        return found
    return _compiled(compiled, _shortened(keys), _shortened(values))


def _shortened(column: pa.Array) -> pa.Array:
    """The column with BLAKE2b in place of long values:
    mixing them in would take one step for each eight bytes."""
    if (pc.max(pc.binary_length(column)).as_py() or 0) <= _LONG:
        return column
    short = [one if one is None or len(one) <= _LONG else _short(one) for one in column.to_pylist()]
    return pa.array(short, column.type)


def _short(part: bytes) -> bytes:
    return blake2b(part, digest_size=16).digest()


@dataclass
class Checksum:
    """Count and sum of content hashes modulo 2^128. It is the same for the same records in any order."""

    records: int = 0
    total: int = 0

    def add(self, hashes: Hashes) -> None:
        """Add these records."""
        # The hashes are split into halves of 32 bits, so that the sums over any batch fit into 64 bits.
        low, high = (hashes & 0xFFFFFFFF).sum(axis=1).tolist(), (hashes >> 32).sum(axis=1).tolist()
        first, second = (low[i] + (high[i] << 32) for i in (0, 1))
        self.records += hashes.shape[1]
        self.total = (self.total + (first << 64) + second) % _MODULUS

    @classmethod
    def of_sums(cls, records: int, first: int, second: int) -> "Checksum":
        """The checksum of `records` records, from the sums of both rows of hashes."""
        return cls(records, ((first << 64) + second) % _MODULUS)

    def __str__(self) -> str:
        return f"{self.total:032x}"
