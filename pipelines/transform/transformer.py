"""A batch from source to contract: through the author's transform, then conformed."""

import datetime as dt
import re
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.authoring.loading.author_output import author_output_aside
from pipelines.contract import Contract
from pipelines.independent_judge.errors import NotJudged
from pipelines.transform.authors_code import asks_to_stop
from pipelines.transform.conforming.columns import Integers, SourceColumn
from pipelines.transform.conforming.conformer import Conformer
from pipelines.transform.conforming.end_of_day import ALLOWED as END_OF_DAY_ALLOWED
from pipelines.transform.conforming.end_of_day import end_of_day
from pipelines.transform.conforming.judge import ConformJudge, PlainColumn, plain_arrays, plain_frame
from pipelines.transform.conforming.leaves import ColumnMismatchError
from pipelines.transform.dead_letters import DeadLetter, Reason, dead_letter_batch, shown
from pipelines.transform.errors import ConformError, ConformProblem, TransformFailed
from pipelines.transform.frames import checked_frame, column_of, frame_of, source_rows_of
from pipelines.transform.row_json import row_json
from resources.errors import did_you_mean, readable
from resources.process.waiting import waiting_for
from resources.wording import counted, cut, raised

# Single bad rows become dead letters. If a transform raises for more rows than this,
# the transform itself is wrong.
MOST_RAISED_ROWS = 100
_NOT_IN_INDEX = re.compile(r"\['([^']*)'\] not in index")

Transform = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class TransformedBatch:
    """The result of one batch with `rows_in` source rows; `rows_dropped` of them produced no row.

    `rows` has the Arrow schema of the contract without its event id. `dead` has DEAD_LETTER_SCHEMA, with one
    letter per dead row. A transform may make several rows of one, so the counts need not add up.
    `source_rows` are the source rows of `rows`, or None if the transform lost the index.
    `judged`: the positions in `rows`, ascending, of the rows that the independent judge has checked.
    """

    rows: pa.RecordBatch
    source_rows: Integers | None
    dead: pa.RecordBatch
    rows_in: int
    rows_dropped: int
    judged: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Piece:
    """Rows that the transform got in one call: the columns of one frame, and the source row of each row."""

    columns: dict[str, SourceColumn]
    row_count: int
    source_rows: Integers | None  # None if the transform lost the index
    rows_in: int
    plain: Callable[[str], PlainColumn]  # each column as it was before it became one of `columns`


class Transformer:
    """Transforms the batches of one window, in order.

    Rows come out in the order of their source rows if the transform kept the frame's index, else in the
    transform's order. Raises ConformError for a mistake of the module. Raises TransformFailed if the
    transform raises for the whole window, or for more than MOST_RAISED_ROWS of its rows. Raises
    Misjudged if a chosen row contains another value than plain Python makes from its source; with
    `judged` False no row is chosen.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        transform: Transform | None,
        key: str,
        event_time: str,
        event_id: str | None = None,
        window_start: dt.datetime | None = None,
        window_end: dt.datetime | None = None,
        whole_window: bool = False,
        record_timestamp: str = "publish_time",
        where: str = "transform",
        outcome: str = "nothing was published",
        judged: bool = True,
    ) -> None:
        window = (window_start, window_end) if window_start is not None and window_end is not None else None
        if window is None and (window_start or window_end):
            raise ValueError("window_start and window_end go together")
        self._transform, self._whole_window, self._where = transform, whole_window, where
        target = contract.without(event_id)
        for name in (key, event_time):
            target.field(name)
        if window and not str(target.field(event_time).type.logical).startswith("timestamp-"):
            raise ValueError(f"event time {event_time!r} is {target.field(event_time).type}, not a timestamp")
        self._conformer = Conformer(
            target,
            key=key,
            event_time=event_time,
            event_id=event_id,
            window=window,
            stamps_records=record_timestamp == "event_time",
            where=where,
        )
        self._judge = ConformJudge(target, key=key, event_time=event_time, where=where, outcome=outcome)
        self._judges = judged
        self._raised_rows = self._ended_rows = 0
        self._first_raised = (0, "")  # source row and exception, for the error that names the cause

    def apply(
        self, batch: pa.RecordBatch, first_row: int, chosen: Sequence[int] | None = None
    ) -> TransformedBatch:
        """Transform and conform `batch`, whose first row is row `first_row` of the window (from 0). `chosen`:
        the rows to judge, if they were already chosen."""
        letters: list[DeadLetter] = []
        parts: list[pa.RecordBatch] = []
        source_rows: list[Integers | None] = []
        judged: list[int] = []
        dropped = rows_out = 0
        for piece in self._all_pieces(batch, first_row, letters):
            numbers = piece.source_rows
            rows, dead, alive = self._conformer.conform(piece.columns, piece.row_count, numbers)
            # Choose other rows if a transform made the rows, or if some of the
            # chosen rows may be dead letters.
            same_rows = self._transform is None and alive is None
            if self._judges:
                places = self._judge.judge(
                    piece.columns,
                    piece.plain,
                    piece.row_count,
                    rows,
                    alive,
                    numbers,
                    chosen if same_rows else None,
                )
                judged += [rows_out + place for place in places]
            rows_out += rows.num_rows
            parts.append(rows)
            source_rows.append(numbers if alive is None or numbers is None else numbers[alive])
            letters += dead
            dropped += _dropped(piece)
        rows = _joined(parts, self._conformer.arrow_schema)
        return TransformedBatch(
            rows,
            _all_known(source_rows),
            dead_letter_batch(letters),
            batch.num_rows,
            dropped,
            tuple(judged),
        )

    def judge_stored(
        self,
        batch: pa.RecordBatch,
        first_row: int,
        dead_rows: Integers,
        stored: Callable[[int], pa.RecordBatch],
    ) -> int:
        """Judge the rows that an earlier run made of `batch`; returns the number of judged rows.

        `dead_rows`: the source rows of its dead letters, ascending. `stored` returns the next so
        many of the stored rows. Raises Misjudged, and NotJudged if it is not known which stored
        row came from which source row.
        """
        judged = 0
        for piece in self._all_pieces(batch, first_row, []):
            alive = None
            if len(dead_rows):
                if piece.source_rows is None:
                    raise NotJudged(
                        "the transform does not keep the frame's index, and some rows are dead letters"
                    )
                alive = ~np.isin(piece.source_rows, dead_rows)
                if len(np.unique(piece.source_rows[~alive])) != np.count_nonzero(~alive):
                    raise NotJudged(
                        "the transform makes several rows of one, and some of them are dead letters"
                    )
            count = piece.row_count if alive is None else int(np.count_nonzero(alive))
            if not count:
                continue
            rows = stored(count)
            numbers = piece.source_rows
            judged += len(
                self._judge.judge(piece.columns, piece.plain, piece.row_count, rows, alive, numbers)
            )
        return judged

    def transformed(self, batch: pa.RecordBatch, first_row: int) -> list[dict[str, SourceColumn]]:
        """The columns that the transform makes of `batch`, not conformed; one dict for
        each call of the transform."""
        return [piece.columns for piece in self._all_pieces(batch, first_row, [])]

    def _all_pieces(
        self, batch: pa.RecordBatch, first_row: int, letters: list[DeadLetter]
    ) -> Iterator[_Piece]:
        if self._transform is None:
            return iter([self._identity(batch, first_row)])
        without_python = end_of_day(batch)
        if without_python:
            return self._between(batch, first_row, without_python, letters)
        return self._pieces(batch, first_row, letters)

    def _between(
        self, batch: pa.RecordBatch, first_row: int, dead: Mapping[int, str], letters: list[DeadLetter]
    ) -> Iterator[_Piece]:
        """The rows between the `dead` ones. The transform would get the `dead` rows with another
        time than the warehouse has."""
        self._ended_rows += len(dead)
        if self._whole_window or self._ended_rows > MOST_RAISED_ROWS:
            columns = ", ".join(map(repr, dict.fromkeys(dead.values())))
            told = f"column {columns} holds the time 24:00 in {counted(self._ended_rows, 'row')}"
            first = next(iter(dead.values()))
            raise ConformError(self._where, (ConformProblem(told, END_OF_DAY_ALLOWED, column=first),))
        start = 0
        for row, name in [*dead.items(), (batch.num_rows, "")]:
            yield from self._pieces(batch.slice(start, row - start), first_row + start, letters)
            if row < batch.num_rows:
                whole = row_json(
                    {
                        column: array[row]
                        for column, array in zip(batch.schema.names, batch.columns, strict=True)
                    }
                )
                letters.append(
                    DeadLetter(first_row + row, name, Reason.OUT_OF_RANGE, "24:00", END_OF_DAY_ALLOWED, whole)
                )
            start = row + 1

    def _identity(self, batch: pa.RecordBatch, first_row: int) -> _Piece:
        # The names as a list, before the dict is built: a dict would keep only the last of
        # two columns with the same name.
        self._conformer.check_names(list(batch.schema.names), column=batch.column)
        count = batch.num_rows
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        numbers = np.arange(first_row, first_row + count)
        return _Piece(columns, count, numbers, count, plain_arrays(columns))

    def _pieces(self, batch: pa.RecordBatch, first_row: int, letters: list[DeadLetter]) -> Iterator[_Piece]:
        """The batch through the transform. If it raises, the batch is halved again and again until
        the failing rows are single."""
        if batch.num_rows == 0:
            return
        assert self._transform is not None
        frame = frame_of(batch, first_row)
        try:
            with author_output_aside(), waiting_for(f"the transform of {self._where}"):
                result = self._transform(frame)
        except BaseException as error:  # sys.exit() would end the run and all later windows
            if asks_to_stop(error):
                raise
            said = _said(error, batch.schema.names)
            if self._whole_window:
                raise TransformFailed(
                    self._where, said, rows_failed=batch.num_rows, source_row=None
                ) from error
            if batch.num_rows == 1:
                letters.append(self._raised(batch, first_row, said))
                return
            half = batch.num_rows // 2
            yield from self._pieces(batch.slice(0, half), first_row, letters)
            yield from self._pieces(batch.slice(half), first_row + half, letters)
            return
        yield self._piece(checked_frame(result, self._where), batch.num_rows, first_row)

    def _raised(self, batch: pa.RecordBatch, source_row: int, said: str) -> DeadLetter:
        self._raised_rows += 1
        if self._raised_rows == 1:
            self._first_raised = (source_row, said)
        if self._raised_rows > MOST_RAISED_ROWS:
            first_row, first_said = self._first_raised
            raise TransformFailed(
                self._where,
                first_said,
                rows_failed=self._raised_rows,
                source_row=first_row,
                every=first_row == 0 and source_row + 1 == self._raised_rows,
            )
        row = row_json(
            {name: array[0] for name, array in zip(batch.schema.names, batch.columns, strict=True)}
        )
        return DeadLetter(source_row, "", Reason.TRANSFORM_RAISED, None, said, row)

    def _piece(self, frame: pd.DataFrame, rows_in: int, first_row: int) -> _Piece:
        def column(name: Hashable) -> SourceColumn:
            return column_of(frame[name])

        self._conformer.check_names(list(frame.columns), tuple(frame.index.names), column=column)
        source_rows = source_rows_of(frame, first_row, rows_in)
        try:
            columns = {name: column(name) for name in frame.columns}
        except ColumnMismatchError:
            self._conformer.require_types(column)
            raise
        order = None
        if source_rows is not None and np.any(np.diff(source_rows) < 0):
            order = np.argsort(source_rows, kind="stable")
            source_rows = source_rows[order]
            columns = {name: _taken(values, order) for name, values in columns.items()}
        return _Piece(columns, len(frame), source_rows, rows_in, plain_frame(frame, order))


def _taken(values: SourceColumn, order: Integers) -> SourceColumn:
    return [values[i] for i in order.tolist()] if isinstance(values, list) else values.take(pa.array(order))


def _dropped(piece: _Piece) -> int:
    if piece.source_rows is None:
        return max(0, piece.rows_in - piece.row_count)
    # They are sorted here, so each new source row is a step up.
    seen = np.count_nonzero(np.diff(piece.source_rows)) + 1 if piece.row_count else 0
    return piece.rows_in - int(seen)


def _all_known(parts: Sequence[Integers | None]) -> Integers | None:
    if any(part is None for part in parts):
        return None
    # No part is None here.
    return np.concatenate([np.array([], np.int64), *cast("Sequence[Integers]", parts)])


def _joined(parts: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    columns = [
        pa.concat_arrays([part.column(i) for part in parts]) if parts else pa.array([], field.type)
        for i, field in enumerate(schema)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _said(error: BaseException, columns: Sequence[str] = ()) -> str:
    """The exception in one line, with the line of the author's code; the rest of the stack trace does
    not belong to a row. `columns` are the frame's columns: if the code uses a column that the frame
    does not have, the text says so."""
    # The callers of the transform are Sluice's own code (modules of `pipelines`), and are left out.
    lines = (
        f"{frame.f_code.co_filename.rpartition('/')[2]}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_globals.get("__name__", "").startswith("pipelines.")
    )
    line = next(lines, None)
    at = f" ({line})" if line else ""
    return shown(readable(f"{_in_words(error, columns)}{at}")) or ""


def _in_words(error: BaseException, columns: Sequence[str]) -> str:
    if isinstance(error, RecursionError):  # its other text depends on which call happened to be the last
        return "RecursionError: maximum recursion depth exceeded"
    name = None
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        name = error.args[0]
    elif isinstance(error, AttributeError) and isinstance(error.obj, pd.DataFrame):
        name = error.name
    last = list(traceback.walk_tb(error.__traceback__))[-1:]
    of_pandas = any(frame.f_globals.get("__name__", "").startswith("pandas.") for frame, _ in last)
    if name is None or name in columns or not of_pandas:
        return raised(error)
    if isinstance(error, AttributeError):
        near = did_you_mean(name, [*columns, *(one for one in dir(pd.DataFrame) if not one.startswith("_"))])
        return f"no column or method {cut(name)!r}{near.replace(' Did', '; did')}"
    missing = _NOT_IN_INDEX.fullmatch(name)
    name = missing[1] if missing else name
    return f"no column {cut(name)!r}{did_you_mean(name, columns).replace(' Did', '; did')}"
