"""How long a transform takes, measured with its first frames, and how many rows it is tried with."""

from collections.abc import Iterator
from dataclasses import dataclass

# The second frame takes at most about this many seconds, unless the call itself takes longer.
_SECOND_FRAME_SECONDS, _SECOND_FRAME_ROWS = 1.0, 16


@dataclass
class Speed:
    """Seconds for each call, and for each of its rows, as the last two frames show."""

    call: float = 0.0
    row: float = 0.0
    _rows: int = 0
    _seconds: float = 0.0

    def measured(self, rows: int, seconds: float) -> None:
        """Record that a frame of `rows` rows took `seconds`.
        Each frame must be larger than the one before."""
        if not self._rows:
            self.call = seconds
        else:
            self.row = max(0.0, (seconds - self._seconds) / (rows - self._rows))
            # The first call may have loaded something.
            self.call = max(0.0, min(self._seconds, seconds - self.row * rows))
        self._rows, self._seconds = rows, seconds

    def of(self, rows: int) -> float:
        """The seconds that a frame of `rows` rows is expected to take."""
        return self.call + self.row * rows

    def frames(self, rows: int, most_seconds: float) -> Iterator[int]:
        """Sizes of the frames to try first, each larger than the one before. The last one has all rows, or as
        many as take `most_seconds`. The caller must call `measured` after each frame."""
        if rows > 1:
            yield 1
            second = int(_SECOND_FRAME_SECONDS / max(self.call, 1e-6))
            yield (size := min(rows, max(2, min(second, _SECOND_FRAME_ROWS))))
        else:
            yield (size := rows)
        while size < rows:
            following = rows
            if self.row:
                # If the call itself takes long, more rows cost little, and a small difference means nothing.
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
