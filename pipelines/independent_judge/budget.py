"""How long the warehouse may be queried again for chosen rows: a share of the time that reading takes."""

from dataclasses import dataclass

# This part of the time in which a window's rows are read.
_SHARE = 0.1
# For the first query, whose cost is not known.
_FIRST_SECONDS = 1.0


@dataclass
class Budget:
    """The budget of one query in one run.

    If judging costs more than its share, only some windows are judged, but each of them completely: a query
    that takes as long for a few rows as for all rows is repeated for one window in ten. A query that takes
    less than `free_seconds` is repeated for every window.
    """

    free_seconds: float = 0.0
    saved_seconds: float = 0.0
    cost_seconds: float | None = None
    warm: bool = False

    def seconds(self, reading_seconds: float) -> float | None:
        """How many seconds judging the next window may take; its rows were read in
        `reading_seconds`. None: do not judge it."""
        self.saved_seconds += reading_seconds * _SHARE
        if self.cost_seconds is None:
            return max(_FIRST_SECONDS, self.saved_seconds)
        if self.cost_seconds > max(self.saved_seconds, self.free_seconds):
            return None
        return max(_FIRST_SECONDS, 2 * self.cost_seconds)

    def spent(self, seconds: float, *, in_vain: bool = False) -> None:
        """Record the cost of the last judging; `in_vain`: it was cancelled and would have cost more."""
        if in_vain:
            self.cost_seconds = 2 * seconds
        elif self.warm:
            self.cost_seconds = seconds
        # The first query also opens an engine and reads types, so its cost is not representative.
        self.warm = True
        if seconds > self.free_seconds:
            self.saved_seconds = max(-_FIRST_SECONDS, self.saved_seconds - seconds)
