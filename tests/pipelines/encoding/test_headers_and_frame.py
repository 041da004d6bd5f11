"""Headers and the wire format's five bytes."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipelines.contract.temporal import WideTimestamp
from pipelines.encoding import (
    FrameError,
    cloudevents_headers,
    decode_body,
    decode_record,
    frame_header,
    publication_headers,
    split_frame,
)

SCHEMA = '{"type":"record","name":"R","fields":[{"name":"n","type":"long"}]}'


def test_cloudevents_in_binary_mode() -> None:
    headers = cloudevents_headers(
        event_id="7aa6d715-f3bc-8382-890e-a559ec6ad800",
        source="sluice/flights",
        type="flights.flight-departed.v1",
        time=datetime(2013, 1, 1, 6, 30, tzinfo=timezone(timedelta(hours=-5))),
        subject="UA-1545 é",
    )
    assert headers == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"7aa6d715-f3bc-8382-890e-a559ec6ad800"),
        ("ce_source", b"sluice/flights"),
        ("ce_type", b"flights.flight-departed.v1"),
        ("ce_time", b"2013-01-01T11:30:00Z"),
        ("ce_subject", "UA-1545 é".encode()),
        ("content-type", b"application/vnd.confluent.avro"),
    ]


def test_microseconds_stay_in_ce_time() -> None:
    time = datetime(2013, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    headers = dict(cloudevents_headers(event_id="x", source="s", type="t", time=time))
    assert headers["ce_time"] == b"2013-01-01T00:00:00.000001Z"
    assert "ce_subject" not in headers


def test_naive_ce_time_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        cloudevents_headers(event_id="x", source="s", type="t", time=datetime(2013, 1, 1))


def test_publication_headers() -> None:
    assert publication_headers(kind="replay", generation=3, reason="lost by Zürich") == [
        ("sluice_kind", b"replay"),
        ("sluice_generation", b"3"),
        ("sluice_reason", "lost by Zürich".encode()),
    ]
    assert len(publication_headers(kind="correction", generation=2)) == 2


def test_frame_is_zero_and_four_big_endian_bytes() -> None:
    assert frame_header(258) == b"\x00\x00\x00\x01\x02"
    assert frame_header(2**31 - 1) == b"\x00\x7f\xff\xff\xff"
    assert split_frame(frame_header(258) + b"body") == (258, b"body")


@pytest.mark.parametrize("value", [b"", b"\x00\x00\x00\x01", b"\x01\x00\x00\x00\x01x", b'{"json": 1}'])
def test_unframed_values_are_refused(value: bytes) -> None:
    with pytest.raises(FrameError, match="Confluent wire format"):
        split_frame(value)


def test_decode_looks_the_schema_up_by_id() -> None:
    asked: list[int] = []

    def schema_by_id(schema_id: int) -> str:
        asked.append(schema_id)
        return SCHEMA

    assert decode_record(frame_header(9) + b"\x54", schema_by_id) == {"n": 42}
    assert asked == [9]


@pytest.mark.parametrize(("body", "problem"), [(b"", "not such a record"), (b"\x54\x00", "1 of its 2 bytes")])
def test_decode_refuses_what_is_not_the_record(body: bytes, problem: str) -> None:
    with pytest.raises(FrameError, match=problem):
        decode_body(body, SCHEMA)


def test_times_beyond_python_decode_exactly() -> None:
    schema = SCHEMA.replace('"long"', '{"type":"long","logicalType":"timestamp-micros"}')
    body = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    assert decode_body(body, schema) == {"n": WideTimestamp(2**63 - 1, 1_000_000, zoned=True)}
