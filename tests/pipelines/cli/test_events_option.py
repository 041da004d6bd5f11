"""What a user's text says about events: one name in any writing, and whether all that decides it is known."""

from collections.abc import Iterable
from typing import Any

import pytest

from pipelines.authoring.event import Event
from pipelines.cli.actions import history, ledger
from pipelines.cli.options.events import chosen, single_name
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry
from pipelines.ledger.listing import Ledger
from tests.pipelines.journal.test_first_consumption import window

WRITINGS = ["happened", '"happened"', "(happened)", ' ( ("happened") ) ']


@pytest.mark.parametrize("text", WRITINGS)
def test_a_name_in_quotes_or_parentheses_is_a_name(text: str) -> None:
    assert single_name(text) == "happened"


@pytest.mark.parametrize("text", ["happen*", "not happened", "owner:happened", "happened or happened"])
def test_a_selection_is_no_name(text: str) -> None:
    assert single_name(text) is None


@pytest.mark.parametrize("text", WRITINGS)
def test_ledger_entries_of_an_event_without_a_module_are_found_in_any_writing(text: str) -> None:
    entry: LedgerEntry = window("2013-01-01", {"0": (0, 9)})
    asked = ledger.Asked(None, text, None, everything=False, requested_by=None, reason="moved")
    assert ledger._chosen(asked, Ledger((entry,))) == [entry]


@pytest.mark.parametrize("text", WRITINGS)
def test_the_history_is_that_of_the_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    class Asked(Exception):
        pass

    def topic_of(name: str, *_: object) -> None:
        raise Asked(name)

    monkeypatch.setattr(history, "_topic_of", topic_of)
    monkeypatch.setattr(history, "Journal", lambda _settings: None)
    with pytest.raises(Asked, match=r"^happened$"):
        history.run(text, None, 50, as_json=False)


@pytest.mark.parametrize("damaged", [True, False])
def test_a_damaged_record_leaves_a_selection_by_state_in_doubt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], damaged: bool
) -> None:
    def states(events: Iterable[Event], _platform: object, _now: object, *, damaged: Any) -> Any:
        for error in errors:
            damaged(error)
        return {one.full_name: frozenset({"published"}) for one in events}

    errors = [LedgerDamaged("ledger record 'a|b'", "cannot be read")] if damaged else []
    monkeypatch.setattr("pipelines.ledger.event_states.event_states", states)
    found = chosen("state:published")
    assert found.events and found.whole == (not damaged)
    assert ("ledger record 'a|b'" in capsys.readouterr().err) == damaged
