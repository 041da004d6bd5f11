"""The judge itself: it reports whatever is wrong on the topic or in the ledger."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.outsiders import Received
from tests.chaos.witness import Asked, judge

_BEGAN = datetime(2013, 1, 1, tzinfo=UTC)
_ROWS = [(f"0000-{n % 3}", _BEGAN + timedelta(minutes=n), n) for n in range(9)]
# Key 2 vanishes, one row of key 0 changes, one of key 1 comes late.
_THEN = [
    *(row for row in _ROWS if row[0] != "0000-2" and row[2] != 0),
    ("0000-0", _BEGAN, 100),
    ("0000-1", _BEGAN, 101),
]


def _record(row: Any, offset: int, generation: int = 1, *, key: str | None = None) -> Received:
    value = None if row is None else {"id": row[0], "happened_at": row[1], "amount": row[2]}
    headers = {} if generation == 1 else {"sluice_generation": str(generation).encode()}
    return Received(int((key or row[0])[-1]) % 2, offset, (key or row[0]).encode(), value, headers, 1)


def _topic() -> list[Received]:
    """A backfill and its correction as they should be; the offsets of markers are left out."""
    records = [_record(row, offset) for offset, row in enumerate(_ROWS)]
    records += [_record(_THEN[-2], 20, 2), _record(_THEN[-1], 20, 2), _record(None, 22, 2, key="0000-2")]
    return sorted(records, key=lambda record: (record.kafka_partition, record.offset))


def _entry() -> dict[str, Any]:
    first = {"generation": 1, "rows_done": 9, "offsets": {"0": [0, 8], "1": [1, 7]}}
    return {
        "status": "published", "generation": 2, "rows_done": 3, "rows_total": 3, "earlier": [first],
        "offsets": {"0": [20, 22], "1": [20, 20]},
    }  # fmt: skip


_ASKED = [Asked(_ROWS), Asked(_THEN)]


def test_what_is_as_it_should_be_has_no_problems() -> None:
    assert judge(_ASKED, _topic(), _entry()) == []


def _at(records: list[Received], offset: int, partition: int = 0) -> int:
    return next(n for n, r in enumerate(records) if (r.kafka_partition, r.offset) == (partition, offset))


def _twice(records: list[Received]) -> None:
    records.insert(_at(records, 2) + 1, replace(records[_at(records, 2)], offset=3))


def _lost(records: list[Received]) -> None:
    del records[_at(records, 1, 1)]


def _swapped(records: list[Received]) -> None:
    one, other = _at(records, 0), _at(records, 6)
    records[one], records[other] = (
        replace(records[other], offset=records[one].offset),
        replace(records[one], offset=records[other].offset),
    )


def _altered(records: list[Received]) -> None:
    place = _at(records, 2)
    records[place] = replace(records[place], value={**(records[place].value or {}), "amount": 7_777})


def _no_tombstone(records: list[Received]) -> None:
    del records[_at(records, 22)]


def _strange_tombstone(records: list[Received]) -> None:
    records.append(_record(None, 23, 2, key="0000-0"))


def _elsewhere(records: list[Received]) -> None:
    place = _at(records, 2)
    records[place] = replace(records[place], kafka_partition=2)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_twice, "2 times on the topic: 0000-2"),
        (_lost, "missing: 0000-1"),
        (_swapped, "out of order: 0000-0"),
        (_altered, "never asked for: 0000-2"),
        (_no_tombstone, "key 0000-2 vanished and has no tombstone"),
        (_strange_tombstone, "key 0000-0 has 1 tombstones, 0 are due"),
        (_elsewhere, "is in partitions [0, 2]"),
    ],
)
def test_it_notices(spoil: Callable[[list[Received]], None], said: str) -> None:
    records = _topic()
    spoil(records)
    assert any(said in problem for problem in judge(_ASKED, records, _entry()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "publishing"}, "the ledger says publishing"),
        ({"rows_done": 2}, "the ledger says published, 2 of 3"),
        ({"offsets": {"0": [20, 22]}}, "names offsets"),
        ({"generation": 3}, "does not know it"),
        ({"earlier": []}, "generation 1 is on the topic"),
    ],
)
def test_it_notices_in_the_ledger(change: dict[str, Any], said: str) -> None:
    assert any(said in problem for problem in judge(_ASKED, _topic(), _entry() | change))
    assert judge(_ASKED, _topic(), None) == ["the ledger does not know the window"]


def test_a_state_that_was_given_up_may_have_come_to_any_point() -> None:
    asked = [Asked(_ROWS, certain=False), Asked(_THEN)]
    assert judge(asked, _topic(), _entry()) == []
    without = [r for r in _topic() if r.value is None or r.value["amount"] != 2]
    assert any("ledger" in problem for problem in judge(asked, without, _entry()))
    assert not any("missing" in problem for problem in judge(asked, without, _entry()))
