"""When a consumer first read an event: by committed offsets and the offsets of the ledger."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.journal.consumption_watch import Memory
from pipelines.journal.entry import JournalRecord, journal_record
from pipelines.journal.first_consumption import FirstRecords, consumption, first_records, is_recorded
from pipelines.journal.kinds import FirstConsumption
from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.history import displaced, following
from resources.kafka.topics.watch import TopicNow

SHA = "0123456789abcdef" * 4
NOW = TopicNow("id-now", 3)
NO_IDS = TopicNow(None, 3)


def window(key: str, offsets: Mapping[str, tuple[int, int]], **changes: Any) -> LedgerEntry:
    rows = sum(last - first + 1 for first, last in offsets.values())
    told: dict[str, Any] = {
        "event": "tests/happened", "window": key, "topic": "happened.v1", "generation": 1, "kind": "backfill",
        "status": "published", "snapshot": SHA, "rows_total": rows, "rows_done": rows, "code_version": SHA[:16],
        "contract": SHA, "schema_id": 1, "run_id": f"run-{key}", "written_at": f"{key}T00:00:00+00:00",
        "offsets": offsets, "topic_id": "id-now",
    }  # fmt: skip
    return LedgerEntry(**{**told, **changes})


def firsts(
    *entries: LedgerEntry, now: TopicNow = NOW, ends: Mapping[int, int] | None = None
) -> dict[int, int]:
    found = first_records(entries, now, ends or {0: 100, 1: 100, 2: 100})
    return dict(found.offsets) if found else {}


def test_each_partition_begins_with_its_lowest_offset() -> None:
    early, late = window("2013-01-01", {"0": (10, 19)}), window("2013-01-02", {"0": (4, 9), "2": (7, 8)})
    assert firsts(early, late) == {0: 4, 2: 7}
    found = first_records([late, early], NOW, {})
    assert found and found.generation.startswith("2013-01-01 ") and found.written_at.startswith("2013-01-01")


def test_an_earlier_generation_counts_and_a_window_without_rows_does_not() -> None:
    before = window("2013-01-01", {"1": (3, 9)})
    again = window(
        "2013-01-01", {"1": (20, 26)}, generation=2, kind="replay", written_at="2013-02-01T00:00:00+00:00"
    )
    assert firsts(following(again, before)) == {1: 3}
    assert first_records([window("2013-01-03", {})], NOW, {}) is None


def test_offsets_of_a_topic_before_do_not_count() -> None:
    assert firsts(window("2013-01-01", {"0": (10, 19)}, topic_id="id-before")) == {}
    before = window("2013-01-01", {"0": (10, 19)})
    again = window(
        "2013-01-01", {"0": (0, 9)}, generation=2, kind="replay", written_at="2013-02-01T00:00:00+00:00"
    )
    assert firsts(following(again, displaced(before))) == {0: 0}


def test_without_ids_the_ends_say_that_the_topic_is_another_one() -> None:
    entry = window("2013-01-01", {"0": (10, 19)}, topic_id=None)
    assert firsts(entry, now=NO_IDS, ends={0: 20, 1: 0, 2: 0}) == {0: 10}
    assert firsts(entry, now=NO_IDS, ends={0: 19, 1: 0, 2: 0}) == {}
    assert firsts(entry, now=TopicNow(None, 0), ends={}) == {}


FIRST = FirstRecords({0: 10, 2: 0}, "g", "2013-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("committed", "partition"),
    [
        ({}, None),
        ({0: 9}, None),
        ({0: 10}, None),  # the next record to read is the first one: nothing was read
        ({1: 500}, None),  # in a partition without an event
        ({0: 11}, 0),
        ({0: 5, 2: 1}, 2),
        ({0: 10, 1: 7, 2: 0}, None),
    ],
)
def test_any_partition_whose_committed_offset_is_behind_the_first_record(
    committed: dict[int, int], partition: int | None
) -> None:
    found = consumption("billing", "g1", committed, FIRST, NOW)
    assert (found and found.kafka_partition) == partition
    if found:
        assert (found.committed, found.first) == (
            committed[found.kafka_partition],
            FIRST.offsets[found.kafka_partition],
        )
        assert (found.service, found.group, found.topic_id) == ("billing", "g1", "id-now")


def record(topic_id: str | None, at: str, service: str = "billing") -> JournalRecord:
    details = FirstConsumption(service, "g1", 0, 11, 10, topic_id, "g")
    return journal_record("happened.v1", details, event="tests/happened", by="sensor", at=at)


def test_what_is_recorded_stays_recorded_until_the_topic_is_made_again() -> None:
    known = [record("id-now", "2013-01-05T00:00:00+00:00")]
    assert is_recorded(known, "billing", NOW, None) and is_recorded(known, "billing", NOW, FIRST)
    assert not is_recorded(known, "tracking", NOW, FIRST)
    assert not is_recorded(known, "billing", TopicNow("id-next", 3), FIRST)
    # Without ids: a consumption from before everything on the topic belongs to an earlier topic of that name.
    later = FirstRecords({0: 0}, "h", "2013-02-01T00:00:00+00:00")
    unnamed = [record(None, "2013-01-05T00:00:00+00:00")]
    assert is_recorded(unnamed, "billing", NO_IDS, FIRST) and not is_recorded(
        unnamed, "billing", NO_IDS, later
    )
    assert not is_recorded(unnamed, "billing", NO_IDS, None)


@given(
    done=st.dictionaries(st.text(), st.text()),
    looked=st.dictionaries(st.text(), st.tuples(st.floats(0, 1e12), st.text())),
    group=st.text(),
)
def test_a_cursor_is_read_as_it_was_written(
    done: dict[str, str], looked: dict[str, tuple[float, str]], group: str
) -> None:
    memory = Memory(done, looked, group)
    assert Memory.from_json(memory.to_json()) == memory


@pytest.mark.parametrize("cursor", [None, "", "x", "[]", "{}", '{"done": 3}', '{"looked": {"a": 1}}', "null"])
def test_an_odd_cursor_is_none(cursor: str | None) -> None:
    assert Memory.from_json(cursor) == Memory()
