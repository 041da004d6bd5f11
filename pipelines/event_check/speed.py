"""How long a transform takes, measured by its first frames, and how many rows are tried of it."""

from collections.abc import Iterator
from dataclasses import dataclass

# The second frame takes about as long at most, unless a call takes as long whatever its rows are.
_SECOND_FRAME_SECONDS, _SECOND_FRAME_ROWS = 1.0, 16


@dataclass
class Speed:
    """Seconds of each call, and for each of its rows, as the last two frames show them."""

    call: float = 0.0
    row: float = 0.0
    _rows: int = 0
    _seconds: float = 0.0

    def measured(self, rows: int, seconds: float) -> None:
        """A frame of so many rows took so long. Each frame is larger than the one before."""
        if not self._rows:
            self.call = seconds
        else:
            self.row = max(0.0, (seconds - self._seconds) / (rows - self._rows))
            # The first call may have loaded something.
            self.call = max(0.0, min(self._seconds, seconds - self.row * rows))
        self._rows, self._seconds = rows, seconds

    def of(self, rows: int) -> float:
        """Seconds that a frame of so many rows takes."""
        return self.call + self.row * rows

    def frames(self, rows: int, most_seconds: float) -> Iterator[int]:
        """Sizes of the frames to try first, each larger than the one before: the last one has all of the rows, or as
        many as take `most_seconds`. `measured` is to be called after each."""
        if rows > 1:
            yield 1
            second = int(_SECOND_FRAME_SECONDS / max(self.call, 1e-6))
            yield (size := min(rows, max(2, min(second, _SECOND_FRAME_ROWS))))
        else:
            yield (size := rows)
        while size < rows:
            following = rows
            if self.row:
                # Where a call takes long by itself, more rows cost little, and a small difference says nothing.
                following = min(rows, int(max(most_seconds - self.call, self.call) / self.row))
            if following < 2 * size:
                return
            yield (size := following)

    def __str__(self) -> str:
        if self.row * self._rows > self.call:
            return f"{_shown(self.row)} a row"
        return f"{_shown(self.call)} a call"


def _shown(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(1, round(seconds * 1000))} ms"
