"""Judges conformed rows: it converts the source values in plain Python and compares them
with the conformer's result."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.contract import Contract
from pipelines.independent_judge.choice import Choice
from pipelines.independent_judge.contract_form import of_rows
from pipelines.independent_judge.errors import Misjudged, first_difference, shown_time
from pipelines.independent_judge.values import UnreadableType, reader_of, same
from pipelines.transform.conforming.cells import CellMisfitError
from pipelines.transform.conforming.columns import Integers, Mask, SourceColumn
from pipelines.transform.conforming.plain import Convert, of_arrow, of_python

ReadSource = Callable[[int], object]
"""Returns the value of a row, whatever the source has there."""
# A column that the conformer got: its Arrow type (None for Python objects) and the reader of its values.
PlainColumn: TypeAlias = "tuple[pa.DataType | None, ReadSource]"


class ConformJudge:
    """Judges the batches of one window, in their order. `where` names the event and window; `outcome` says
    what happens to a row that is wrong."""

    def __init__(self, contract: Contract, *, key: str, event_time: str, where: str, outcome: str) -> None:
        self._contract, self._key, self._event_time, self._where = contract, key, event_time, where
        self._outcome = outcome
        self._choice = Choice(where, text_order=True)
        self._converters: dict[tuple[str, str], Convert] = {}
        self.judged = 0

    def judge(
        self,
        columns: Mapping[str, SourceColumn],
        plain: Callable[[str], PlainColumn],
        count: int,
        rows: pa.RecordBatch,
        alive: Mask | None,
        source_rows: Integers | None,
        chosen: Sequence[int] | None = None,
    ) -> Sequence[int]:
        """Judge chosen rows among those that the conformer got as `columns` and returned as `rows`.

        `plain` returns each column as it was before any Arrow kernel saw it. `alive` says which of `count`
        rows were returned; None for all. `source_rows` are their numbers. `chosen` are the rows to judge, if
        they are already known. Returns their positions in `rows`. Raises Misjudged.
        """
        if chosen is None:
            arrays = [(name, values) for name, values in columns.items() if not isinstance(values, list)]
            chosen = self._choice.rows(arrays, count, alive)
        if not chosen:
            return ()
        places = chosen if alive is None else (np.cumsum(alive)[list(chosen)] - 1).tolist()
        for n, field in enumerate(self._contract.fields):
            try:
                kind, read = plain(field.name)
            except UnreadableType:
                # The conformer accepts such a type only for a column of nulls,
                # so there is nothing to compare.
                continue
            convert = self._converter(field.name, kind)
            conformed, form = reader_of(rows.column(n)), of_rows(field.type)
            for row, place in zip(chosen, places, strict=True):
                found: object = form(conformed(place))
                try:
                    wanted: object = convert(read(row))
                except CellMisfitError as misfit:
                    path = field.name + misfit.path
                    raise self._wrong(
                        rows, place, row, source_rows, path, found, misfit.value, unfit=str(misfit.reason)
                    ) from None
                if not same(found, wanted):
                    path, found, wanted = first_difference(found, wanted, field.name)
                    raise self._wrong(rows, place, row, source_rows, path, found, wanted)
        self.judged += len(chosen)
        return places

    def _converter(self, name: str, kind: pa.DataType | None) -> Convert:
        place = (name, str(kind))
        if place not in self._converters:
            avro = self._contract.field(name).type
            self._converters[place] = of_python(avro) if kind is None else of_arrow(kind, avro)
        return self._converters[place]

    def _wrong(
        self,
        rows: pa.RecordBatch,
        place: int,
        row: int,
        source_rows: Integers | None,
        path: str,
        found: object,
        wanted: object,
        unfit: str = "",
    ) -> Misjudged:
        times = rows.column(self._event_time)
        return Misjudged(
            self._where,
            row=None if source_rows is None else int(source_rows[row]),
            key=reader_of(rows.column(self._key))(place),
            time=shown_time(reader_of(times)(place), times.type),
            column=path,
            found=found,
            plain=wanted,
            found_is="the transformed row holds",
            plain_is=f"the same source value does not fit in plain Python ({unfit}); it is"
            if unfit
            else "the same source value, converted in plain Python, is",
            outcome=self._outcome,
        )


def plain_arrays(columns: Mapping[str, pa.Array]) -> Callable[[str], PlainColumn]:
    """The columns of a source batch."""
    return lambda name: (columns[name].type, reader_of(columns[name]))


def plain_frame(frame: pd.DataFrame, order: Integers | None) -> Callable[[str], PlainColumn]:
    """The columns of a frame, with its rows in `order` (None: unchanged)."""

    def column(name: str) -> PlainColumn:
        kind, read = _of_series(frame[name])
        return kind, read if order is None else lambda row: read(int(order[row]))

    return column


def _of_series(series: pd.Series) -> PlainColumn:
    dtype, values = series.dtype, series.array
    if isinstance(dtype, pd.ArrowDtype):
        chunked = values.__arrow_array__()
        return chunked.type, _of_chunks(chunked)
    if isinstance(dtype, np.dtype):
        return None, lambda row: values[row]
    # The column's own type decides what is missing: for example NaN in a text column.
    return None, lambda row: None if _missing(value := values[row]) else value


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def _of_chunks(chunked: pa.Array | pa.ChunkedArray) -> ReadSource:
    if isinstance(chunked, pa.Array):
        return reader_of(chunked)
    if chunked.num_chunks == 1:
        return reader_of(chunked.chunk(0))
    starts = np.cumsum([0, *(len(chunk) for chunk in chunked.chunks)])
    readers = [reader_of(chunk) for chunk in chunked.chunks]

    def read(row: int) -> object:
        nth = int(np.searchsorted(starts, row, side="right")) - 1
        return readers[nth](row - int(starts[nth]))

    return read
