"""The ledger's record, and the table of decisions."""

from dataclasses import replace

import pytest

from pipelines.ledger.entry import LedgerEntry, ledger_key, read_entry
from pipelines.publishing.next_generation.decision import decide

ENTRY = LedgerEntry(
    event="flights/departed",
    window="2013-01-01",
    topic="flights.departed.v1",
    generation=3,
    kind="backfill",
    status="published",
    snapshot="a" * 64,
    rows_total=10,
    rows_done=10,
    code_version="c" * 16,
    contract="f" * 64,
    schema_id=7,
    run_id="run-12345",
    written_at="2013-01-02T00:00:00.000+00:00",
    offsets={"0": (5, 14)},
)
HALF = replace(ENTRY, status="publishing", rows_done=4)


def test_a_record_reads_back_as_it_was_written() -> None:
    assert read_entry(ENTRY.key, ENTRY.to_json()) == ENTRY
    assert ENTRY.key == ledger_key("flights.departed.v1", "2013-01-01") == "flights.departed.v1|2013-01-01"
    assert read_entry("any", None) is None


@pytest.mark.parametrize(
    ("entry", "snapshot", "action", "generation"),
    [
        (None, "a" * 64, "backfill", 1),
        (ENTRY, "a" * 64, "nothing", 3),
        (ENTRY, "b" * 64, "correct", 4),
        (HALF, "a" * 64, "resume", 3),
        (HALF, "b" * 64, "correct", 4),
        (replace(HALF, kind="correction"), "a" * 64, "resume", 3),
        (replace(HALF, kind="correction"), "b" * 64, "finish", 3),
        # Nothing of it was committed, but rows of the former state are there.
        (replace(HALF, kind="correction", rows_done=0), "b" * 64, "finish", 3),
    ],
)
def test_every_case_has_one_action(
    entry: LedgerEntry | None, snapshot: str, action: str, generation: int
) -> None:
    found = decide(entry, snapshot)
    assert (found.action, found.generation) == (action, generation)
    assert found.because
