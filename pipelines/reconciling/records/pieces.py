"""Where a window's generations are in the log: pieces of offsets that do not overlap,
in the order of the log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.ledger.entry import LedgerEntry

Bounds = Mapping[int, tuple[int, int]]
"""For each kafka_partition the first offset and the end, exclusive."""


@dataclass(frozen=True)
class Piece:
    """Offsets `[first, end)` of a kafka_partition that contain records of one generation."""

    generation: int
    kafka_partition: int
    first: int
    end: int

    def kept(self, bounds: Bounds) -> "Piece":
        """The part of the piece that the log still has, given its `bounds`."""
        low, high = bounds[self.kafka_partition]
        first = max(self.first, low)
        return replace(self, first=first, end=max(first, min(self.end, high)))

    def deleted(self, bounds: Bounds) -> int:
        """How many of the piece's offsets are before the log's first offset."""
        return max(0, min(bounds[self.kafka_partition][0], self.end) - self.first)


def pieces_of(generations: Sequence[LedgerEntry]) -> list[Piece]:
    """The pieces of `generations`, oldest first.

    If a newer generation has the same offsets, they no longer belong to the older one: the topic was created
    again in between.
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
    """The ranges between the pieces and after the last piece of each kafka_partition, to be read one dict
    after the other. Each dict has at most one range for a kafka_partition."""
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
