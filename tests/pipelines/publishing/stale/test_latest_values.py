"""Which events are stale, according to the log: the rule itself, compared with a model in plain Python."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
from confluent_kafka import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.publishing.stale.latest_values import LatestValues, Row


@dataclass(frozen=True)
class Put:
    """A record; its value is its instant, None for a tombstone; `marked`: Sluice has published it again."""

    text: str
    instant: int | None
    stamp: int
    marked: bool = False
    place: int = 0

    def headers(self) -> list[tuple[str, bytes]] | None:
        return [("sluice_kind", b"correction")] if self.marked else None

    def key(self) -> bytes:
        return self.text.encode()

    def partition(self) -> int:
        return len(self.text) % 2

    def offset(self) -> int:
        return self.place

    def timestamp(self) -> tuple[int, int]:
        return (1, self.stamp)

    def value(self) -> bytes | None:
        return None if self.instant is None else str(self.instant).encode()


def instant_of(value: bytes | None, stamp: int) -> int:
    return stamp * 1000 if value is None else int(value)


KEYS = st.sampled_from(["a", "b", "cc", "dd"])
INSTANTS = st.integers(0, 9).map(lambda n: n * 1000)
PUTS = st.lists(st.builds(Put, KEYS, st.none() | INSTANTS, st.integers(0, 9), st.booleans()), max_size=12)
ROWS = st.lists(st.tuples(KEYS, INSTANTS), max_size=8)


def batch(rows: list[tuple[str, int]]) -> list[Row]:
    return [
        (pa.array([k.encode() for k, _ in rows], pa.binary()), pa.array([i for _, i in rows], pa.int64()))
    ]


@settings(deadline=None, max_examples=40)
@given(puts=PUTS, rows=ROWS, before=ROWS, after=ROWS, cut=st.integers(0, 12))
def test_an_event_is_stale_when_the_last_record_of_its_key_is_later_and_neither_gone_nor_sent_again(
    puts: list[Put],
    rows: list[tuple[str, int]],
    before: list[tuple[str, int]],
    after: list[tuple[str, int]],
    cut: int,
) -> None:
    placed = [Put(p.text, p.instant, p.stamp, p.marked, place) for place, p in enumerate(puts)]
    with LatestValues("64MB", instant_of) as standing:
        for part in (placed[:cut], placed[cut:]):
            standing.add(cast(Any, part))
        found = standing.stale(batch(rows), batch(before), batch(after)).to_pylist()

    last: dict[str, int] = defaultdict(lambda: -1)
    for put in placed:
        last[put.text] = instant_of(put.value(), put.stamp)
    expected = [
        number
        for number, (key, instant) in enumerate(rows)
        if last[key] > instant and (key, last[key]) not in ({*before} - {*after}) | {*rows}
    ]
    assert found == expected


def window_of(instant: int) -> int:
    return instant // 3000


@settings(deadline=None, max_examples=40)
@given(puts=PUTS, rows=ROWS)
def test_a_tombstone_of_ours_leaves_the_values_of_the_windows_that_it_is_not_of(
    puts: list[Put], rows: list[tuple[str, int]]
) -> None:
    placed = [Put(p.text, p.instant, p.stamp, p.marked, place) for place, p in enumerate(puts)]
    with LatestValues("64MB", instant_of) as standing:
        standing.add(cast(Any, placed))
        found = standing.stale(batch(rows), window_of=window_of).to_pylist()

    logs: dict[str, list[Put]] = defaultdict(list)
    for put in placed:
        logs[put.text].append(put)
    stand: dict[str, list[int]] = {}
    for key, log in logs.items():
        stand[key] = [instant_of(log[-1].value(), log[-1].stamp)]
        if log[-1].instant is None and log[-1].marked:
            values = [put.instant for put in log if put.instant is not None]
            stand[key] = [value for value in values if window_of(value) != window_of(values[-1])]
    expected = [
        number
        for number, (key, instant) in enumerate(rows)
        if any(one > instant and (key, one) not in {*rows} for one in stand.get(key, []))
    ]
    assert found == expected


def test_a_record_without_a_key_is_nobodys_state() -> None:
    class Keyless(Put):
        def key(self) -> Any:
            return None

    with LatestValues("64MB", instant_of) as standing:
        standing.add([cast(Message, Keyless("a", 9000, 9))])
        assert standing.stale(batch([("a", 1)])).to_pylist() == []
