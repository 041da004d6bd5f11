"""The size of the largest record that the client accepts, before compression."""

from resources.settings import Settings

# Half of the client's queue. Also, a broker closes the connection for a request of 100
# MB (socket.request.max.bytes).
_LARGEST_COMPRESSED = 32 << 20
_DEFAULT = 1_000_000
LARGEST_SETTING = 1_000_000_000
"""librdkafka's highest message.max.bytes."""


def compresses(settings: Settings) -> bool:
    """Whether records are compressed."""
    return all(settings.kafka.get(name) != "none" for name in ("compression.type", "compression.codec"))


def largest_record(settings: Settings, max_message_bytes: int | None) -> int:
    """The size in bytes, before compression, of the largest record that the client accepts, for a topic that
    accepts `max_message_bytes` (None: not known). The user's message.max.bytes wins, if it is set.

    The client checks the size before compression; a topic's limit applies after compression. So if records
    are compressed, the client accepts at least 32 MB, and the brokers judge.
    """
    told = settings.kafka.get("message.max.bytes")
    if told is not None and told.isdecimal():
        return int(told)
    compressed = compresses(settings)
    limit = _DEFAULT if max_message_bytes is None else max(max_message_bytes, 1000)
    return min(max(limit, _LARGEST_COMPRESSED if compressed else 0), LARGEST_SETTING)
