"""Where Java producers put a key: Kafka's murmur2 over many keys at once.

Source: `org.apache.kafka.common.utils.Utils.murmur2` and `BuiltInPartitioner.partitionForKey`, which
librdkafka's `partitioner=murmur2_random` follows for keys that are not null.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from resources.compiled import library

_M = np.uint32(0x5BD1E995)
_SEED = np.uint32(0x9747B28C)


def murmur2(keys: pa.BinaryArray) -> npt.NDArray[np.uint32]:
    """Kafka's 32-bit murmur2 of each key, as unsigned; Java's int is the same bits. Keys must not be null."""
    offsets, data = _buffers(keys)
    if (compiled := library()) is None:
        return murmur2_in_columns(offsets, data)
    hashes = np.empty(len(keys), np.uint32)
    compiled.sluice_murmur2(len(keys), offsets.ctypes.data, data.ctypes.data, hashes.ctypes.data)
    return hashes


def murmur2_in_columns(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """The same of the keys between `offsets` of `data`, by numpy."""
    starts = offsets[:-1]
    lengths = np.diff(offsets)
    # Every 4-byte word of the data, at every byte position: a view, so that one gather reads unaligned words.
    padded = np.concatenate([data, np.zeros(4, np.uint8)])
    words = np.lib.stride_tricks.as_strided(padded[:4].view("<u4"), (len(data) + 1,), (1,))
    hashes = _SEED ^ lengths.astype(np.uint32)
    blocks = lengths >> 2
    shortest = int(blocks.min()) if len(blocks) else 0
    for block in range(int(blocks.max(initial=0))):
        # Up to the shortest key's end all take part, and picking them out would cost more than the hash.
        rows = slice(None) if block < shortest else np.flatnonzero(blocks > block)
        word = words[starts[rows] + 4 * block]
        word *= _M
        word ^= word >> np.uint32(24)
        word *= _M
        hashes[rows] *= _M
        hashes[rows] ^= word
    tails = (lengths & 3).astype(np.uint32)
    if (rest := np.flatnonzero(tails)).size:
        kept = (np.uint32(1) << (np.uint32(8) * tails[rest])) - np.uint32(1)
        tail = words[starts[rest] + 4 * blocks[rest]] & kept
        hashes[rest] = (hashes[rest] ^ tail) * _M
    hashes ^= hashes >> np.uint32(13)
    hashes *= _M
    hashes ^= hashes >> np.uint32(15)
    return hashes


def kafka_partitions(keys: pa.BinaryArray, kafka_partition_count: int) -> npt.NDArray[np.int32]:
    """The Kafka partition of each key, as a Java producer would choose it."""
    positive = murmur2(keys)
    positive &= np.uint32(0x7FFFFFFF)
    positive %= np.uint32(kafka_partition_count)
    return positive.view(np.int32)


def _buffers(keys: pa.BinaryArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    if keys.null_count:
        raise ValueError(f"{keys.null_count} keys are null")
    keys = keys.cast(pa.large_binary())
    _, offsets, data = keys.buffers()
    if len(keys) == 0 or offsets is None:
        return np.zeros(1, np.int64), np.empty(0, np.uint8)
    places = np.frombuffer(offsets, np.int64)[keys.offset : keys.offset + len(keys) + 1]
    return places, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
