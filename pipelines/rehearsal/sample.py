"""The few rows that an event is tried with: those of the first and of the newest complete window that have some."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.source_sql import SourceQuery
from pipelines.authoring.windows import Window
from pipelines.steps.sourced import source_window
from resources.platform import Platform
from resources.snapshots import Snapshot
from resources.warehouse import Warehouse

MOST_ROWS = 1000
# A window of fewer rows shows little; another one is looked at too.
_ENOUGH_ROWS = 20


@dataclass(frozen=True)
class Sample:
    """Rows of `window` in `aside`'s snapshot store, at most MOST_ROWS; `whole`: it has no more."""

    window: Window
    sourced: Snapshot
    whole: bool


def samples_of(event: Event, aside: Platform, windows: Sequence[Window]) -> Iterator[Sample]:
    """Rows of some of `windows`, which are in time order; the sample that shows most comes first.

    The first window is asked for its rows; where it has few, so are the last one and one between. Behind them comes
    the newest window that has rows: what changed in the tables shows there. Where a window has no rows, the warehouse
    is asked whether a range of windows has any, and halves of the range that has, so a few short questions do for any
    number of windows.
    """
    looked: list[Window] = []
    found: list[Sample] = []
    for window in _looked_at(event, aside, windows):
        looked.append(window)
        if sample := _sample(event, aside, window):
            found.append(sample)
            if sample.sourced.rows >= _ENOUGH_ROWS:
                break
    yield from sorted(found, key=lambda sample: -sample.sourced.rows)
    for window in _newest(event, aside, windows):
        if window not in looked and (sample := _sample(event, aside, window)):
            yield sample
            break


def _sample(event: Event, aside: Platform, window: Window) -> Sample | None:
    # The warehouse does the limiting, so that a large window costs no more than a small one.
    limited = replace(event, source=limited_query(event.source, MOST_ROWS))
    sourced = source_window(limited, window, aside, run_id="check")
    return Sample(window, sourced, whole=sourced.rows < MOST_ROWS) if sourced.rows else None


def limited_query(source: SourceQuery, rows: int) -> SourceQuery:
    """`source` with at most `rows` rows, whichever the warehouse gives first."""
    return source.within("SELECT * FROM (\n", f"\n) AS preview LIMIT {rows}")


def rows_of(sample: Sample, aside: Platform) -> pa.RecordBatch:
    """The sample as one batch."""
    return one_batch(sample.sourced, aside)


def one_batch(snapshot: Snapshot, aside: Platform) -> pa.RecordBatch:
    """A small snapshot as one batch."""
    store = aside.snapshots
    table = pa.Table.from_batches(store.read(snapshot, batch_rows=MOST_ROWS), store.schema(snapshot))
    return (table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)])[0]


def _looked_at(event: Event, aside: Platform, windows: Sequence[Window]) -> Iterator[Window]:
    """Windows that may have rows, the likeliest first, each once."""
    if not windows:
        return
    yield from dict.fromkeys([windows[0], windows[-1]])
    yield from _between(event, aside, windows)


def _newest(event: Event, aside: Platform, windows: Sequence[Window]) -> Iterator[Window]:
    """The newest window, and the newest between the first and it that has rows."""
    yield from windows[-1:]
    yield from _between(event, aside, windows)


def _between(event: Event, aside: Platform, windows: Sequence[Window]) -> Iterator[Window]:
    between = windows[1:-1]
    found = _with_rows(event, aside.warehouse(event.warehouse), between) if between else None
    if found is not None:
        yield found


def _with_rows(event: Event, warehouse: Warehouse, windows: Sequence[Window]) -> Window | None:
    """The last of the windows that has rows, by halves."""
    asked = event.source.within("SELECT 1 AS one FROM (\n", "\n) AS source LIMIT 1")
    sql = asked.bound(warehouse.parameter_style).sql

    def some(part: Sequence[Window]) -> bool:
        bounds = {"window_start": part[0].start, "window_end": part[-1].end}
        with warehouse.stream(sql, bounds, order_by=[], batch_rows=1) as batches:
            return any(batch.num_rows for batch in batches)

    if not some(windows):
        return None
    while len(windows) > 1:
        half = len(windows) // 2
        # One half has rows, unless the query is of whole windows (a sum over each); then this is a guess.
        windows = windows[half:] if some(windows[half:]) else windows[:half]
    return windows[0]
