"""Kafka's murmur2, compared with the values of Kafka's own UtilsTest
and with a scalar copy of the Java code."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.kafka.batches.murmur2 import kafka_partitions, murmur2, plain_murmur2

# org.apache.kafka.common.utils.UtilsTest.testMurmur2
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def scalar_murmur2(data: bytes) -> int:
    """`Utils.murmur2`, line by line."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    for i in range(len(data) // 4):
        k = int.from_bytes(data[4 * i : 4 * i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[len(data) & ~3 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def plainly(keys: pa.BinaryArray) -> npt.NDArray[np.uint32]:
    """What is used without the compiled library."""
    return np.array([plain_murmur2(key) for key in keys.to_pylist()], np.uint32)


WAYS = pytest.mark.parametrize("way", [murmur2, plainly])


@WAYS
def test_values_of_the_java_test(way: Any) -> None:
    hashes = way(pa.array(list(JAVA), pa.binary())).view(np.int32)
    assert hashes.tolist() == list(JAVA.values())


@WAYS
@settings(deadline=None)
@given(keys=st.lists(st.binary(max_size=40)), start=st.integers(0, 3), count=st.integers(1, 1000))
def test_equals_the_java_on_slices(way: Any, keys: list[bytes], start: int, count: int) -> None:
    sliced = pa.array(keys, pa.binary()).slice(min(start, len(keys)))
    expected = [scalar_murmur2(key) for key in keys[start:]]
    assert way(sliced).tolist() == expected
    assert kafka_partitions(sliced, count).tolist() == [(h & 0x7FFFFFFF) % count for h in expected]


def test_null_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="1 keys are null"):
        murmur2(pa.array([b"a", None], pa.binary()))
