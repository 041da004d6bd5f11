"""Message headers: CloudEvents in binary mode, and the headers that Sluice adds to replays and corrections.

Source: CloudEvents 1.0.2, "Kafka Protocol Binding", binary content mode: attributes become `ce_` headers
in UTF-8, `datacontenttype` becomes `content-type`.
"""

from datetime import UTC, datetime

Headers = list[tuple[str, bytes]]

CONTENT_TYPE = "application/vnd.confluent.avro"
MARK = "sluice_kind"
"""The header of each record that Sluice publishes again, and of its tombstones."""


def cloudevents_headers(
    *,
    event_id: str,
    source: str,
    type: str,
    time: datetime | None = None,
    subject: str | None = None,
    data_schema: str | None = None,
) -> Headers:
    """The headers of one event. `time` is the event time and must have a time
    zone; `subject` is usually the key.

    The names and the order of attributes are fixed; attributes that are not given are left out.
    """
    attributes: list[tuple[str, str | None]] = [
        ("ce_specversion", "1.0"),
        ("ce_id", event_id),
        ("ce_source", source),
        ("ce_type", type),
        ("ce_time", None if time is None else _rfc3339(time)),
        ("ce_subject", subject),
        ("ce_dataschema", data_schema),
        ("content-type", CONTENT_TYPE),
    ]
    return [(name, value.encode()) for name, value in attributes if value is not None]


def publication_headers(*, kind: str, generation: int, reason: str | None = None) -> Headers:
    """The headers that mark an event as published again: `kind` (`replay`, `correction`), the window's
    generation, and the reason that a person gave."""
    headers = [(MARK, kind.encode()), ("sluice_generation", str(generation).encode())]
    return headers if reason is None else [*headers, ("sluice_reason", reason.encode())]


def _rfc3339(time: datetime) -> str:
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone")
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
