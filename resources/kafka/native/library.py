"""librdkafka itself: the copy that confluent-kafka brings, called through its public C interface.

Nothing private of confluent-kafka is used: its extension module only shows where the library is.
Once per process `native_library` tries out whether these declarations fit the library. If they do
not, records go the public way.
"""

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    c_char_p,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_uint64,
    c_void_p,
)
from functools import cache
from typing import Any

import confluent_kafka
import numpy as np
from confluent_kafka import KafkaError, KafkaException, cimpl

# From rdkafka.h; all of these are part of the stable interface.
PRODUCER, CONSUMER = 0, 1
PARTITION_UNASSIGNED = -1
MSG_F_COPY = 0x2
PURGE_QUEUE, PURGE_IN_FLIGHT = 0x1, 0x2
EVENT_DR, EVENT_LOG, EVENT_ERROR = 0x1, 0x4, 0x8
VTYPE_RKT, VTYPE_PARTITION, VTYPE_VALUE, VTYPE_KEY = 2, 3, 4, 5
VTYPE_OPAQUE, VTYPE_MSGFLAGS, VTYPE_TIMESTAMP, VTYPE_HEADER = 6, 7, 8, 9

# rd_kafka_message_t
MESSAGE = np.dtype(
    {
        "names": ["err", "rkt", "partition", "payload", "len", "key", "key_len", "offset", "opaque"],
        "formats": ["i4", "u8", "i4", "u8", "u8", "u8", "u8", "i8", "u8"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56, 64],
        "itemsize": 72,
    }
)
# rd_kafka_vu_t: one property of a record. `first` to `third` are the fields of its union for that property.
PROPERTY = np.dtype(
    {
        "names": ["vtype", "first", "second", "third"],
        "formats": ["i4", "u8", "u8", "u8"],
        "offsets": [0, 8, 16, 24],
        "itemsize": 72,
    }
)

# The callback for throttle times: client, broker name, broker id, milliseconds, the client's opaque.
THROTTLED = CFUNCTYPE(None, c_void_p, c_char_p, c_int32, c_int, c_void_p)

# rd_kafka_metadata_t: the broker that sent the answer, -1 for a bootstrap address.
METADATA = np.dtype({"names": ["orig_broker_id"], "formats": ["i4"], "offsets": [32], "itemsize": 48})

# name -> (result, arguments). The functions outside _WAITING keep the interpreter's lock (GIL): they do not
# wait and their work is short, so to release and take the lock would cost more than the work.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "version": (c_int, []),
    "version_str": (c_char_p, []),
    "conf_new": (c_void_p, []),
    "conf_destroy": (None, [c_void_p]),
    "conf_set": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
    "conf_set_throttle_cb": (None, [c_void_p, THROTTLED]),
    "conf_set_events": (None, [c_void_p, c_int]),
    "new": (c_void_p, [c_int, c_void_p, c_char_p, c_size_t]),
    "destroy": (None, [c_void_p]),
    "set_log_queue": (c_int, [c_void_p, c_void_p]),
    "queue_get_main": (c_void_p, [c_void_p]),
    "queue_get_consumer": (c_void_p, [c_void_p]),
    "queue_destroy": (None, [c_void_p]),
    "queue_poll": (c_void_p, [c_void_p, c_int]),
    "topic_new": (c_void_p, [c_void_p, c_char_p, c_void_p]),
    "topic_destroy": (None, [c_void_p]),
    "topic_name": (c_char_p, [c_void_p]),
    "produce_batch": (c_int, [c_void_p, c_int32, c_int, c_void_p, c_int]),
    "produceva": (c_void_p, [c_void_p, c_void_p, c_size_t]),
    "topic_partition_list_new": (c_void_p, [c_int]),
    "topic_partition_list_add": (c_void_p, [c_void_p, c_char_p, c_int32]),
    "topic_partition_list_set_offset": (c_int, [c_void_p, c_char_p, c_int32, c_int64]),
    "topic_partition_list_destroy": (None, [c_void_p]),
    "assign": (c_int, [c_void_p, c_void_p]),
    "incremental_unassign": (c_void_p, [c_void_p, c_void_p]),
    "consume_batch_queue": (c_ssize_t, [c_void_p, c_int, c_void_p, c_size_t]),
    "message_errstr": (c_char_p, [c_void_p]),
    "message_destroy": (None, [c_void_p]),
    "message_timestamp": (c_int64, [c_void_p, POINTER(c_int)]),
    "consumer_close": (c_int, [c_void_p]),
    "outq_len": (c_int, [c_void_p]),
    "flush": (c_int, [c_void_p, c_int]),
    "purge": (c_int, [c_void_p, c_int]),
    "event_type": (c_int, [c_void_p]),
    "event_error": (c_int, [c_void_p]),
    "event_error_string": (c_char_p, [c_void_p]),
    "event_message_count": (c_size_t, [c_void_p]),
    "event_message_array": (c_size_t, [c_void_p, c_void_p, c_size_t]),
    "event_log": (c_int, [c_void_p, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_int)]),
    "event_destroy": (None, [c_void_p]),
    "message_headers": (c_int, [c_void_p, POINTER(c_void_p)]),
    "header_get_all": (
        c_int,
        [c_void_p, c_size_t, POINTER(c_char_p), POINTER(c_void_p), POINTER(c_size_t)],
    ),
    "last_error": (c_int, []),
    "err2str": (c_char_p, [c_int]),
    "metadata": (c_int, [c_void_p, c_int, c_void_p, POINTER(c_void_p), c_int]),
    "metadata_destroy": (None, [c_void_p]),
    "fatal_error": (c_int, [c_void_p, c_char_p, c_size_t]),
    "error_code": (c_int, [c_void_p]),
    "error_string": (c_char_p, [c_void_p]),
    "error_is_fatal": (c_int, [c_void_p]),
    "error_is_retriable": (c_int, [c_void_p]),
    "error_txn_requires_abort": (c_int, [c_void_p]),
    "error_destroy": (None, [c_void_p]),
    "init_transactions": (c_void_p, [c_void_p, c_int]),
    "begin_transaction": (c_void_p, [c_void_p]),
    "commit_transaction": (c_void_p, [c_void_p, c_int]),
    "abort_transaction": (c_void_p, [c_void_p, c_int]),
}
_WAITING = {
    "new", "destroy", "queue_poll", "produce_batch", "flush", "purge", "event_destroy", "event_message_array",
    "init_transactions", "begin_transaction", "commit_transaction", "abort_transaction", "metadata",
    "assign", "incremental_unassign", "consume_batch_queue", "message_destroy",
    "consumer_close",
}  # fmt: skip


class NativeUnavailable(Exception):
    """The reason why records are produced or read the public way here."""


class Library:
    """The functions, named without their prefix `rd_kafka_`. Raises NativeUnavailable if one is missing."""

    def __init__(self) -> None:
        if ctypes.sizeof(c_void_p) != 8 or np.dtype(c_uint64).byteorder == ">":
            raise NativeUnavailable("records are laid out for 64-bit little-endian machines")
        try:
            # The handle of the extension module also finds the functions of the
            # libraries that it was linked with.
            waiting, quick = ctypes.CDLL(cimpl.__file__), ctypes.PyDLL(cimpl.__file__)
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(waiting if name in _WAITING else quick, f"rd_kafka_{name}")
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
        except (OSError, AttributeError) as missing:
            raise NativeUnavailable(f"librdkafka's functions cannot be reached: {missing}") from None
        found, told = self.version(), confluent_kafka.libversion()[1]
        if found != told:
            raise NativeUnavailable(f"found librdkafka {found:#x}, and confluent-kafka uses {told:#x}")
        if found >> 24 != 2:
            raise NativeUnavailable(f"librdkafka {found:#x} is not of the line 2")

    def __getattr__(self, name: str) -> Any:
        # Only for the type checker; the functions are attributes of the instance.
        raise AttributeError(name)

    def kafka_error(self, code: int) -> KafkaError:
        """The error for an error code."""
        return KafkaError(code, self.err2str(code).decode())

    def check(self, error: int | None) -> None:
        """Raise KafkaException for an rd_kafka_error_t and free it; do nothing for None."""
        if not error:
            return
        told = KafkaError(
            self.error_code(error),
            self.error_string(error).decode(errors="replace"),
            fatal=bool(self.error_is_fatal(error)),
            retriable=bool(self.error_is_retriable(error)),
            txn_requires_abort=bool(self.error_txn_requires_abort(error)),
        )
        self.error_destroy(error)
        raise KafkaException(told)


@cache
def library() -> Library:
    """The library; it is loaded once per process. Raises NativeUnavailable."""
    return Library()
