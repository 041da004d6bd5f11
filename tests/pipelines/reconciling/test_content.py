"""The content hash is computed as its module says, for auditors who compute it themselves."""

from hashlib import blake2b
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.reconciling.records.content import Checksum, content_hashes, plain_hashes

Record = tuple[bytes | None, bytes | None]

_MODULUS = 2**64
_RULES = ((0x243F6A8885A308D3, 0x9E3779B97F4A7C15), (0x13198A2E03707344, 0xD6E8FEB86659FD93))


def plainly(record: Record) -> list[int]:
    """The hash of one record, computed literally by the definition."""
    found = []
    for seed, factor in _RULES:
        h = seed
        for part in (record[0] or b"", record[1]):
            if part is not None and len(part) > 1024:
                part = blake2b(part, digest_size=16).digest()
            words = [_MODULUS - 1 if part is None else len(part)]
            part = part or b""
            words += [int.from_bytes(part[i : i + 8], "little") for i in range(0, len(part) + 1, 8)]
            if len(part) % 8 == 0:
                assert words[-1] == 0
            for word in words:
                h = (h ^ word) * factor % _MODULUS
                h ^= h >> 32
        for _ in range(2):
            h = h * factor % _MODULUS
            h ^= h >> 32
        found.append(h)
    return found


def hashes(records: list[Record], kind: pa.DataType = pa.large_binary()) -> list[list[int]]:  # noqa: B008
    keys, values = (pa.array([record[i] for record in records], kind) for i in (0, 1))
    found = content_hashes(keys, values)
    assert np.array_equal(found, plain_hashes(keys, values))
    return found.T.tolist()


PART = st.one_of(
    st.none(), st.binary(max_size=30), st.sampled_from([b"", bytes(8), bytes(1024), bytes(1025)])
)


@settings(deadline=None)
@given(st.lists(st.tuples(PART, PART), max_size=40), st.integers(0, 12), st.integers(0, 40))
def test_the_compiled_library_and_plain_python_make_the_same_contents(
    records: list[Record], first: int, count: int
) -> None:
    for kind in (pa.binary(), pa.large_binary()):
        keys, values = (pa.array([r[i] for r in records], kind).slice(first, count) for i in (0, 1))
        made = content_hashes(keys, values)
        assert np.array_equal(made, plain_hashes(keys, values))
        assert made.T.tolist() == [plainly(record) for record in records[first : first + count]]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
def test_every_record_is_hashed_by_the_definition(kind: pa.DataType) -> None:
    random = Random(1)
    records: list[Record] = [
        (random.randbytes(random.randrange(20)), random.randbytes(random.randrange(90))) for _ in range(9_000)
    ]
    records[3:9] = [
        (b"k", None), (None, b"v"), (b"", b""), (b"k", b"12345678"), (b"k", bytes(1024)), (b"k", bytes(1025)),
    ]  # fmt: skip
    assert hashes(records, kind) == [plainly(record) for record in records]
    table = pa.table({"key": [key for key, _ in records], "value": [value for _, value in records]})
    part = table.slice(5, 100).to_batches()[0]
    assert content_hashes(*part.columns).T.tolist() == [plainly(record) for record in records[5:105]]
    assert hashes([]) == []


def test_similar_records_have_different_contents_and_sums() -> None:
    value = bytes(range(61))
    similar: list[Record] = [
        (b"key", value),
        (b"ke", b"y" + value),
        (b"key", None),
        (b"key", b""),
        (b"", None),
    ]
    similar += [(b"key", value + bytes(n)) for n in range(1, 9)]
    for bit in range(8 * len(value)):
        broken = bytearray(value)
        broken[bit // 8] ^= 1 << bit % 8
        similar.append((b"key", bytes(broken)))
    found = hashes(similar)
    assert len({first for first, _ in found}) == len({second for _, second in found}) == len(similar)


def test_what_two_records_exchange_changes_their_sum() -> None:
    """At every position: a plain sum of sums would not change."""
    one, other = bytes(range(61)), bytes(range(100, 161))
    sums = {checksum([(b"a", one), (b"b", other)])}
    for at in range(61):
        exchanged = [(b"a", one[:at] + other[at : at + 1] + one[at + 1 :])]
        exchanged += [(b"b", other[:at] + one[at : at + 1] + other[at + 1 :])]
        sums.add(checksum(exchanged))  # type: ignore[arg-type]
    assert len(sums) == 62
    assert checksum([(b"b", other), (b"a", one)]) in sums


def checksum(records: list[Record]) -> str:
    found = Checksum()
    keys, values = (pa.array([record[i] for record in records], pa.binary()) for i in (0, 1))
    found.add(content_hashes(keys, values))
    return str(found)
