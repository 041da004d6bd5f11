"""The content of a record as 128 bits, and of many records as one sum that does not depend on their order.

Two numbers of 64 bits are made of each record, by the same rule with another seed and another factor:

    mix(h, word)    h = (h xor word) * factor modulo 2^64, then h = h xor (h >> 32)
    content         mix in, of the key and then of the value, its length in bytes (of a tombstone's value 2^64 - 1) and
                    its bytes: words of eight, little-endian, the last one filled up with zeros and mixed in even where
                    nothing is left for it; at the end mix in zero twice
    long ones       of a key or value of more than 1,024 bytes, BLAKE2b of 16 bytes takes its place

Every step can be undone, so that records which differ in one word never have the same numbers. It is no protection
against somebody who makes records for that purpose.
"""

from ctypes import CDLL
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.encoding.assembly import byte_view
from pipelines.reconciling.columns import laid_out
from resources.compiled import library

Hashes = npt.NDArray[np.uint64]
"""Shape (2, records)."""

Numbers = npt.NDArray[np.uint64]

_SEEDS = (0x243F6A8885A308D3, 0x13198A2E03707344)
_FACTORS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))
_TOMBSTONE = np.uint64(2**64 - 1)
_LONG = 1024
# At a time: what is worked on stays in the processor's cache.
_ROWS = 8192

_MODULUS = 1 << 128


def content_hashes(keys: pa.Array, values: pa.Array) -> Hashes:
    """Both numbers of each record.

    `keys` and `values` are binary of either width; a null value is a tombstone, a null key the empty one.
    """
    compiled = library()
    return content_hashes_in_columns(keys, values) if compiled is None else _compiled(compiled, keys, values)


def content_hashes_in_columns(keys: pa.Array, values: pa.Array) -> Hashes:
    """The same by numpy."""
    found = np.empty((2, len(keys)), np.uint64)
    for at in range(0, len(keys), _ROWS):
        lanes = _Lanes(min(_ROWS, len(keys) - at))
        lanes.absorb(keys.slice(at, _ROWS).fill_null(b""))
        lanes.absorb(values.slice(at, _ROWS))
        found[:, at : at + _ROWS] = lanes.finished()
    return found


def _compiled(compiled: CDLL, keys: pa.Array, values: pa.Array) -> Hashes:
    found = np.empty((2, len(keys)), np.uint64)
    sides = [laid_out(column) for column in (keys, values)]
    places = [place for side in sides for place in side.places]
    if compiled.sluice_contents(len(keys), *places, *(half.ctypes.data for half in found)) < 0:
        return found
    return _compiled(compiled, _shortened(keys), _shortened(values))


class _Lanes:
    """The two numbers of some records, as they become."""

    def __init__(self, records: int) -> None:
        self._lanes = [np.full(records, seed, np.uint64) for seed in _SEEDS]
        self._spare = np.empty(records, np.uint64)

    def absorb(self, column: pa.Array) -> None:
        offsets, data = byte_view(_shortened(column.fill_null(b"")))
        lengths = np.diff(offsets)
        told = lengths.astype(np.uint64)
        if column.null_count:
            told[column.is_null().to_numpy(zero_copy_only=False)] = _TOMBSTONE
        self._mix(told)
        # Every word of the data, at every byte position: a view, so that one gather reads unaligned words.
        padded = np.concatenate([data[offsets[0] : offsets[-1]], np.zeros(8, np.uint8)])
        words = np.lib.stride_tricks.as_strided(padded[:8].view("<u8"), (len(padded) - 7,), (1,))
        at, whole = offsets[:-1] - offsets[0], lengths >> 3
        shortest = int(whole.min())
        for word in range(int(whole.max())):
            # Up to the shortest one's end all take part, and picking them out would cost more.
            if word < shortest:
                self._mix(words[at + 8 * word])
            else:
                rows = np.flatnonzero(whole > word)
                self._mix_some(words[at[rows] + 8 * word], rows)
        kept = (np.uint64(1) << ((lengths & 7) * 8).astype(np.uint64)) - np.uint64(1)
        self._mix(words[at + 8 * whole] & kept)

    def finished(self) -> list[Numbers]:
        for _ in range(2):
            self._mix(np.zeros_like(self._spare))
        return self._lanes

    def _mix(self, words: Numbers) -> None:
        for lane, factor in zip(self._lanes, _FACTORS, strict=True):
            lane ^= words
            lane *= factor
            np.right_shift(lane, 32, out=self._spare)
            lane ^= self._spare

    def _mix_some(self, words: Numbers, rows: npt.NDArray[np.intp]) -> None:
        for lane, factor in zip(self._lanes, _FACTORS, strict=True):
            some = lane[rows]
            some ^= words
            some *= factor
            some ^= some >> np.uint64(32)
            lane[rows] = some


def _shortened(column: pa.Array) -> pa.Array:
    """The column with BLAKE2b in the place of what is long: it would take one step for each eight of its bytes."""
    if (pc.max(pc.binary_length(column)).as_py() or 0) <= _LONG:
        return column
    short = [
        one if one is None or len(one) <= _LONG else blake2b(one, digest_size=16).digest()
        for one in column.to_pylist()
    ]
    return pa.array(short, column.type)


@dataclass
class Checksum:
    """Count and sum of content hashes modulo 2^128: equal for the same records in any order."""

    records: int = 0
    total: int = 0

    def add(self, hashes: Hashes) -> None:
        """Count these records too."""
        # Halves of 32 bits: their sums over any batch fit into 64.
        low, high = (hashes & 0xFFFFFFFF).sum(axis=1).tolist(), (hashes >> 32).sum(axis=1).tolist()
        first, second = (low[i] + (high[i] << 32) for i in (0, 1))
        self.records += hashes.shape[1]
        self.total = (self.total + (first << 64) + second) % _MODULUS

    @classmethod
    def of_sums(cls, records: int, first: int, second: int) -> "Checksum":
        """From the sums of both rows of hashes."""
        return cls(records, ((first << 64) + second) % _MODULUS)

    def __str__(self) -> str:
        return f"{self.total:032x}"
