"""The ledger's record, and the table of decisions."""

import json
from dataclasses import replace

import pytest

from pipelines.publishing.decision import decide
from pipelines.publishing.entry import LedgerDamaged, LedgerEntry, ledger_key, read_entry

ENTRY = LedgerEntry(
    event="flights/departed",
    window="2013-01-01",
    topic="flights.departed.v1",
    generation=3,
    kind="backfill",
    status="published",
    snapshot="aaa",
    rows_total=10,
    rows_done=10,
    code_version="c",
    contract="f",
    schema_id=7,
    run_id="run-12345",
    written_at="2013-01-02T00:00:00.000+00:00",
    offsets={"0": (5, 9)},
)
HALF = replace(ENTRY, status="publishing", rows_done=4)


def test_a_record_reads_back_as_it_was_written() -> None:
    assert read_entry(ENTRY.key, ENTRY.to_json()) == ENTRY
    assert ENTRY.key == ledger_key("flights.departed.v1", "2013-01-01") == "flights.departed.v1|2013-01-01"
    assert read_entry("any", None) is None


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"later_field": 1},
        {"kind": "wiping"},
        {"offsets": {"0": "x"}},
        {"offsets": None},
        {"event": ...},
    ],
)
def test_a_record_that_is_not_understood_stops_the_run(change: dict[str, object]) -> None:
    raw = json.loads(ENTRY.to_json())
    raw |= {key: value for key, value in change.items() if value is not ...}
    for key in [key for key, value in change.items() if value is ...]:
        del raw[key]
    with pytest.raises(LedgerDamaged, match="cannot be read"):
        read_entry("k", json.dumps(raw).encode())


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b"null"])
def test_a_record_that_is_no_entry_stops_the_run(value: bytes) -> None:
    with pytest.raises(LedgerDamaged):
        read_entry("k", value)


@pytest.mark.parametrize(
    ("entry", "snapshot", "action", "generation"),
    [
        (None, "aaa", "backfill", 1),
        (ENTRY, "aaa", "nothing", 3),
        (ENTRY, "bbb", "correct", 4),
        (HALF, "aaa", "resume", 3),
        (HALF, "bbb", "correct", 4),
        (replace(HALF, kind="correction"), "aaa", "resume", 3),
        (replace(HALF, kind="correction"), "bbb", "finish", 3),
        # Nothing was committed of it, and yet rows of the former state are there.
        (replace(HALF, kind="correction", rows_done=0), "bbb", "finish", 3),
    ],
)
def test_every_case_has_one_action(
    entry: LedgerEntry | None, snapshot: str, action: str, generation: int
) -> None:
    found = decide(entry, snapshot)
    assert (found.action, found.generation) == (action, generation)
    assert found.because
