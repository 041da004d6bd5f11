"""Every ledger record is checked when it is read:
it is an entry as Sluice writes them, or it is refused with its key."""

import json
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipelines.ledger import record_validation as record
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry, read_entry
from pipelines.ledger.history import following, generations
from resources.kafka.topics.ledger_topic import LedgerValue

SHA = "0123456789abcdef" * 4
OTHER = "f" * 64
ENTRY = LedgerEntry(
    event="flights/departed",
    window="2013-01-01",
    topic="flights.departed.v1",
    generation=2,
    kind="correction",
    status="published",
    snapshot=SHA,
    rows_total=975,
    rows_done=975,
    code_version=SHA[:16],
    contract=SHA,
    schema_id=7,
    run_id="8d6eab53-0000-4000-8000-000000000000",
    written_at="2013-01-02T00:00:00.000+00:00",
    base_snapshot=OTHER,
    base_rows=970,
    delta=SHA,
    reason="late rows",
    bytes_done=12_345,
    topic_id="AAAAAAAAAAEAAAAAAAAAAg",
    cluster_id="MkU3OEVBNTctOEUyRi00",
    store_id="8d6eab53-0000-4000-8000-000000000001",
    code_location="sluice",
    accepted=(
        {
            "what": "cluster",
            "was": "a",
            "now": None,
            "by": "me",
            "at": "2013-01-02T00:00:00+00:00",
            "reason": "moved",
        },
    ),
    offsets={"0": (5, 500), "11": (0, 600)},
    record_timestamp="event_time",
    event_time="happened_at",
)
FIRST = ENTRY.advanced(generation=1, kind="backfill", base_snapshot=None, base_rows=0, delta=None)
WHOLE = following(ENTRY, FIRST)


def value_of(**changes: Any) -> bytes:
    """The record of an entry with earlier generations, after these changes; `...` leaves a field out."""
    raw = json.loads(WHOLE.to_json()) | changes
    return json.dumps({name: value for name, value in raw.items() if value is not ...}).encode()


def earlier(**changes: Any) -> list[Any]:
    one = dict(json.loads(WHOLE.to_json())["earlier"][0]) | changes
    return [{name: value for name, value in one.items() if value is not ...}]


def test_a_record_of_all_fields_is_read_as_it_was_written() -> None:
    assert read_entry(WHOLE.key, WHOLE.to_json()) == read_entry(WHOLE.key, value_of())
    found = read_entry(WHOLE.key, WHOLE.to_json())
    assert found is not None
    assert found.to_json() == WHOLE.to_json()
    assert [one.generation for one in generations(found)] == [1, 2]


NUMBERS = (
    "generation",
    "rows_total",
    "rows_done",
    "schema_id",
    "base_rows",
    "stale",
    "bytes_done",
    "displaced",
)
HASHES = ("snapshot", "contract", "base_snapshot", "delta", "vanished")
REFUSED: list[dict[str, Any]] = [
    {"generation": 10**30},
    {"generation": 0},
    {"rows_done": 5},
    {"rows_total": 974},
    {"rows_done": 976},
    {"status": "publishing", "rows_done": 976},
    {"status": "done"},
    {"status": ["published"]},
    {"kind": "wiping"},
    {"kind": {}},
    {"kind": "backfill"},
    {"kind": "backfill", "base_snapshot": None, "vanished": OTHER},
    {"delta": None},
    {"record_timestamp": "log_append_time"},
    {"record_timestamp": 1},
    {"event_time": None},
    {"event_time": "happened at"},
    {"earlier": earlier(event_time=...)},
    {"offsets": {}},
    {"offsets": []},
    {"offsets": {"0": [7, 6]}},
    {"offsets": {"0": [-1, 6]}},
    {"offsets": {"0": [1, 2, 3]}},
    {"offsets": {"0": [1.0, 2]}},
    {"offsets": {"0": [True, 2]}},
    {"offsets": {"0": "12"}},
    {"offsets": {"-1": [1, 2]}},
    {"offsets": {"01": [1, 2]}},
    {"offsets": {"1e3": [1, 2]}},
    {"offsets": {"99999999": [1, 2]}},
    {"offsets": {"0": [0, 2**63]}},
    {"event": "departed"},
    {"event": "../../etc/passwd"},
    {"event": "flights/.."},
    {"event": "x" * 1_000_000},
    {"event": "flights/\ud800"},
    {"topic": "an other"},
    {"window": "../2013-01-01"},
    {"code_version": "v1"},
    {"run_id": ""},
    {"run_id": "r" * 1_000},
    {"written_at": "yesterday"},
    {"written_at": "2013-01-02T00:00:00"},
    {"written_at": 1356998400},
    {"reason": 7},
    {"reason": "r" * 1_000_000},
    {"v": 2},
    {"v": None},
    {"v": True},
    {"generation": 5},
    {"offsets": {"0": [4, 4]}},
    {"displaced": 300, "offsets": {"0": [0, 673]}},
    {"base_snapshot": None},
    {"earlier": earlier(offsets={"0": [0, 973]})},
    {"later_field": 1},
    {"displaced": 976},
    {"topic_id": 7},
    {"cluster_id": ""},
    {"store_id": "s" * 1_000},
    {"code_location": ["sluice"]},
    {"accepted": {}},
    {"accepted": [7]},
    {"accepted": [{}]},
    {"accepted": [dict(ENTRY.accepted[0]) | {"what": "everything"}]},
    {"accepted": [dict(ENTRY.accepted[0]) | {"at": "now"}]},
    {"accepted": [dict(ENTRY.accepted[0]) | {"more": 1}]},
    {"earlier": {}},
    {"earlier": [[]]},
    {"earlier": [None]},
    {"earlier": earlier() * 2},
    {"earlier": earlier(generation=2)},
    {"earlier": earlier(earlier=[])},
    {"earlier": earlier() * 100_000},
    {"earlier": earlier(rows_done=5)},
    {"earlier": earlier(offsets={"0": [7, 6]})},
    *({"earlier": earlier(**{name: ...})} for name in record.OF_GENERATION_REQUIRED),
    *({name: number} for name in NUMBERS for number in (-1, 1.5, 5.0, True, "5", [5], {}, 10**400, 2**63)),
    *({name: text} for name in HASHES for text in ("", "abc", SHA.upper(), SHA[:-1] + "g", SHA + "0", 7)),
    *({name: ...} for name in ("event", "window", "topic", "kind", "status", "snapshot", "offsets", "v")),
]


@pytest.mark.parametrize("changes", REFUSED, ids=lambda changes: json.dumps(changes, default=str)[:60])
def test_what_no_run_can_have_written_is_refused_with_its_key(changes: dict[str, Any]) -> None:
    with pytest.raises(LedgerDamaged) as refused:
        read_entry(WHOLE.key, value_of(**changes))
    assert WHOLE.key in refused.value.where
    assert len(str(refused.value)) < 700, "whatever the record holds, the error stays short"
    str(refused.value).encode()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff",
        WHOLE.to_json().decode().encode("utf-16"),
        WHOLE.to_json().replace(b"late rows", b"late \xff"),
        WHOLE.to_json().replace(b'"stale":0', b'"stale":NaN'),
        WHOLE.to_json().replace(b'"stale":0', b'"stale":-Infinity'),
        WHOLE.to_json().replace(b'"stale":0', b'"stale":0,"stale":0'),
        WHOLE.to_json().replace(b'"0":[5,500]', b'"0":[5,500],"0":[5,500]'),
        WHOLE.to_json().replace(b'"stale":0', b'"stale":' + b"9" * 5_000),
        WHOLE.to_json().replace(b'"stale":0', b'"stale":' + b"[" * 100_000 + b"]" * 100_000),
        b'{"v":' * 100_000,
        b" " * (record.MOST_BYTES + 1),
    ],
    ids=lambda value: value[:20].decode("latin-1"),
)
def test_what_is_no_entry_is_refused(value: bytes) -> None:
    with pytest.raises(LedgerDamaged):
        read_entry(WHOLE.key, value)


def test_a_record_without_the_newer_fields_is_read_and_written_as_before() -> None:
    """As earlier versions wrote it, and can read it."""
    newer = ("topic_id", "cluster_id", "store_id", "code_location", "accepted", "displaced")
    value = value_of(**dict.fromkeys(newer, ...))
    found = read_entry(WHOLE.key, value)
    assert found is not None and all(not getattr(found, name) for name in newer)
    assert json.loads(found.to_json()) == json.loads(value)


def test_a_record_under_another_key_is_refused() -> None:
    with pytest.raises(LedgerDamaged, match=r"it is about 'flights.departed.v1\|2013-01-01'"):
        read_entry("flights.departed.v1|2013-01-02", WHOLE.to_json())


def test_words_of_a_terminal_that_are_no_characters_do_not_make_a_record_unreadable() -> None:
    found = read_entry(WHOLE.key, WHOLE.advanced(reason="caf\udce9").to_json())
    assert found is not None and found.reason == "caf?"


def test_a_large_number_costs_no_memory() -> None:
    tracemalloc.start()
    with pytest.raises(LedgerDamaged):
        read_entry(WHOLE.key, value_of(generation=10**30))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
HEX64 = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
NAMES = st.text("abc_", min_size=1, max_size=12)
ROWS = st.integers(0, 2**50)
INSTANTS = st.datetimes(
    datetime(1980, 1, 1),
    datetime(2500, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
).map(lambda at: at.isoformat(timespec="milliseconds"))


@st.composite
def entries(draw: st.DrawFn, generation: int = 1, topic: str | None = None) -> LedgerEntry:
    """An entry as a run may write it."""
    kind = draw(st.sampled_from(get_args(record.Kind)))
    total = draw(ROWS)
    done = draw(st.just(total) | st.integers(0, total))
    displaced = draw(st.integers(0, done))
    spans = st.tuples(st.integers(0, 2**60), st.integers(done - displaced, 2**50)).map(
        lambda two: (two[0], sum(two))
    )
    offsets = st.dictionaries(st.integers(0, 5_000).map(str), spans, min_size=1, max_size=4)
    part = kind in ("correction", "redrive") or draw(st.booleans())
    base = None if kind == "backfill" else draw(st.none() | HEX64)
    return LedgerEntry(
        event=f"{draw(NAMES)}/{draw(NAMES)}",
        window="2013-01-01-05:00",
        topic=topic or draw(st.text("abc.-_0", min_size=1, max_size=20)),
        generation=generation,
        kind=kind,
        status="published" if done == total and draw(st.booleans()) else "publishing",
        snapshot=draw(HEX64),
        rows_total=total,
        rows_done=done,
        code_version=draw(HEX64)[:16],
        contract=draw(HEX64),
        schema_id=draw(st.integers(0, 2**31 - 1)),
        run_id=str(draw(st.uuids())),
        written_at=draw(INSTANTS),
        base_snapshot=base,
        base_rows=draw(ROWS) if base else 0,
        delta=draw(HEX64) if part else None,
        vanished=None if kind == "backfill" else draw(st.none() | HEX64),
        reason=draw(st.none() | TEXTS),
        requested_by=draw(st.none() | TEXTS),
        request=draw(st.none() | st.uuids().map(str)),
        selection=draw(st.none() | TEXTS),
        shadow_of=draw(st.none() | st.just("own.topic.v1")),
        stale=draw(ROWS),
        bytes_done=draw(ROWS),
        offsets=draw(offsets) if done else {},
        displaced=displaced,
        topic_id=draw(st.none() | st.just("AAAAAAAAAAEAAAAAAAAAAg")),
        cluster_id=draw(st.none() | st.just("c")),
        store_id=draw(st.none() | st.just("s")),
        code_location=draw(st.none() | TEXTS.filter(lambda text: bool(text) and text.isprintable())),
        accepted=draw(st.just(()) | st.just(ENTRY.accepted)),
        record_timestamp=(stamp := draw(st.sampled_from((None, "event_time", "publish_time")))),
        event_time=None if stamp is None else draw(st.sampled_from(("at", "_happened_2"))),
    )


@st.composite
def histories(draw: st.DrawFn) -> LedgerEntry:
    """An entry after up to three others of its window."""
    newest = draw(entries())
    for generation in range(2, draw(st.integers(1, 4)) + 1):
        newest = following(draw(entries(generation=generation, topic=newest.topic)), newest)
    return newest


@settings(deadline=None)
@given(histories())
def test_whatever_a_run_writes_is_read_back_the_same(entry: LedgerEntry) -> None:
    found = read_entry(entry.key, entry.to_json())
    assert found == entry
    assert generations(found) == generations(entry)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["published", SHA, "2013-01-01", "flights/departed", WHOLE.topic]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


HISTORY = following(WHOLE.advanced(generation=3), WHOLE)


@settings(deadline=None, max_examples=400, phases=[Phase.generate])
@given(
    entry=st.sampled_from([FIRST, WHOLE, HISTORY]),
    changes=st.dictionaries(st.sampled_from([*json.loads(WHOLE.to_json()), "other"]), JSON, max_size=4),
    inner=st.dictionaries(st.sampled_from([*record.OF_GENERATION, "other"]), JSON, max_size=2),
)
def test_any_change_of_a_record_gives_an_entry_or_is_refused(
    entry: LedgerEntry, changes: dict[str, Any], inner: dict[str, Any]
) -> None:
    raw = json.loads(entry.to_json()) | changes
    if inner and "earlier" not in changes and raw["earlier"]:
        raw["earlier"][-1] |= inner
    entry_or_refused(entry.key, json.dumps(raw).encode())


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200) | JSON.map(lambda made: json.dumps(made).encode()))
def test_any_bytes_give_an_entry_or_are_refused(value: bytes) -> None:
    entry_or_refused(WHOLE.key, value)


def entry_or_refused(key: str, value: bytes) -> None:
    try:
        found = read_entry(key, value)
    except LedgerDamaged as refused:
        assert len(str(refused)) < 1_000
        return
    assert found is not None and found.key == key
    assert len(generations(found)) == len(found.earlier) + 1
    assert not found.complete or found.rows_done == found.rows_total
    again = read_entry(key, found.to_json())
    assert again == found, "what was read is written and read again"


def test_an_error_says_where_the_record_is() -> None:
    value = LedgerValue(value_of(rows_done=5))
    value.kafka_partition, value.offset, value.misplaced = 11, 1234, False
    with pytest.raises(LedgerDamaged, match=r"rows_done=5 of rows_total=975 \(partition 11 offset 1,234\)"):
        read_entry(WHOLE.key, value)
    sound = LedgerValue(WHOLE.to_json())
    sound.kafka_partition, sound.offset, sound.misplaced = 11, 1234, True
    with pytest.raises(LedgerDamaged, match=r"not in the partition of its key.*next: remove it"):
        read_entry(WHOLE.key, sound)
