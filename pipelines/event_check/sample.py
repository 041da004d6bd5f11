"""The few rows that an event is tried with:
from the first and from the newest complete window that have rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.sql.source_sql import SourceQuery
from pipelines.authoring.windows import Window
from pipelines.ledger.entry import now
from pipelines.stages.source import refused_source
from pipelines.stages.transform import rows_schema
from resources.platform import Platform
from resources.snapshots import alike
from resources.warehouse import WarehouseError

MOST_ROWS = 1000
# A window with fewer rows shows little, so another window is read too.
_ENOUGH_ROWS = 20


@dataclass(frozen=True)
class Sample:
    """Rows of `window`, at most MOST_ROWS; `whole`: the window has no more rows."""

    window: Window
    rows: pa.RecordBatch
    whole: bool

    def first(self, rows: int) -> "Sample":
        """The sample with only its first `rows` rows."""
        return (
            self if rows >= self.rows.num_rows else Sample(self.window, self.rows.slice(0, rows), whole=False)
        )


def samples_of(event: Event, aside: Platform, windows: Sequence[Window]) -> Iterator[Sample]:
    """Rows of some of `windows`, which are in time order; the sample that shows most is first.

    The first window is read, and the newest window that has rows: changes of the tables are visible there. If
    the first window has no rows, or both have few, the window in the middle is read too, or another window
    between them. If a window has no rows, the warehouse is queried whether a range of windows has any, and
    then halves of the range that has rows, so a few short queries are enough for any number of windows.
    """
    if not windows:
        return
    first = _sample(event, aside, windows[0])
    if first and first.rows.num_rows >= _ENOUGH_ROWS:
        yield first
        newest = _newest(event, aside, windows[1:])
        if newest:
            yield newest
        return
    found = list(filter(None, (first, _newest(event, aside, windows[1:]))))
    between = windows[1:-1]
    few = first is None or sum(map(_size, found)) < _ENOUGH_ROWS
    if between and few and found and found[-1].window == windows[-1]:
        middle = _sample(event, aside, between[len(between) // 2]) or _newest(event, aside, between)
        found += [middle] if middle else []
    yield from sorted(found, key=_size, reverse=True)


def _size(sample: Sample) -> int:
    return int(sample.rows.num_rows)


def _newest(event: Event, aside: Platform, windows: Sequence[Window]) -> Sample | None:
    """Rows of the newest of these windows that has rows."""
    if not windows:
        return None
    if sample := _sample(event, aside, windows[-1]):
        return sample
    found = _with_rows(event, aside, windows[:-1])
    return _sample(event, aside, found) if found else None


def _sample(event: Event, aside: Platform, window: Window) -> Sample | None:
    # The warehouse applies the limit, so that a large window costs no more than a small one.
    rows = read_rows(event, limited_query(event.source, MOST_ROWS + 1), window, aside)
    if not rows.num_rows:
        return None
    return Sample(window, rows.slice(0, MOST_ROWS), whole=rows.num_rows <= MOST_ROWS)


def limited_query(source: SourceQuery, rows: int) -> SourceQuery:
    """`source` with at most `rows` rows, whichever the warehouse gives first."""
    return source.within("SELECT * FROM (\n", f"\n) AS preview LIMIT {rows}")


def read_rows(event: Event, query: SourceQuery, window: Window, aside: Platform) -> pa.RecordBatch:
    """The few rows of `query` as one batch, ordered by event time. Raises what a run raises for its query."""
    warehouse = aside.warehouse(event.warehouse)
    sql = query.bound(warehouse.parameter_style).sql
    bounds = {"window_start": window.start, "window_end": window.end}
    try:
        schema = warehouse.describe(sql, bounds)
        # Only this column leads the order; the others follow in their own order. It is not worth a check
        # whether rows already come in the order of two columns.
        order_by = [event.event_time] if event.event_time in schema.names else []
        with warehouse.stream(sql, bounds, order_by=order_by, batch_rows=MOST_ROWS + 1) as batches:
            table = pa.Table.from_batches(batches, schema)
    except WarehouseError as error:
        raise refused_source(event, window, error) from None
    return (table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], schema=schema)])[0]


def store(sample: Sample, event: Event, aside: Platform) -> None:
    """Store the sample as the window's sourced snapshot, as a run does with all rows."""
    schema, conformed = sample.rows.schema, rows_schema(event)
    if alike(schema, conformed):
        schema = conformed
    with aside.snapshots.writer(event.full_name, sample.window.key, "sourced", schema) as out:
        out.write(sample.rows)
        out.finish({"run_id": "check", "written_at": now()})


def _with_rows(event: Event, aside: Platform, windows: Sequence[Window]) -> Window | None:
    """The last of the windows that has rows, found by halving; None if none has rows."""
    warehouse = aside.warehouse(event.warehouse)
    asked = event.source.within("SELECT 1 AS one FROM (\n", "\n) AS source LIMIT 1")
    sql = asked.bound(warehouse.parameter_style).sql

    def some(part: Sequence[Window]) -> bool:
        bounds = {"window_start": part[0].start, "window_end": part[-1].end}
        with warehouse.stream(sql, bounds, order_by=[], batch_rows=1) as batches:
            return any(batch.num_rows for batch in batches)

    if not windows or not some(windows):
        return None
    while len(windows) > 1:
        half = len(windows) // 2
        # One half has rows, unless the query aggregates whole windows (a sum over each);
        # then this is a guess.
        windows = windows[half:] if some(windows[half:]) else windows[:half]
    return windows[0]
