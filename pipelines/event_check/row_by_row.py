"""Whether a transform makes the same events from a row,
no matter which rows are beside it and how often it is called."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.loading.module_import import imported_again
from pipelines.authoring.windows import Window
from pipelines.event_check.outcome import (
    EVENTS,
    Difference,
    Outcome,
    Rows,
    differences,
    of_batch,
    outcome_of,
    renumbered,
    rows_between,
)
from pipelines.event_check.speed import Speed
from pipelines.event_check.time_limits import Calls
from pipelines.transform.authors_code import OutOfTime
from pipelines.transform.errors import ConformError
from resources.errors import SluiceError

MOST_SINGLE_ROWS = 32
# How many rows are tried alone if the events of the whole frame cannot be assigned to their rows.
_FEW_ROWS = 8
# What one call with the whole frame may take, as a share of the time for all calls:
# there are about eight such calls.
_FRAME_SHARE = 1 / 8

# A window's first row has number 0; this is an arbitrary other number.
_ELSEWHERE = 1_000_003
Way = Literal["few rows", "halves", "single rows", "another place", "again", "other rows before"]


@dataclass
class RowByRow:
    """What was tried. `again`: differences between two calls with the same frame. `apart`: differences
    between the whole frame and another way of transforming the same rows. `rows`: how many rows the whole
    frame has; `singles`: how many of them were tried alone. `keeps_index`: whether the transform keeps the
    index of its rows. `not_tried`: ways for which there was no time. `stopped`: the whole frame ends its
    window with an error, so nothing else was tried. `repeated`: the event with a transform that returns the
    results of the whole frame without another call."""

    repeated: Event
    stopped: bool = False
    rows: int = 0
    singles: int = 0
    keeps_index: bool = True
    again: tuple[Difference, ...] = ()
    apart: tuple[tuple[Way, Difference], ...] = ()
    not_tried: list[Way] = field(default_factory=list)
    speed: Speed = field(default_factory=Speed)


def row_by_row(event: Event, window: Window, batch: pa.RecordBatch, calls: Calls) -> RowByRow:
    """Transforms `batch`, whose first row is the window's first,
    as one frame, as halves, row by row, and as one frame again.

    A `whole_window` transform gets only the whole frame, twice. A fresh copy of the module gets other rows
    first, then the whole frame. For a slow transform fewer rows are taken, and some ways are left out. Raises
    OutOfTime if there was not enough time for a single row.
    """
    timed, repeated = calls.kept(event)
    found = RowByRow(repeated)
    first = _first_frames(timed, window, batch, calls, found.speed)
    found.rows, whole = first[-1]
    if whole.stopped:
        found.stopped = True
        return found
    found.keeps_index = whole.source_rows is not None
    ways = _Ways(event, timed, window, batch.slice(0, found.rows), whole, calls, found)
    if not event.whole_window and found.rows > 1:
        half = found.rows // 2
        halves = [(0, half), (half, found.rows)]
        if (
            not ways.tried("halves", 2 * found.speed.of(half), lambda: ways.outcome(halves))
            and len(first) > 2
        ):
            few, outcome = first[-2]
            ways.compare("few rows", outcome, rows_between(0, few))
        ways.alone(first[0][1])
    if not event.whole_window:
        ways.tried("another place", found.speed.of(found.rows), ways.elsewhere)
    # After all other calls of the imported module, so that this call shows what they left behind.
    ways.again()
    ways.tried("other rows before", 2 * found.speed.of(found.rows), ways.after_other_rows)
    named = {difference.column for difference in found.again}
    found.apart = tuple(_first_of_each((how, one) for how, one in ways.apart if one.column not in named))
    return found


def _first_frames(
    event: Event, window: Window, batch: pa.RecordBatch, calls: Calls, speed: Speed
) -> list[tuple[int, Outcome]]:
    """Outcomes of the first rows, with the number of rows.
    The last one has all rows, or as many as there is time for."""
    made: list[tuple[int, Outcome]] = []
    for rows in speed.frames(batch.num_rows, calls.seconds * _FRAME_SHARE):
        before = calls.used
        try:
            made.append((rows, outcome_of(event, window, [(batch.slice(0, rows), 0)])))
        except OutOfTime:
            if not made:
                raise
            break
        speed.measured(rows, calls.used - before)
    return made


@dataclass
class _Ways:
    """Other ways of transforming the rows of one frame. `kept_calls`: time is reserved for this many calls
    with all rows, because these calls show more: the same frame again, and the rows of another window."""

    event: Event
    timed: Event
    window: Window
    batch: pa.RecordBatch
    whole: Outcome
    calls: Calls
    found: RowByRow
    apart: list[tuple[Way, Difference]] = field(default_factory=list)
    kept_calls: int = 2

    def compare(self, how: Way, outcome: Outcome, rows: Rows) -> None:
        """Record how `outcome` differs from the whole frame in these rows."""
        self.apart += ((how, difference) for difference in _compared(self.whole, outcome, rows))

    def tried(self, how: Way, seconds: float, make: Callable[[], Outcome | None]) -> bool:
        """Compare the result of `make` if there is time for calls of `seconds` in total.
        Returns whether there was."""
        try:
            if self._time_left() < seconds:
                raise OutOfTime
            outcome = make()
        except OutOfTime:
            self.found.not_tried.append(how)
            return False
        if outcome is not None:
            self.compare(how, outcome, rows_between(0, self.batch.num_rows))
        return True

    def _time_left(self) -> float:
        return self.calls.left - self.kept_calls * self.found.speed.of(self.batch.num_rows)

    def outcome(self, parts: Iterable[tuple[int, int]]) -> Outcome:
        """The outcome of frames that hold the rows from one number until before another."""
        frames = [(self.batch.slice(start, stop - start), start) for start, stop in parts]
        return outcome_of(self.timed, self.window, frames)

    def elsewhere(self) -> Outcome:
        """The outcome of the same rows at another position in their window."""
        return renumbered(outcome_of(self.timed, self.window, [(self.batch, _ELSEWHERE)]), _ELSEWHERE)

    def again(self) -> None:
        """Transform the whole frame once more."""
        self.kept_calls -= 1
        count = self.batch.num_rows
        try:
            outcome = self.outcome([(0, count)])
        except OutOfTime:
            self.found.not_tried.append("again")
        else:
            self.found.again = tuple(_compared(self.whole, outcome, rows_between(0, count)))

    def after_other_rows(self) -> Outcome | None:
        """The outcome of the whole frame in a process whose first call had other rows;
        None if this cannot be tried.

        What a transform remembers of its first rows stays the same for all later calls, so another call does
        not show it. A module cannot forget, so it is imported once more.
        """
        try:
            with self.calls.counted():
                transform = getattr(imported_again(self.event.module_path), self.event.name)
        except Exception:  # a module that can be imported only once is not a mistake of its rows
            return None
        fresh = self.calls.of(replace(self.event, transform=transform))
        if self.batch.num_rows > 1:
            outcome_of(fresh, self.window, [(self.batch.slice(self.batch.num_rows // 2), 0)])
        return outcome_of(fresh, self.window, [(self.batch, 0)])

    def alone(self, first: Outcome) -> None:
        """Try single rows as their own frames, as many as there is time for.
        `first`: the outcome of the first row."""
        one = self.found.speed.of(1)
        time_for = int(max(0.0, self._time_left()) / max(one, 1e-6))
        rows = self._likely()[: min(time_for, MOST_SINGLE_ROWS)]
        wanted = min(self.batch.num_rows, MOST_SINGLE_ROWS)
        if not self.found.keeps_index:
            # The first rows together, and one by one.
            wanted = min(self.batch.num_rows, _FEW_ROWS)
            rows = list(range(min(wanted, max(0, time_for - 1))))
        try:
            outcome = self._together(sorted(rows)) if rows else first
        except OutOfTime:
            rows, outcome = [], first
        if len(rows) < wanted:
            self.found.not_tried.append("single rows")
        if not rows and not self.found.keeps_index:
            return
        self.found.singles = max(1, len(rows))
        if self.found.keeps_index:
            # A row that loses its index when it is alone is left out: the halves compare it.
            self.compare(
                "single rows", outcome, np.array(sorted(set(rows or [0]) - set(outcome.left_out)), np.int64)
            )

    def _together(self, rows: list[int]) -> Outcome:
        if self.found.keeps_index:
            return outcome_of(self.timed, self.window, of_batch(self.batch, rows), with_index=True)
        few = self.outcome([(0, len(rows))])
        alone = outcome_of(self.timed, self.window, of_batch(self.batch, rows))
        compared = (
            [Difference(*_stopped(few.stopped))]
            if few.stopped
            else _compared(few, alone, rows_between(0, len(rows)))
        )
        self.apart += (("single rows", difference) for difference in compared)
        return alone

    def _likely(self) -> list[int]:
        """Numbers of the rows that most likely show a difference, each once: rows that became no event or a
        dead letter, the first row with a null in each column, then rows at even distances."""
        count = self.batch.num_rows
        chosen: dict[int, None] = {}
        if self.whole.source_rows is not None:
            gone = np.setdiff1d(rows_between(0, count), self.whole.source_rows)
            chosen |= dict.fromkeys(gone[: MOST_SINGLE_ROWS // 4].tolist())
        for column in self.batch.columns:
            if column.null_count:
                chosen[int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])] = None
        chosen |= dict.fromkeys(np.linspace(0, count - 1, min(count, MOST_SINGLE_ROWS)).astype(int).tolist())
        return list(chosen)


def _compared(one: Outcome, other: Outcome, rows: Rows) -> Iterator[Difference]:
    if other.stopped:
        yield Difference(*_stopped(other.stopped))
        return
    yield from differences(one, other, rows)


def _stopped(stopped: tuple[int, SluiceError]) -> tuple[str, int, None, str]:
    row, error = stopped
    column = error.problems[0].column if isinstance(error, ConformError) else None
    return column or EVENTS, row, None, f"stops the window there ({error.problem})"


def _first_of_each(found: Iterable[tuple[Way, Difference]]) -> Iterator[tuple[Way, Difference]]:
    seen = set()
    for how, difference in found:
        if difference.column not in seen:
            seen.add(difference.column)
            yield how, difference
