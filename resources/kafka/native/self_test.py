"""Checks, without a broker, whether librdkafka reads and reports records in the
layout that this package uses.

Records are queued for a topic that was never looked up, and dropped again. Then they are compared with the
events that report their end. So the fields of the structures are checked in both directions.
"""

import ctypes
import logging
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException

from resources.kafka.batches.deliveries import Deliveries
from resources.kafka.batches.rows import Rows
from resources.kafka.connecting.logins import Login
from resources.kafka.native.library import PURGE_QUEUE, Library, NativeUnavailable, library
from resources.kafka.native.producer import NativeClient

_KEYS: list[bytes | None] = [b"not sent", b"key", b"", b"k" * 300, None]
_VALUES: list[bytes | None] = [b"not sent", b"value", None, b"", b"v" * 3000]
_HEADERS = [[], [("a", b"1"), ("bc", b"")], [("bc", b"\x00\xff")], []]
_STAMPS = np.array([0, 1, 2**40, 1_600_000_000_000], np.int64)  # queued; a failed record does not report it
_UNKNOWN_OFFSET = -1001


@cache
def native_library() -> Library:
    """The library, after the check. Raises NativeUnavailable, with the reason, if the
    library is not as expected."""
    loaded = library()
    seen = _Seen(loaded)
    try:
        try:
            seen.queue_and_drop()
        finally:
            seen.close()
    except (KafkaException, RuntimeError) as error:
        raise NativeUnavailable(f"a trial without a broker failed: {error}") from None
    pairs = list(zip(_KEYS[1:], _VALUES[1:], strict=True))
    expected: list[tuple[Any, ...]] = [(*pair, -1, 0, []) for pair in pairs]
    expected += [(*pair, -1, 0, headers) for pair, headers in zip(pairs, _HEADERS, strict=True)]
    expected.append((b"ledger", b"entry", 3, 1, []))
    if seen.records != expected:
        raise NativeUnavailable("librdkafka reports records otherwise than they were queued")
    return loaded


class _Seen(NativeClient):
    """A client that keeps what was reported for its records."""

    def __init__(self, loaded: Library) -> None:
        silent = logging.getLogger("sluice.kafka.check")
        silent.addHandler(logging.NullHandler())
        silent.propagate = False
        super().__init__(loaded, {"client.id": "sluice-check"}, Deliveries(), Login(), silent)
        self.records: list[tuple[Any, ...]] = []

    def queue_and_drop(self) -> None:
        """Queue all records, drop them, and wait for the events that report this."""
        plain = Rows(pa.array(_KEYS, pa.binary()).slice(1), pa.array(_VALUES, pa.large_binary()).slice(1))
        self.produce_rows("check", plain, lambda _: None)
        more = Rows(plain.keys, plain.values, _HEADERS, _STAMPS)
        self.produce_rows("check", more, lambda _: None)
        self.produce_uncounted("check", 3, b"ledger", b"entry")
        self._library.purge(self._client, PURGE_QUEUE)
        self.flush(5.0)

    def _delivered_one(self, record: np.void) -> None:
        address = record.__array_interface__["data"][0]
        if record["err"] != KafkaError._PURGE_QUEUE or record["offset"] != _UNKNOWN_OFFSET:
            raise RuntimeError(f"error {record['err']}, offset {record['offset']}")
        parts = [_bytes_at(record, name, size) for name, size in (("key", "key_len"), ("payload", "len"))]
        headers = _headers_of(self._library, address)
        self.records.append((*parts, int(record["partition"]), int(record["opaque"]), headers))


def _bytes_at(record: np.void, name: str, size: str) -> bytes | None:
    return ctypes.string_at(int(record[name]), int(record[size])) if record[name] else None


def _headers_of(loaded: Library, message: int) -> list[tuple[str, bytes]]:
    headers, found = ctypes.c_void_p(), list[tuple[str, bytes]]()
    name, value, size = ctypes.c_char_p(), ctypes.c_void_p(), ctypes.c_size_t()
    if loaded.message_headers(message, headers):
        return []
    while loaded.header_get_all(headers, len(found), name, value, size) == 0:
        found.append(((name.value or b"").decode(), ctypes.string_at(value, size.value)))
    return found
