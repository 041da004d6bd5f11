"""The Kafka partition of each expected record: its key's hash modulo the number of partitions,
which may have grown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Enough records to find out how many kafka_partitions the topic had.
_PLACED = 2_000

Query = Callable[[str], list[tuple[int, ...]]]
"""Returns the rows of an SQL query whose columns are whole numbers."""


@dataclass(frozen=True)
class Sent:
    """The expected rows `[first, end)` of one generation, and the kafka_partitions that it reached."""

    first: int
    end: int
    kafka_partitions: frozenset[int]


def placement(query: Query, generations: Sequence[Sent], now: int) -> str:
    """SQL for the kafka_partition of a row of `expected`, from its `place` and `row`; `generations` oldest
    first.

    The topic has `now` kafka_partitions. For each generation, a number is used that fits the found records
    and the kafka_partitions that the ledger names. If no number fits, that of the next newer generation is
    used.
    """
    counts: list[tuple[int, int]] = []
    for sent in reversed(generations):
        now = _count(query, sent, now)
        counts.append((sent.end, now))
    cases = " ".join(f"WHEN row < {end} THEN place % {count}" for end, count in reversed(counts))
    return f"(CASE {cases} END)"


def _count(query: Query, sent: Sent, most: int) -> int:
    own = f"row >= {sent.first} AND row < {sent.end}"
    found = query(
        f"""SELECT DISTINCT e.place, f.kafka_partition FROM (SELECT * FROM expected WHERE {own} LIMIT {_PLACED}) e
        JOIN found f USING (h1, h2)"""
    )
    fits = [n for n in range(most, 0, -1) if all(place % n == p for place, p in found)]
    for n in fits:
        if {
            p for (p,) in query(f"SELECT DISTINCT place % {n} FROM expected WHERE {own}")
        } == sent.kafka_partitions:
            return n
    return fits[0] if fits else most
