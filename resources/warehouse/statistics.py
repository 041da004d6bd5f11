"""What is known about the rows of a table before all of them are read; and the cost of a query."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from resources.warehouse.catalogue import SourceTable

Source = Literal["catalogue", "sample", "all rows"]
"""Where a statistic comes from: the warehouse's catalogue; a sample of rows, which
may not be typical; all rows."""


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of one column; None for what is not known.

    `source` is the source of `null_fraction` and `distinct`. `distinct` counts the different values
    that are not null: in the table if the source is the catalogue or all rows, else in the sample.
    `smallest` and `largest` are values as text, in Arrow's form. They are values of rows, so code that
    shows them must mask personal data.
    """

    null_fraction: float | None = None
    distinct: int | None = None
    smallest: str | None = None
    largest: str | None = None
    source: Source = "sample"


@dataclass(frozen=True)
class TableStatistics:
    """Statistics of a table. `rows` is its number of rows: exact if `rows_exact`, else an
    estimate; None if it is not known. `sampled_rows` is the number of rows that were read for the
    columns whose source is a sample."""

    rows: int | None
    rows_exact: bool
    sampled_rows: int
    columns: Mapping[str, ColumnStatistics]

    def as_of(self, table: SourceTable, rows: int | None, most_rows: int) -> "TableStatistics":
        """These statistics of a sample as statistics of the table; `rows` is its
        number of rows in the catalogue.

        A sample with at most `most_rows` rows is the whole table, unless the catalogue says
        that the table has more: a small table is read with a limit of one more row. Columns
        that were not read have no statistics.
        """
        whole = self.sampled_rows <= most_rows and (rows is None or rows <= most_rows)
        source: Source = "all rows" if whole else "sample"
        none = ColumnStatistics(source=source)
        columns = {
            column.name: replace(self.columns.get(column.name, none), source=source)
            for column in table.columns
        }
        if not whole and rows is not None and rows < self.sampled_rows:
            rows = None  # the catalogue's number is out of date
        return TableStatistics(self.sampled_rows if whole else rows, whole, self.sampled_rows, columns)

    def with_kept(self, kept: Mapping[str, ColumnStatistics]) -> "TableStatistics":
        """These statistics, with the catalogue's numbers of nulls and distinct values;
        unchanged if they are of all rows."""
        if self.rows_exact:
            return self
        columns = {
            name: replace(kept[name], smallest=one.smallest, largest=one.largest) if name in kept else one
            for name, one in self.columns.items()
        }
        return replace(self, columns=columns)


@dataclass(frozen=True)
class QueryCost:
    """The cost of a query by the warehouse's estimate: the rows and bytes that it returns, and the bytes of
    tables that it reads, for which some warehouses charge. None if the warehouse does not know."""

    rows: int | None = None
    bytes: int | None = None
    bytes_read: int | None = None


def of_rows(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> TableStatistics:
    """Statistics computed from rows, for a warehouse that keeps none."""
    rows = pa.Table.from_batches(list(batches), schema)
    columns = {field.name: _of_column(rows.column(place)) for place, field in enumerate(rows.schema)}
    return TableStatistics(None, False, rows.num_rows, columns)


def _of_column(column: pa.ChunkedArray) -> ColumnStatistics:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    nulls = column.null_count / len(column) if len(column) else None
    try:
        distinct = pc.count_distinct(column, mode="only_valid").as_py()
    except pa.ArrowNotImplementedError:  # a list or a struct
        distinct = None
    try:
        extremes = pc.min_max(column)
        smallest, largest = _text(extremes["min"]), _text(extremes["max"])
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # no order, or no text
        smallest = largest = None
    return ColumnStatistics(nulls, distinct, smallest, largest)


def _text(value: pa.Scalar) -> str | None:
    if not value.is_valid:
        return None
    if pa.types.is_binary(value.type) or pa.types.is_large_binary(value.type):
        return str(value.as_py().hex())
    return str(value.cast(pa.string()).as_py())
