"""Ledger and journal as one history: condensed, in time order, and nothing in it twice."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipelines.history.happening import Happening
from pipelines.history.history import History, history, part_of
from pipelines.journal.entry import JournalDamaged, JournalRecord, journal_record
from pipelines.journal.journal import EventJournal
from pipelines.journal.kinds import Accepted, Checked, Registered
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry
from pipelines.ledger.history import following

SHA = "0123456789abcdef" * 4
TOPIC = "happened.v1"
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def at(**later: float) -> str:
    return (BEGIN + timedelta(**later)).isoformat()


def window(number: int, written_at: str, **changes: Any) -> LedgerEntry:
    told: dict[str, Any] = {
        "event": "tests/happened", "window": f"{datetime(2013, 1, 1) + timedelta(days=number):%Y-%m-%d}",
        "topic": TOPIC, "generation": 1, "kind": "backfill", "status": "published", "snapshot": SHA, "rows_total": 10,
        "rows_done": 10, "code_version": SHA[:16], "contract": SHA, "schema_id": 1, "run_id": f"run-{number}",
        "written_at": written_at, "offsets": {"0": (number * 10, number * 10 + 9)},
    }  # fmt: skip
    return LedgerEntry(**{**told, **changes})


def next_of(entry: LedgerEntry, written_at: str, **changes: Any) -> LedgerEntry:
    fresh = window(0, written_at, **{"window": entry.window, "generation": entry.generation + 1, **changes})
    return following(fresh, entry)


def told(entries: Sequence[Any], *records: JournalRecord, **journal: Any) -> History:
    return history(TOPIC, entries, EventJournal(list(records), **journal))


def lines(found: History) -> list[tuple[str, int]]:
    return [(one.what, one.windows) for one in found.happenings]


def note(details: Any, when: str, **more: Any) -> JournalRecord:
    return journal_record(TOPIC, details, event="tests/happened", by="me", at=when, **more)


def test_a_backfill_of_a_year_is_one_line_however_many_runs_it_took() -> None:
    (one,) = told([window(n, at(minutes=n), requested_by="backfill x") for n in range(365)]).happenings
    assert (one.what, one.windows, one.first_window, one.last_window) == (
        "backfill",
        365,
        "2013-01-01",
        "2013-12-31",
    )
    assert one.at == BEGIN and one.until == BEGIN + timedelta(minutes=364)
    assert "3,650 events" in one.summary and "365 runs" in one.summary and one.by == "backfill x"


def test_a_schedule_of_every_day_is_one_line_and_a_later_backfill_another() -> None:
    scheduled = [window(n, at(days=n), requested_by="schedule daily") for n in range(30)]
    assert lines(told(scheduled)) == [("backfill", 30)]
    assert lines(told([*scheduled, window(90, at(days=90), requested_by="schedule daily")])) == [
        ("backfill", 30),
        ("backfill", 1),
    ]


def test_another_version_kind_or_reason_is_another_line_in_order_of_time() -> None:
    first = window(0, at(hours=0))
    second = window(1, at(hours=0), run_id="run-0")
    other = window(2, at(hours=1), code_version="f" * 16)
    replay = next_of(first, at(hours=2), kind="replay", reason="lost", requested_by="me", run_id="r2")
    redrive = next_of(second, at(hours=3), kind="redrive", delta=SHA, run_id="r3")
    found = told([redrive, other, replay])
    assert lines(found) == [("backfill", 2), ("backfill", 1), ("replay", 1), ("redrive", 1)]
    assert (found.happenings[2].reason, found.happenings[2].by) == ("lost", "me")
    assert "generation 2" in found.happenings[2].summary and found.happenings[3].reason is None


def test_the_reason_of_a_run_is_known_as_long_as_one_of_its_windows_has_it() -> None:
    both = [
        next_of(window(n, at()), at(hours=1), kind="replay", reason="lost", requested_by="me", run_id="r")
        for n in (0, 1)
    ]
    corrected = next_of(both[0], at(hours=2), kind="correction", delta=SHA, reason="late rows")
    found = [one for one in told([corrected, both[1]]).happenings if one.what == "replay"]
    assert [(one.windows, one.reason) for one in found] == [(2, "lost")]


def test_an_interrupted_window_is_told_apart() -> None:
    found = told([window(0, at()), window(1, at(), status="publishing", rows_done=4, run_id="run-0")])
    assert lines(found) == [("backfill", 1), ("backfill", 1)]
    assert any("4 of 10 events, interrupted" in one.summary for one in found.happenings)


def test_a_replay_to_another_topic_names_it() -> None:
    shadow = window(0, at(), kind="replay", topic="rehearsal", shadow_of=TOPIC, reason="try")
    (one,) = told([shadow]).happenings
    assert "to rehearsal" in one.summary


def test_milestones_stand_in_order_between_what_was_published() -> None:
    found = told(
        [window(0, at(hours=2))],
        note(Registered("s", 1, SHA, "publish"), at(hours=1)),
        note(Checked("a" * 16, SHA), at(hours=0)),
    )
    assert [one.what for one in found.happenings] == ["checked", "registered", "backfill"]


ACCEPTED = {"what": "store", "was": "a", "now": "b", "by": "me", "at": at(days=1), "reason": "moved"}


def test_an_acceptance_that_both_know_is_told_once() -> None:
    entries = [window(n, at(), accepted=(ACCEPTED,)) for n in range(3)]
    of_ledger = told(entries).happenings[-1]
    assert (of_ledger.source, of_ledger.what, of_ledger.windows) == ("ledger", "accepted", 3)
    of_both = told(
        entries,
        note(Accepted("store", ("a",), ("b",), 3, "2013-01-01", "2013-01-03"), at(days=1), reason="moved"),
    )
    assert lines(of_both) == [("backfill", 3), ("accepted", 3)]
    assert of_both.happenings[-1].source == "journal" and of_both.happenings[-1].summary == of_ledger.summary
    assert (of_ledger.by, of_ledger.reason) == (of_both.happenings[-1].by, of_both.happenings[-1].reason)


def test_what_cannot_be_read_is_counted_and_named() -> None:
    damaged = ("happened.v1|2013-01-09", LedgerDamaged("ledger record 'x'", "cannot be read"))
    found = told(
        [damaged, window(0, at())],
        damaged=30,
        errors=[JournalDamaged("journal record", "is odd")],
        left_out=4,
    )
    assert (found.damaged_ledger, found.damaged_journal, found.left_out) == (1, 30, 4)
    assert len(found.errors) == 2 and "ledger record" in found.errors[0]


def test_a_kind_of_a_later_version_is_a_line() -> None:
    odd = JournalRecord(
        "0" * 32, "audited", TOPIC, at(), "me", more={"details": {"what": "all"}, "what": "x"}
    )
    (one,) = told([], odd).happenings
    assert one.what == "audited" and '"what": "all"' in one.summary
    shown = one.as_json()
    assert shown["what"] == "audited" and shown["details"] == {"what": "all"}


def test_a_part_is_the_newest_and_says_how_much_is_left_out() -> None:
    whole = told([], *(note(Checked(f"{n:016x}", SHA), at(days=n)) for n in range(10)))
    assert len(part_of(whole, None, None).happenings) == 10
    newest = part_of(whole, None, 3)
    assert [one.at.day for one in newest.happenings] == [8, 9, 10] and newest.left_out == 7
    since = part_of(whole, BEGIN + timedelta(days=8), 5)
    assert len(since.happenings) == 2 and since.left_out == 8


def test_the_newest_are_those_that_ended_last_and_they_are_in_the_order_of_their_beginning() -> None:
    backfill = [window(n, at(days=n), requested_by="backfill x") for n in range(30)]
    whole = told(backfill, *(note(Checked(f"{n:016x}", SHA), at(days=n, hours=1)) for n in range(5)))
    assert [one.what for one in part_of(whole, None, 1).happenings] == ["backfill"]
    newest = part_of(whole, None, 3)
    assert [one.what for one in newest.happenings] == ["backfill", "checked", "checked"]
    assert newest.left_out == 3 and [one.at.day for one in newest.happenings] == [1, 4, 5]
    assert part_of(whole, None, 0).happenings == () and len(part_of(whole, None, 99).happenings) == 6


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),
            st.sampled_from(["backfill", "replay"]),
            st.integers(0, 100_000),
            st.integers(0, 3),
        ),
        unique_by=lambda one: one[0],
        max_size=40,
    )
)
def test_condensing_loses_no_window_and_keeps_the_order(made: list[tuple[int, str, int, int]]) -> None:
    entries = [
        window(number, at(minutes=minute), kind=kind, run_id=f"r{run}") for number, kind, minute, run in made
    ]
    found = told(entries).happenings
    assert sum(one.windows for one in found) == len(entries)
    assert sum(int(one.facts["events"]) for one in found) == 10 * len(entries)  # type: ignore[arg-type, misc]
    assert list(found) == sorted(found, key=lambda one: one.at)
    for one in found:
        assert (
            one.first_window
            and one.last_window
            and one.first_window <= one.last_window
            and one.at <= one.last
        )


def test_twenty_thousand_windows_are_kept_as_their_runs() -> None:
    import tracemalloc

    def many() -> Any:
        one = window(0, at())
        for n in range(20_000):
            yield one.advanced(window=f"w{n:06}", run_id=f"run {n % 5}")

    tracemalloc.start()
    try:
        found = told(many())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.happenings[0].windows == 20_000 and peak < 2_000_000
    assert isinstance(found.happenings[0], Happening)
