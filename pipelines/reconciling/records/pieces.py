"""Where in the log a window's generations are: pieces of offsets that do not overlap, in the order of the log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.ledger.entry import LedgerEntry

Bounds = Mapping[int, tuple[int, int]]
"""Of each kafka_partition the first offset and the end, exclusive."""


@dataclass(frozen=True)
class Piece:
    """Offsets `[first, end)` of a kafka_partition, in which records of one generation are."""

    generation: int
    kafka_partition: int
    first: int
    end: int

    def kept(self, bounds: Bounds) -> "Piece":
        """What is left of it where the log holds `bounds`."""
        low, high = bounds[self.kafka_partition]
        first = max(self.first, low)
        return replace(self, first=first, end=max(first, min(self.end, high)))

    def deleted(self, bounds: Bounds) -> int:
        """How many of its offsets lie before the log's first."""
        return max(0, min(bounds[self.kafka_partition][0], self.end) - self.first)


def pieces_of(generations: Sequence[LedgerEntry]) -> list[Piece]:
    """The pieces of `generations`, oldest first.

    Offsets that a newer generation has too are not an older one's any more: the topic was made anew in between.
    """
    lowest: dict[int, int] = {}
    found: list[Piece] = []
    for entry in reversed(generations):
        for p, (first, last) in sorted(entry.offsets.items(), reverse=True):
            piece = Piece(entry.generation, int(p), first, min(last + 1, lowest.get(int(p), last + 1)))
            if piece.first < piece.end:
                lowest[piece.kafka_partition] = piece.first
                found.append(piece)
    return found[::-1]


def between(pieces: Iterable[Piece], bounds: Bounds) -> list[dict[int, tuple[int, int]]]:
    """What stands in the log between the pieces and behind the last of each kafka_partition, as ranges to read in
    turn: of each kafka_partition at most one in each."""
    by_partition: dict[int, list[Piece]] = {}
    for piece in pieces:
        by_partition.setdefault(piece.kafka_partition, []).append(piece)
    turns: list[dict[int, tuple[int, int]]] = []
    for p, own in by_partition.items():
        low, high = bounds[p]
        starts = [piece.first for piece in own[1:]] + [max(high, own[-1].end)]
        gaps = [
            (max(piece.end, low), max(low, min(start, high)))
            for piece, start in zip(own, starts, strict=True)
        ]
        for n, gap in enumerate(gap for gap in gaps if gap[0] < gap[1]):
            if n == len(turns):
                turns.append({})
            turns[n][p] = gap
    return turns
