"""Step 1: the query's rows for one window become an immutable, totally ordered snapshot."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.independent_judge.source_rows import SourceJudge
from pipelines.ledger.entry import now
from pipelines.stages.judge_queries import Asking
from pipelines.stages.sql_place import in_module
from pipelines.stages.transform import rows_schema
from resources.errors import SluiceError
from resources.platform import Platform
from resources.process.memory import give_back
from resources.snapshots import Snapshot, alike, row_groups
from resources.warehouse import OutOfOrder, Warehouse, WarehouseError

# How often the stream may start again, because the warehouse finds out about the rows while it streams them:
# once because they are out of order, once because they are more than the window before had, and up to three
# times because they are too wide for the present way to sort.
_SURPRISES = 5
# The code that takes rows beside the reading is stopped if other processes wait for the database file, and it
# needs more than `_SLOW` seconds and `_SLOWER` times the seconds of the reading. To start it again with the
# stored rows costs little more than that.
_SLOW, _SLOWER = 2.0, 10.0


class Beside(Protocol):
    """Takes the rows while they are stored, in the batches in which the snapshot will be read."""

    def begin(self, schema: pa.Schema) -> None:
        """Rows of this schema follow, from the first row on;
        rows after an earlier `begin` no longer count."""
        ...

    def take(self, batch: pa.RecordBatch, chosen: Sequence[int] | None) -> None:
        """Take the next rows. `chosen`: those of them that the judge chose, if that is known.
        An exception here ends the sourcing."""
        ...

    def close(self) -> None:
        """Stop: no more rows come; the snapshot's rows can be read instead."""
        ...


def source_window(
    event: Event,
    window: Window,
    platform: Platform,
    *,
    run_id: str,
    beside: Beside | None = None,
    read: Callable[[int], None] = lambda _: None,
) -> Snapshot:
    """Stream the window's rows into a `sourced` snapshot, ordered by event time, key, then every other
    column.

    The order makes the snapshot's hash depend only on the rows. Memory does not grow with the window. `read`
    is called with the number of rows as soon as the warehouse is no longer needed, before `beside` takes the
    last of them. Raises SluiceError for a query that the warehouse refuses, at once or in the middle of its
    rows, and TransientError for a lost connection.
    """
    warehouse = platform.warehouse(event.warehouse)
    sql = event.source.bound(warehouse.parameter_style).sql
    parameters = {"window_start": window.start, "window_end": window.end}
    try:
        for surprises in range(_SURPRISES + 1):
            try:
                made = _stream(event, window, platform, warehouse, sql, parameters, run_id, beside, read)
                break
            except OutOfOrder:
                if surprises == _SURPRISES:
                    raise
    except WarehouseError as error:
        raise refused_source(event, window, error) from None
    give_back(made.rows)
    return made


def refused_source(event: Event, window: Window, error: WarehouseError) -> SluiceError:
    """The error to raise for a query that the warehouse refused."""
    if error.next_step:  # not the query's fault, and the error has a next step of its own
        return error
    return SluiceError(
        f"{event.full_name} {window.key}",
        in_module(event, error.problem),
        next_step=f"mend `source` in {event.module_path.name}; `sluice check {event.name}` tries it",
    )


def _stream(
    event: Event,
    window: Window,
    platform: Platform,
    warehouse: Warehouse,
    sql: str,
    parameters: Mapping[str, datetime],
    run_id: str,
    beside: Beside | None,
    read: Callable[[int], None],
) -> Snapshot:
    schema = warehouse.describe(sql, parameters)
    conformed = rows_schema(event)
    if alike(schema, conformed):
        # Stored in the same form as the transformed snapshot of the same rows, so that both can be one file.
        schema = conformed
    order_by = [name for name in (event.event_time, event.key) if name in schema.names]
    batch_rows = platform.settings.batch_rows
    judge = SourceJudge(f"{event.full_name} {window.key}", schema, event_time=event.event_time, key=event.key)
    reading = _Watch()
    last: Callable[[], None] | None = None
    seconds = 0.0
    with platform.snapshots.writer(event.full_name, window.key, "sourced", schema) as out:
        with warehouse.stream(sql, parameters, order_by=order_by, batch_rows=batch_rows) as batches:
            batches = reading.through(batches)
            if beside is None:
                for batch in batches:
                    out.write(batch)
                    judge.take(batch)
            else:
                beside.begin(schema)
                for group in row_groups(batches, schema):
                    out.write(group)
                    take = partial(_beside, beside, group, judge.take(group), batch_rows)
                    # Nobody can write to a DuckDB file while it is read, and a transform may be slow.
                    if reading.ended:
                        last = take
                        continue
                    started = time.monotonic()
                    take()
                    seconds += time.monotonic() - started
                    if warehouse.holds_off_writers and seconds > max(_SLOW, _SLOWER * reading.seconds):
                        beside.close()
            judged = Asking(warehouse, sql, parameters, reading.seconds, platform).judged(judge)
        read(reading.rows)
        if last is not None:
            last()
        return out.finish(
            {
                **judged,
                "code_version": event.code_version,
                "tables": list(event.source.tables),
                "run_id": run_id,
                "written_at": now(),
            }
        )


def _beside(beside: Beside, group: pa.RecordBatch, chosen: Sequence[int] | None, batch_rows: int) -> None:
    # The judge chose among the rows of a group.
    # The choice is valid for a batch only if both have the same rows.
    known = chosen if group.num_rows <= batch_rows else None
    for first in range(0, group.num_rows, batch_rows):
        beside.take(group.slice(first, batch_rows), known)


class _Watch:
    """Measures the time that is spent waiting for rows, and counts the rows."""

    def __init__(self) -> None:
        self.seconds, self.rows, self.ended = 0.0, 0, False

    def through(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        while True:
            started = time.monotonic()
            batch = next(batches, None)
            self.seconds += time.monotonic() - started
            if batch is None:
                self.ended = True
                return
            self.rows += batch.num_rows
            yield batch
