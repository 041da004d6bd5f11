"""Whether a transform makes the same events of a row whatever stands beside it, and however often it is asked."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.rehearsal.outcome import (
    EVENTS,
    Difference,
    Outcome,
    Rows,
    differences,
    of_batch,
    outcome_of,
    rows_between,
)
from resources.errors import SluiceError

MOST_SINGLE_ROWS = 32
# Of a slow transform fewer rows are tried alone, but always a few.
_SINGLE_SECONDS, _FEWEST_SINGLE_ROWS = 5.0, 8


@dataclass(frozen=True)
class RowByRow:
    """`again`: differences between two calls with the same frame. `apart`: between the whole frame and parts of it,
    with the words for which parts. `singles`: how many rows were tried alone. `keeps_index`: whether the transform
    keeps the index of its rows."""

    again: tuple[Difference, ...]
    apart: tuple[tuple[str, Difference], ...]
    singles: int
    keeps_index: bool


def row_by_row(event: Event, window: Window, batch: pa.RecordBatch) -> RowByRow:
    """`batch`, whose first row is the window's first, as one frame, as halves, row by row, and as one frame again.

    A `whole_window` transform gets the whole frame alone, twice. Raises what a run raises for the whole frame.
    """
    count = batch.num_rows
    everything = rows_between(0, count)
    whole = outcome_of(event, window, [(batch, 0)])
    if whole.stopped:
        raise whole.stopped[1]
    apart: list[tuple[str, Difference]] = []
    tried = 0
    if not event.whole_window and count > 1:
        half = count // 2
        halves = outcome_of(event, window, [(batch.slice(0, half), 0), (batch.slice(half), half)])
        apart += (("in halves", found) for found in _compared(whole, halves, everything))
        tried, alone = _alone(event, window, batch, whole)
        apart += (("as a single row", found) for found in alone)
    # Last of all, so that what the calls in between left behind shows.
    again = outcome_of(event, window, [(batch, 0)])
    repeated = tuple(_compared(whole, again, everything))
    named = {difference.column for difference in repeated}
    return RowByRow(
        repeated,
        tuple(_first_of_each((how, one) for how, one in apart if one.column not in named)),
        tried,
        whole.source_rows is not None,
    )


def _compared(one: Outcome, other: Outcome, rows: Rows) -> Iterator[Difference]:
    if other.stopped:
        yield Difference(*_stopped(other.stopped))
        return
    yield from differences(one, other, rows)


def _stopped(stopped: tuple[int, SluiceError]) -> tuple[str, int, None, str]:
    row, error = stopped
    quoted = error.problem.split("'")
    column = quoted[1] if len(quoted) > 2 else EVENTS
    return column, row, None, f"stops the window there ({error.problem})"


def _alone(
    event: Event, window: Window, batch: pa.RecordBatch, whole: Outcome
) -> tuple[int, list[Difference]]:
    """Single rows as frames of their own, for as long as there is time: how many, and what differs."""
    if whole.source_rows is None:
        # Nothing tells which of the whole frame's events are a row's: the first rows together, and one by one.
        few = batch.slice(0, _FEWEST_SINGLE_ROWS)
        together = outcome_of(event, window, [(few, 0)])
        alone = outcome_of(event, window, of_batch(few, range(few.num_rows)))
        if together.stopped:
            return few.num_rows, [Difference(*_stopped(together.stopped))]
        return few.num_rows, list(_compared(together, alone, rows_between(0, few.num_rows)))
    found: list[Difference] = []
    until = time.monotonic() + _SINGLE_SECONDS
    rows = _likely(batch, whole)[:MOST_SINGLE_ROWS]
    for tried, row in enumerate(rows):
        if tried >= _FEWEST_SINGLE_ROWS and time.monotonic() > until:
            return tried, found
        alone = outcome_of(event, window, of_batch(batch, [row]))
        if alone.source_rows is None and alone.stopped is None:
            continue  # kept for many rows and lost for one: halves have their say
        found += _compared(whole, alone, rows_between(row, row + 1))
    return len(rows), found


def _likely(batch: pa.RecordBatch, whole: Outcome) -> list[int]:
    """Row numbers, each once: rows that became no event, dead letters, the first with a null of each column, then
    rows at even distances."""
    count = batch.num_rows
    chosen: dict[int, None] = {}
    if whole.source_rows is not None:
        gone = np.setdiff1d(rows_between(0, count), whole.source_rows)
        chosen |= dict.fromkeys(gone[: MOST_SINGLE_ROWS // 4].tolist())
    for column in batch.columns:
        if column.null_count:
            chosen[int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])] = None
    chosen |= dict.fromkeys(np.linspace(0, count - 1, min(count, MOST_SINGLE_ROWS)).astype(int).tolist())
    return list(chosen)


def _first_of_each(found: Iterable[tuple[str, Difference]]) -> Iterator[tuple[str, Difference]]:
    seen = set()
    for how, difference in found:
        if difference.column not in seen:
            seen.add(difference.column)
            yield how, difference
