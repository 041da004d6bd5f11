"""A journal record: what is written is read, what a later version adds is kept, and damage is named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.journal.entry import (
    MOST_BYTES,
    JournalDamaged,
    JournalRecord,
    journal_record,
    read_record,
)
from pipelines.journal.kinds import (
    KINDS,
    Accepted,
    Checked,
    Details,
    FirstConsumption,
    Promoted,
    Registered,
    Retired,
    Revealed,
    Waived,
)
from resources.errors import SluiceError
from resources.kafka.topics.journal_topic import Entry
from resources.security.masking import Secret
from resources.security.secrets import learn

TOPIC = "flights.departed.v1"
AT = "2024-01-01T00:00:00.000+00:00"

_id = st.text(
    st.characters(exclude_characters="".join(map(chr, range(32))), exclude_categories=["Cs"]),
    min_size=1,
    max_size=60,
)
_hex = st.text("0123456789abcdef", min_size=8, max_size=64)
_ids = st.lists(_id, max_size=4).map(tuple)
_number = st.integers(0, 2**31 - 1)
DETAILS: st.SearchStrategy[Details] = st.one_of(
    st.builds(Checked, _hex, _hex),
    st.builds(Registered, _id, _number, _hex, _id),
    st.builds(Promoted, _id, _id, _id, _hex, _hex),
    st.builds(Accepted, _id, _ids, _ids, _number, st.none() | _id, st.none() | _id),
    st.builds(Waived, _id, st.none() | st.dates().map(str)),
    st.builds(Revealed, _id, _ids),
    st.builds(Retired, _id),
    st.builds(FirstConsumption, _id, _id, st.integers(0, 1000), _number, _number, st.none() | _id, _id),
)
_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_json: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=8,
)


def entry(value: bytes | None, key: str = TOPIC) -> Entry:
    return Entry(key, value, 3, 41)


def raw(**changes: Any) -> dict[str, Any]:
    made = journal_record(
        TOPIC, Registered("s", 7, "a" * 64, "register"), event="flights/departed", by="me", at=AT
    )
    return {name: value for name, value in {**made.as_json(), **changes}.items() if value is not ...}


def read(value: dict[str, Any]) -> JournalRecord:
    return read_record(entry(json.dumps(value).encode()))


@given(details=DETAILS, by=_words, reason=st.none() | _words)
def test_what_is_written_is_read(details: Details, by: str, reason: str | None) -> None:
    made = journal_record(TOPIC, details, event="flights/departed", by=by, reason=reason, at=AT)
    found = read_record(entry(made.to_json()))
    assert found == made and found.details == details
    assert (found.by, found.reason, found.at) == (by, reason, AT)


def test_every_kind_is_among_the_generated_ones() -> None:
    assert {kind.details for kind in KINDS.values()} == {
        Checked, Registered, Promoted, Accepted, Waived, Revealed, Retired, FirstConsumption,
    }  # fmt: skip


@given(
    more=st.dictionaries(_words.map(lambda name: f"x{name}"), _json, max_size=4),
    inner=st.dictionaries(_words.map(lambda name: f"y{name}"), _json, max_size=4),
)
def test_fields_of_a_later_version_survive(more: dict[str, Any], inner: dict[str, Any]) -> None:
    known = raw(v=9)
    found = read({**known, **more, "details": {**known["details"], **inner}})
    assert found.details == Registered("s", 7, "a" * 64, "register")
    shown = found.as_json()
    assert {**shown, "v": 9} == {**known, **more, "details": {**known["details"], **inner}}
    assert read(json.loads(found.to_json())) == found


@given(details=st.dictionaries(_words, _json, max_size=4))
def test_a_kind_of_a_later_version_is_kept_and_shown(details: dict[str, Any]) -> None:
    found = read(raw(kind="audited", details=details))
    assert found.details is None and found.kind == "audited"
    assert found.as_json()["details"] == details and json.loads(found.summary) == details


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id": "x"}, "id='x'"),
        ({"kind": 7}, "kind=7"),
        ({"topic": "a b"}, "topic='a b'"),
        ({"topic": "another.v1"}, "it is about 'another.v1'"),
        ({"at": "yesterday"}, "at='yesterday'"),
        ({"at": "2024-01-01T00:00:00"}, "zone"),
        ({"by": ...}, "by is missing"),
        ({"v": 0}, "v=0"),
        ({"v": True}, "v=True"),
        ({"reason": 3}, "reason=3"),
        ({"details": []}, "details="),
        ({"details": {"subject": "s"}}, "schema_id, contract, during is missing"),
        ({"details": {"subject": "s", "schema_id": -1, "contract": "a" * 64, "during": "d"}}, "schema_id=-1"),
    ],
)
def test_a_damaged_record_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(JournalDamaged) as error:
        read(raw(**changes))
    assert told in str(error.value) and "partition 3 offset 41" in error.value.where


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"v":1,"v":1}',
        b'{"more":NaN}',
        b'{"more":1e999}',
        b'{"more":' + b"9" * 5000 + b"}",
        b'{"more":' + b"[" * 100_000,
        json.dumps(raw(more=json.loads("[" * 60 + "]" * 60))).encode(),
        b"x" * (MOST_BYTES + 1),
        json.dumps(raw(by="x" * MOST_BYTES)).encode(),
    ],
)
def test_whatever_is_on_the_topic_is_no_stack_trace(value: bytes | None) -> None:
    with pytest.raises(JournalDamaged) as error:
        read_record(entry(value))
    assert len(str(error.value)) < 1_000


def test_a_milestone_written_again_has_the_same_id_and_a_decision_of_another_moment_has_not() -> None:
    def checked(version: str, at: str) -> str:
        return journal_record(TOPIC, Checked(version, "b" * 64), event="e", by="me", at=at).id

    def waived(at: str, by: str = "me") -> str:
        return journal_record(TOPIC, Waived("names"), event="e", by=by, reason="why", at=at).id

    later = "2024-01-02T00:00:00.000+00:00"
    assert checked("a" * 16, AT) == checked("a" * 16, later) != checked("b" * 16, AT)
    assert waived(AT) == waived(AT) and len({waived(AT), waived(later), waived(AT, "you")}) == 3


def test_a_topic_made_again_has_another_first_consumption() -> None:
    def first(topic_id: str | None, generation: str = "g", group: str = "x") -> str:
        details = FirstConsumption("billing", group, 0, 2, 1, topic_id, generation)
        return journal_record(TOPIC, details, event="e", by="sensor").id

    assert first("id1") == first("id1", generation="h") == first("id1", group="y") != first("id2")
    assert first(None) != first(None, generation="h")


def test_secrets_of_the_settings_are_in_no_record() -> None:
    learn([Secret("zebraball")])
    made = journal_record(TOPIC, Retired("topic"), event="e", by="me:zebraball", reason="it is zebraball")
    assert b"zebraball" not in made.to_json()


def test_what_no_reader_would_take_is_not_written() -> None:
    with pytest.raises(SluiceError, match="rule="):
        journal_record(TOPIC, Waived("two\nlines"), event="e", by="me")
    with pytest.raises(SluiceError, match="expires="):
        journal_record(TOPIC, Waived("names", "tomorrow"), event="e", by="me")
    with pytest.raises(SluiceError, match="reason"):
        journal_record(TOPIC, Retired("topic"), event="e", by="me", reason="x" * 200_000)


def test_half_a_character_of_a_terminal_can_be_written() -> None:
    made = journal_record(TOPIC, Retired("topic"), event="e", by="me\udcff", reason="why \ud800")
    assert read_record(entry(made.to_json())) == made


def test_half_a_character_in_a_later_version_s_field_can_be_shown() -> None:
    found = read(raw(more={"a\ud800": ["\udfff"]}, kind="audited", details={"x": "\ud800"}))
    found.to_json()
    found.summary.encode()
