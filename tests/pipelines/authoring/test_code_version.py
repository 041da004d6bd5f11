"""The code version changes if rows could come out differently, and only then."""

import json

import pytest

from tests.pipelines.authoring.conftest import CONTRACT, Tree

HELPER = "def clean(rows):\n    return rows.dropna()\n"
IMPORT = {
    "import pandas as pd": "import pandas as pd\nfrom assets.flights._times import clean",
    "return rows": "return clean(rows)",
}


def version(tree: Tree, replace: dict[str, str] | None = None, **options: object) -> str:
    tree.event(replace=replace, **options)  # type: ignore[arg-type]
    return tree.load().find("flight_departed").code_version


WORKS = {"return rows": "return rows.dropna()"}


@pytest.mark.parametrize(
    "change",
    [
        {"A flight left its gate.": "A flight departed."},
        {"team:operations": "team:network"},
        {"flights.flight-departed.v1": "flights.flight-departed.v2"},
        {'daily("2013-01-01")': 'daily("2012-01-01", delay="6h")'},
        {
            "    return rows.dropna()": '    """Complete rows only."""\n    # why\n    return rows.dropna(\n    )'
        },
        {"SELECT flight_id,": "select flight_id  ,  -- the number\n        "},
    ],
    ids=str,
)
def test_what_changes_no_row(tree: Tree, change: dict[str, str]) -> None:
    before = version(tree, WORKS)
    assert version(tree, WORKS | change) == before


@pytest.mark.parametrize(
    "change",
    [
        {"rows.dropna()": "rows.dropna(how='all')"},
        {"FROM flights": "FROM flights_2013"},
        {"\n\n@event": "\n\nLIMIT = 5\n\n\n@event"},
        {'owner="team:operations",': 'owner="team:operations",\n    whole_window=True,'},
    ],
    ids=str,
)
def test_what_may_change_rows(tree: Tree, change: dict[str, str]) -> None:
    before = version(tree, WORKS)
    assert version(tree, WORKS | change) != before


def test_key_and_event_time_count(tree: Tree) -> None:
    extra = {
        "other": "string",
        "later_at": {"type": "long", "logicalType": "timestamp-micros"},
        "id": "string",
    }
    before = version(tree, WORKS, fields=extra)
    changed = [
        {'key="flight_id"': 'key="other"'},
        {'event_time="departed_at"': 'event_time="later_at"'},
        {'owner="team:operations",': 'owner="team:operations",\n    event_id="id",'},
    ]
    assert len({before, *(version(tree, WORKS | change, fields=extra) for change in changed)}) == 4


def test_the_contracts_shape_counts_and_its_words_do_not(tree: Tree) -> None:
    before = version(tree)
    assert version(tree, fields={"delay_minutes": ["null", "long"]}) != before
    tree.event()
    tree.write(
        "flights/flight_departed.avsc", json.dumps(CONTRACT, indent=3).replace("Minutes late", "Lateness")
    )
    assert tree.load().find("flight_departed").code_version == before


def test_helpers_count_at_any_depth(tree: Tree) -> None:
    tree.write("flights/_times.py", HELPER)
    before = version(tree, IMPORT)
    tree.write("flights/_times.py", HELPER.replace("dropna()", "dropna() # same"))
    assert version(tree, IMPORT) == before
    tree.write("flights/_times.py", "from . import _deep\n" + HELPER)
    tree.write("flights/_deep.py", "LIMIT = 1\n")
    nested = version(tree, IMPORT)
    tree.write("flights/_deep.py", "LIMIT = 2\n")
    assert len({before, nested, version(tree, IMPORT)}) == 3


def test_rows_that_go_through_untouched_have_no_code(tree: Tree) -> None:
    before = version(tree)
    assert version(tree, {"\n\n@event": "\n\nUNUSED = 5\n\n\n@event"}) == before


def test_the_version_is_the_same_on_every_machine(tree: Tree) -> None:
    """If these values change, the next run of every event has a new definition:
    this must never happen by accident."""
    assert version(tree) == "b4a17d0eb018f070"
    assert version(tree, WORKS) == "4463b7b1a74d12ac"
