"""How long a warehouse is asked again for chosen rows: a share of the time that reading takes."""

from dataclasses import dataclass

# Of the time in which a window's rows are read.
_SHARE = 0.1
# For a question of unknown cost.
_FIRST_SECONDS = 1.0


@dataclass
class Budget:
    """Of one query in one run. Where asking costs more than its share, only some windows are judged, and each of them in
    full: a query that takes as long for a few rows as for all is asked for one window in ten. What takes less than
    `free_seconds` is asked for every window."""

    free_seconds: float = 0.0
    saved_seconds: float = 0.0
    cost_seconds: float | None = None
    warm: bool = False

    def seconds(self, reading_seconds: float) -> float | None:
        """How long the next window may be judged, which was read in `reading_seconds`; None: not at all."""
        self.saved_seconds += reading_seconds * _SHARE
        if self.cost_seconds is None:
            return max(_FIRST_SECONDS, self.saved_seconds)
        if self.cost_seconds > max(self.saved_seconds, self.free_seconds):
            return None
        return max(_FIRST_SECONDS, 2 * self.cost_seconds)

    def spent(self, seconds: float, *, in_vain: bool = False) -> None:
        """What the last question cost; `in_vain`: it was cancelled, and would have cost more."""
        if in_vain:
            self.cost_seconds = 2 * seconds
        elif self.warm:
            self.cost_seconds = seconds
        # The first question also opens an engine and asks for types.
        self.warm = True
        if seconds > self.free_seconds:
            self.saved_seconds = max(-_FIRST_SECONDS, self.saved_seconds - seconds)
