"""The deterministic id of an event: the same event, key and content give the same id, on every machine.

Defined to the byte, so that any language can compute it again:

1. Take the SHA-256 of these bytes, one after the other:
   - `sluice.event-id.v1` in ASCII (18 bytes), then one zero byte;
   - the topic's name in UTF-8, then one zero byte;
   - the number of bytes of the message key, as four big-endian bytes;
   - the message key;
   - the Avro body (without the five-byte frame) of the record *without the id field*: the encodings of the
     other fields of the contract, in its order. Maps are written in byte order of their keys, in one
     block; arrays in one block; decimals on `bytes` in the shortest two's complement.
2. Take the first 16 bytes of the digest. Set the high four bits of byte 6 to 1000 and the high two
   bits of byte 8 to 10: a UUID of version 8 (RFC 9562, section 5.8).
3. Write it as lower-case text, 8-4-4-4-12 digits.

The schema id is not included: registering the same contract elsewhere changes no id. If a contract gets a new
field, the body changes, and so does the id.

If the processor has instructions for SHA-256, one call of the compiled library computes the digests of a
batch (0.1 microseconds per row of 150 bytes). Otherwise a loop over `hashlib` does it (0.6). The
alternatives were all slower than that loop: DuckDB's `sha256` and its text back to bytes 0.8; one call of
libcrypto per row through ctypes 1.0; CPython's own `_sha256` 0.8; SHA-256 in numpy over all rows at once,
sorted by their number of blocks, 2.5.
"""

from hashlib import sha256
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.encoding.columns.assembly import Bytes, binary_from, byte_view, join
from resources.c_library import library

PREFIX = b"sluice.event-id.v1\x00"

# The positions of the 32 digits of 16 bytes in a UUID's text of 36 characters.
_DIGIT_PLACES = np.array([place for place in range(36) if place not in (8, 13, 18, 23)])
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def event_ids(topic: str, keys: pa.BinaryArray, front: pa.Array, back: pa.Array) -> Bytes:
    """The ids as 16 bytes each, with the shape (rows, 16). `front` and `back` are the bodies' parts before
    and after the id field, without a frame."""
    head = PREFIX + topic.encode() + b"\x00"
    digests = compiled_digests if can_hash() else plain_digests
    ids = digests(head, keys, front, back)[:, :16].copy()
    ids[:, 6] = ids[:, 6] & 0x0F | 0x80
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    return ids


def plain_digests(head: bytes, keys: pa.BinaryArray, front: pa.Array, back: pa.Array) -> Bytes:
    """The SHA-256 of each row, with the shape (rows, 32), by hashlib."""
    sizes = np.diff(byte_view(keys)[0]).astype(">u4").view(np.uint8).reshape(len(keys), 4)
    offsets, data = byte_view(join([head, binary_from(sizes), keys, front, back]))
    view, bounds = memoryview(data.data), offsets.tolist()
    digests = b"".join([sha256(view[a:b]).digest() for a, b in pairwise(bounds)])
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def can_hash() -> bool:
    """Whether `compiled_digests` can be used."""
    found = library()
    return found is not None and bool(found.sluice_can_hash())


def compiled_digests(head: bytes, keys: pa.BinaryArray, front: pa.Array, back: pa.Array) -> Bytes:
    """The same result as `plain_digests`, in one call."""
    found = library()
    assert found is not None
    digests = np.empty((len(keys), 32), np.uint8)
    columns = [byte_view(column) for column in (keys, front, back)]
    places = [part.ctypes.data for column in columns for part in column]
    found.sluice_event_digests(head, len(head), len(keys), *places, digests.ctypes.data)
    return digests


def id_text(ids: Bytes) -> pa.StringArray:
    """The canonical lower-case text of ids; `ids` has the shape (rows, 16)."""
    text = np.full((len(ids), 36), ord("-"), np.uint8)
    text[:, _DIGIT_PLACES[0::2]] = _DIGITS[ids >> 4]
    text[:, _DIGIT_PLACES[1::2]] = _DIGITS[ids & 15]
    return pc.cast(binary_from(text), pa.string())
