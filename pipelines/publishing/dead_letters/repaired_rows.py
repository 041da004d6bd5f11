"""Compares what a new version of a module makes of a window's dead letters with the
events that the window already has."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from pipelines.encoding import EncodedBatch, RecordEncoder
from pipelines.publishing.next_generation.difference import difference, take_rows
from pipelines.stages.dead_letters import Integers
from resources.platform import Platform
from resources.snapshots import Snapshot


@dataclass(frozen=True)
class Repaired:
    """`rows`: row numbers in the new snapshot of events that were made from dead letters and did not exist
    before. `others`: events that did not exist before and were made from rows that were not dead letters.
    `gone`: events that existed and no longer exist."""

    rows: Integers
    others: int
    gone: int

    @property
    def alone(self) -> bool:
        """True if only dead letters gave another result."""
        return not self.others and not self.gone


def repaired(
    platform: Platform, encoder: RecordEncoder, base: Snapshot, new: Snapshot, again: Integers
) -> Repaired:
    """Compare the events of `new` with those of `base`. The rows `again` of `new` were made from dead
    letters.

    A transform may make several events of one row, and only some of them become dead letters. An event that
    `base` already holds is not repaired. So the events of other rows are matched with `base` first. Memory is
    constant except for `again`.
    """
    store, settings = platform.snapshots, platform.settings

    def read(snapshot: Snapshot) -> Iterator[pa.RecordBatch]:
        return store.read(snapshot, batch_rows=settings.batch_rows)

    def encoded(batches: Iterable[pa.RecordBatch]) -> Iterator[EncodedBatch]:
        return (encoder.encode(batch, with_ids=True) for batch in batches)

    found = difference(
        encoded(read(base)),
        encoded(chain(_without(read(new), again), take_rows(read(new), pa.array(again)))),
        base_rows=base.rows,
        memory_limit=settings.memory_limit,
        with_keys=False,
    )
    # The numbers follow the order of the comparison: first the rows that were not dead letters.
    numbers = found.rows.to_numpy()
    first = new.rows - len(again)
    mended = again[numbers[numbers >= first] - first]
    return Repaired(mended, others=int(np.count_nonzero(numbers < first)), gone=found.gone + found.replaced)


def _without(batches: Iterable[pa.RecordBatch], rows: Integers) -> Iterator[pa.RecordBatch]:
    """The batches without the rows of these ascending numbers; no batch is empty."""
    first = 0
    for batch in batches:
        low, high = np.searchsorted(rows, [first, first + batch.num_rows])
        keep = np.ones(batch.num_rows, bool)
        keep[rows[low:high] - first] = False
        first += batch.num_rows
        if keep.any():
            yield batch if high == low else batch.filter(pa.array(keep))


def together(
    base: Iterable[pa.RecordBatch], more: Iterable[pa.RecordBatch], event_time: str
) -> Iterator[pa.RecordBatch]:
    """The rows of `base` in their order. Each row of `more` comes after the rows that happened at its time or
    earlier.

    A replay of a snapshot publishes the rows in the snapshot's order.
    """
    waiting = _Waiting(more, event_time)
    latest = np.iinfo(np.int64).min
    for batch in base:
        times = np.maximum.accumulate(np.maximum(_times(batch, event_time), latest))
        if len(times):
            latest = times[-1]
        early = waiting.before(latest)
        if not early.num_rows:
            yield batch
            continue
        at = np.searchsorted(times, np.maximum.accumulate(_times(early, event_time)), side="right")
        order = np.insert(np.arange(batch.num_rows), at, batch.num_rows + np.arange(early.num_rows))
        both = pa.Table.from_batches([batch, *early.to_batches()]).take(pa.array(order)).combine_chunks()
        yield from both.to_batches()
    yield from waiting.rest()


class _Waiting:
    """Rows of a stream; the caller takes them from the front by their event time."""

    def __init__(self, batches: Iterable[pa.RecordBatch], event_time: str) -> None:
        self._batches, self._event_time = iter(batches), event_time
        self._front: pa.RecordBatch | None = next(self._batches, None)

    def before(self, time: int) -> pa.Table:
        """The rows at the front that happened before `time`.
        Stops at the first row that did not, even if earlier rows follow."""
        taken: list[pa.RecordBatch] = []
        while self._front is not None:
            late = np.flatnonzero(_times(self._front, self._event_time) >= time)
            count = int(late[0]) if len(late) else self._front.num_rows
            taken.append(self._front.slice(0, count))
            if len(late):
                self._front = self._front.slice(count)
                break
            self._front = next(self._batches, None)
        return pa.Table.from_batches(taken) if taken else pa.table({})

    def rest(self) -> Iterator[pa.RecordBatch]:
        if self._front is not None and self._front.num_rows:
            yield self._front
        yield from self._batches


def _times(rows: pa.RecordBatch | pa.Table, event_time: str) -> Integers:
    column = rows.column(rows.schema.get_field_index(event_time))
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    counts = column.view(pa.int64()).fill_null(np.iinfo(np.int64).min)
    found: Integers = counts.to_numpy(zero_copy_only=False)
    return found
