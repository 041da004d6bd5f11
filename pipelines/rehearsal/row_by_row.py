"""Whether a transform makes the same events of a row whatever stands beside it, and however often it is asked."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.module_import import imported_again
from pipelines.authoring.windows import Window
from pipelines.rehearsal.outcome import (
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
from resources.errors import SluiceError

MOST_SINGLE_ROWS = 32
# Of a slow transform fewer rows are tried alone, but always a few.
_SINGLE_SECONDS, _FEWEST_SINGLE_ROWS = 5.0, 8


# A window's first row has number 0; this is any other place.
_ELSEWHERE = 1_000_003
Way = Literal["halves", "single rows", "another place", "other rows before"]


@dataclass(frozen=True)
class RowByRow:
    """`again`: differences between two calls with the same frame. `apart`: between the whole frame and another way of
    transforming the same rows. `singles`: how many rows were tried alone. `keeps_index`: whether the transform
    keeps the index of its rows."""

    again: tuple[Difference, ...]
    apart: tuple[tuple[Way, Difference], ...]
    singles: int
    keeps_index: bool


def row_by_row(event: Event, window: Window, batch: pa.RecordBatch) -> RowByRow:
    """`batch`, whose first row is the window's first, as one frame, as halves, row by row, and as one frame again.

    A `whole_window` transform gets the whole frame alone, twice. A fresh copy of the module gets other rows first, then
    the whole frame. Raises what a run raises for the whole frame.
    """
    count = batch.num_rows
    everything = rows_between(0, count)
    whole = outcome_of(event, window, [(batch, 0)])
    if whole.stopped:
        raise whole.stopped[1]
    apart: list[tuple[Way, Difference]] = []
    tried = 0
    if not event.whole_window and count > 1:
        half = count // 2
        halves = outcome_of(event, window, [(batch.slice(0, half), 0), (batch.slice(half), half)])
        apart += (("halves", found) for found in _compared(whole, halves, everything))
        tried, alone = _alone(event, window, batch, whole)
        apart += (("single rows", found) for found in alone)
    if not event.whole_window:
        moved = renumbered(outcome_of(event, window, [(batch, _ELSEWHERE)]), _ELSEWHERE)
        apart += (("another place", found) for found in _compared(whole, moved, everything))
    # Behind all others in the module that was imported, so that what the calls in between left behind shows.
    again = outcome_of(event, window, [(batch, 0)])
    repeated = tuple(_compared(whole, again, everything))
    if later := _after_other_rows(event, window, batch):
        apart += (("other rows before", found) for found in _compared(whole, later, everything))
    named = {difference.column for difference in repeated}
    return RowByRow(
        repeated,
        tuple(_first_of_each((how, one) for how, one in apart if one.column not in named)),
        tried,
        whole.source_rows is not None,
    )


def _after_other_rows(event: Event, window: Window, batch: pa.RecordBatch) -> Outcome | None:
    """The whole frame, as a process sees it whose first call was with other rows; None where there is no way to ask.

    What a transform remembers of its first rows stays the same for all later calls, so calling it again does not show
    it. A module cannot forget: it is imported once more.
    """
    try:
        fresh = replace(event, transform=getattr(imported_again(event.module_path), event.name))
    except Exception:  # an import that works only once is no fault of its rows
        return None
    if batch.num_rows > 1:
        outcome_of(fresh, window, [(batch.slice(batch.num_rows // 2), 0)])
    return outcome_of(fresh, window, [(batch, 0)])


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


def _first_of_each(found: Iterable[tuple[Way, Difference]]) -> Iterator[tuple[Way, Difference]]:
    seen = set()
    for how, difference in found:
        if difference.column not in seen:
            seen.add(difference.column)
            yield how, difference
