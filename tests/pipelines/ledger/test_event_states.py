"""The states of an event: from the entries of its topic, the notes of its runs, and the time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipelines import Event
from pipelines.ledger import event_states as states
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry
from pipelines.ledger.listing import Ledger
from pipelines.ledger.unfinished_windows import Unfinished
from pipelines.selection.expressions import State
from resources.platform import Platform
from tests.pipelines.authoring.conftest import Tree
from tests.pipelines.publishing.test_entry_and_decision import ENTRY

NAME, TOPIC = "flights/flight_departed", "flights.flight-departed.v1"
# Three windows of 2013 have ended, and for two of them the delay of six hours has passed.
NOW = datetime(2013, 1, 4, 5, tzinfo=UTC)


@pytest.fixture
def event(tree: Tree) -> Event:
    tree.event(replace={'daily("2013-01-01")': 'daily("2013-01-01", delay="6h")'})
    (found,) = tree.load()
    return found


def _entry(window: str, **more: Any) -> LedgerEntry:
    return replace(ENTRY, event=NAME, topic=TOPIC, window=window, **more)


def _states(
    event: Event,
    monkeypatch: pytest.MonkeyPatch,
    entries: Sequence[LedgerEntry] = (),
    *,
    notes: Sequence[Unfinished] = (),
    damaged: Sequence[str] = (),
    now: datetime = NOW,
) -> set[State]:
    told = tuple((f"{TOPIC}|{window}", LedgerDamaged(TOPIC, "damaged")) for window in damaged)
    monkeypatch.setattr(states, "read_ledger", lambda _: Ledger(tuple(entries), told))
    monkeypatch.setattr(states, "unfinished", lambda _store, _names: list(notes))
    heard: list[LedgerDamaged] = []
    platform = cast(Platform, SimpleNamespace(snapshots=None))
    found = states.event_states([event], platform, now, damaged=heard.append)
    assert len(heard) == len(damaged)
    return set(found[NAME])


WHOLE = [_entry("2013-01-01"), _entry("2013-01-02")]


def test_a_window_is_late_once_its_end_and_delay_have_passed(
    event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _states(event, monkeypatch, WHOLE) == {"published"}
    due = datetime(2013, 1, 4, 6, tzinfo=UTC)
    assert _states(event, monkeypatch, WHOLE, now=due) == {"published", "late"}
    assert _states(event, monkeypatch, [*WHOLE, _entry("2013-01-03")], now=due) == {"published"}


def test_nothing_is_late_before_the_first_window_is_due(
    event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _states(event, monkeypatch, now=datetime(2013, 1, 2, tzinfo=UTC)) == {"unpublished"}
    assert _states(event, monkeypatch) == {"unpublished", "late"}


def test_a_window_in_part_is_interrupted_and_late(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    half = _entry("2013-01-02", status="publishing", rows_done=4)
    assert _states(event, monkeypatch, [WHOLE[0], half]) == {"published", "interrupted", "late"}
    assert _states(event, monkeypatch, [half]) == {"unpublished", "interrupted", "late"}


def test_windows_that_do_not_count_do_not_hide_a_late_one(
    event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of an earlier start, an open window, those of a shadow topic, and of another event."""
    others = [
        _entry("2012-12-31"),
        _entry("2013-01-04"),
        replace(_entry("2013-01-02"), topic="flights.rehearsal", shadow_of=TOPIC),
        replace(_entry("2013-01-02"), topic="another.v1"),
    ]
    assert _states(event, monkeypatch, [WHOLE[0], *others]) == {"published", "late"}


def test_a_record_that_cannot_be_read_counts_as_not_published(
    event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _states(event, monkeypatch, WHOLE[:1], damaged=["2013-01-02"]) == {"published", "late"}


@pytest.mark.parametrize("state", ["blocked", "failed"])
def test_how_the_newest_run_of_a_window_ended(
    event: Event, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    note = Unfinished(NAME, "2013-01-02", cast(Any, state), "why", "run", "2013-01-03T00:00:00+00:00")
    assert _states(event, monkeypatch, WHOLE, notes=[note]) == {"published", state}
