"""How every native client is opened: properties as text, errors as KafkaException,
log lines to Python's logging."""

import ctypes
import logging
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException

from resources.kafka.connecting.throttle import Throttle
from resources.kafka.native.library import EVENT_LOG, THROTTLED, Library

# From syslog's levels to Python's.
_LEVELS = [logging.CRITICAL] * 3 + [logging.ERROR, logging.WARNING, logging.INFO, logging.INFO, logging.DEBUG]


def opened(
    library: Library, kind: int, config: Mapping[str, str], throttle: Throttle, events: int = 0
) -> tuple[int, object]:
    """Create a client of this kind.

    Its main queue gets these events and the client's log lines; `throttle` gets throttle times
    while that queue is polled. Returns the client, and an object that must live as long as the
    client. Raises KafkaException.
    """
    text = ctypes.create_string_buffer(512)
    properties = library.conf_new()
    for name, value in {**config, "log.queue": "true"}.items():
        if library.conf_set(properties, name.encode(), value.encode(), text, len(text)):
            library.conf_destroy(properties)
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG, text.value.decode(errors="replace")))
    library.conf_set_events(properties, events | EVENT_LOG)
    heard = THROTTLED(lambda _client, _broker, _id, milliseconds, _opaque: throttle.hold(milliseconds))
    library.conf_set_throttle_cb(properties, heard)
    client: int | None = library.new(kind, properties, text, len(text))
    if not client:
        library.conf_destroy(properties)
        raise KafkaException(KafkaError(KafkaError._INVALID_ARG, text.value.decode(errors="replace")))
    library.set_log_queue(client, None)
    return client, heard


def say(library: Library, event: int, log: logging.Logger) -> None:
    """Pass on a line of librdkafka's log to Python's."""
    facility, text, level = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int()
    library.event_log(event, facility, text, level)
    told = [(part.value or b"").decode(errors="replace") for part in (facility, text)]
    log.log(_LEVELS[min(max(level.value, 0), 7)], "%s %s", *told)
