"""Whether a query returns the same rows each time, and in whatever order its tables are read."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.sql.source_sql import SourceQuery
from pipelines.event_check.outcome import Difference, exactly, first_difference
from pipelines.event_check.sample import MOST_ROWS, Sample, limited_query, read_rows
from resources.errors import SluiceError
from resources.platform import Platform

# Reading a table in another order sorts it, which takes long for a large table; the check is left out then.
_REORDERED_SECONDS = 2.0
ROWS = "the number of rows"


@dataclass(frozen=True)
class Answers:
    """`again`: differences between two results of the query. `reordered`: differences between its result and
    the result of the same query with the rows of its tables in another order; None if that query could not
    run. `rows`: how many rows were compared."""

    again: tuple[Difference, ...]
    reordered: tuple[Difference, ...] | None
    rows: int


def answers(event: Event, sample: Sample, aside: Platform) -> Answers:
    """Query the sample's rows again. Raises what a run raises for the query."""
    names = sample.rows.schema.names
    order = [name for name in (event.event_time, event.key) if name in names] or names
    places = [names.index(name) + 1 for name in order]

    def answer(query: SourceQuery) -> pa.RecordBatch:
        rows = read_rows(event, _bounded(query, places, whole=sample.whole), sample.window, aside)
        return rows if sample.whole else _without_last(rows, order)

    first = sample.rows if sample.whole else answer(event.source)
    reordered = None
    # Raised if a table is too large, or if the SQL uses a table's name in an unusual way.
    with suppress(SluiceError), aside.warehouse(event.warehouse).within(_REORDERED_SECONDS):
        for turned in event.source.reordered():
            reordered = reordered or tuple(_differences(first, answer(turned)))
    again: tuple[Difference, ...] = ()
    # If the result is the same although the tables were read in another order, that also is a second result.
    if reordered or reordered is None:
        again = tuple(_differences(first, answer(event.source)))
    return Answers(again, None if again else reordered, first.num_rows)


def _bounded(query: SourceQuery, order: list[int], *, whole: bool) -> SourceQuery:
    """All rows of a window that is known to be small;
    otherwise the first rows, sorted by the columns at these positions."""
    if whole:
        return limited_query(query, MOST_ROWS + 1)  # the same limit as for the sample
    first = f"ORDER BY {', '.join(map(str, order))} LIMIT {MOST_ROWS}"
    return query.within("SELECT * FROM (\n", f"\n) AS preview {first}")


def _without_last(rows: pa.RecordBatch, order: list[str]) -> pa.RecordBatch:
    """The rows without the last ones that are equal in these columns:
    the limit may have cut off any of such rows."""
    if not rows.num_rows:
        return rows
    stop = rows.num_rows
    last = [exactly(rows.column(name)[stop - 1]) for name in order]
    while stop and [exactly(rows.column(name)[stop - 1]) for name in order] == last:
        stop -= 1
    return rows.slice(0, stop)


def _differences(one: pa.RecordBatch, other: pa.RecordBatch) -> Iterator[Difference]:
    """The columns that differ, each with the first of its rows."""
    if one.num_rows != other.num_rows:
        told = f"is {one.num_rows:,} and {other.num_rows:,}"
        yield Difference(ROWS, None, min(one.num_rows, other.num_rows), told)
        return
    places = {
        name: place
        for name, left, right in zip(one.schema.names, one.columns, other.columns, strict=True)
        if (place := first_difference(left, right)) is not None
    }
    # Rows with one event time and key are sorted by all their columns, so one column that differs moves the
    # values of the others. The cause is the column that has other values even after its values are sorted.
    guilty = [name for name in places if _values(one.column(name)) != _values(other.column(name))]
    for name in guilty or places:
        yield Difference(name, places[name])


def _values(column: pa.Array) -> list[str]:
    return sorted(map(exactly, column))
