"""The Kafka partition that Java producers choose for a key: Kafka's murmur2 over many keys at once.

Source: `org.apache.kafka.common.utils.Utils.murmur2` and `BuiltInPartitioner.partitionForKey`, which
librdkafka's `partitioner=murmur2_random` follows for keys that are not null.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from resources.c_library import library

_M = 0x5BD1E995
_SEED = 0x9747B28C
_32_BITS = 0xFFFFFFFF


def murmur2(keys: pa.BinaryArray) -> npt.NDArray[np.uint32]:
    """Kafka's 32-bit murmur2 of each key, as unsigned; Java's int has the same
    bits. Keys must not be null."""
    offsets, data = _buffers(keys)
    hashes = np.empty(len(keys), np.uint32)
    if (compiled := library()) is None:
        hashes[:] = [plain_murmur2(key) for key in keys.to_pylist()]
    else:
        compiled.sluice_murmur2(len(keys), offsets.ctypes.data, data.ctypes.data, hashes.ctypes.data)
    return hashes


def plain_murmur2(key: bytes) -> int:
    """The same hash of one key, in plain Python."""
    found = _SEED ^ len(key)
    whole = len(key) & ~3
    for place in range(0, whole, 4):
        word = int.from_bytes(key[place : place + 4], "little") * _M & _32_BITS
        found = found * _M & _32_BITS ^ (word ^ word >> 24) * _M & _32_BITS
    if whole < len(key):
        found = (found ^ int.from_bytes(key[whole:], "little")) * _M & _32_BITS
    found = (found ^ found >> 13) * _M & _32_BITS
    return found ^ found >> 15


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
