"""What source rows become in one way of transforming them, and where two ways differ."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.stages.transform import transformer_of
from pipelines.transform.row_json import from_scalar
from resources.errors import SluiceError

Rows = npt.NDArray[np.int64]
# The column name in a difference that is about the number of events.
EVENTS = "the number of events"


@dataclass(frozen=True)
class Difference:
    """`column` differs in the events of `source_row`; `row`, if the source row is not known: the position
    among the events. It contains no value, because a value may be personal data."""

    column: str
    source_row: int | None
    row: int | None = None
    told: str = "has another value"

    @property
    def place(self) -> str:
        """Which row, for people."""
        return f"event {self.row}" if self.source_row is None else f"source row {self.source_row}"


@dataclass
class Outcome:
    """Events with the contract's columns, the source row of each (None: the transform lost the index), and
    the dead letters as (field, reason) by source row. `stopped`: the error that ended the window, with the
    number of the first source row of its frame. `left_out`: the first rows of frames that were left out."""

    events: pa.RecordBatch | None = None
    source_rows: Rows | None = None
    letters: dict[int | None, list[tuple[str, str]]] = field(default_factory=dict)
    stopped: tuple[int, SluiceError] | None = None
    left_out: list[int] = field(default_factory=list)


def outcome_of(
    event: Event, window: Window, frames: Iterable[tuple[pa.RecordBatch, int]], *, with_index: bool = False
) -> Outcome:
    """Transforms the frames, each with the number of its first row, one after the other with the code of a
    run, but without its judge. `with_index`: a frame for which the transform loses the index is left out."""
    transformer = transformer_of(event, window, judged=False)
    found = Outcome()
    events: list[pa.RecordBatch] = []
    source_rows: list[Rows] | None = []
    for batch, first_row in frames:
        try:
            done = transformer.apply(batch, first_row)
        except SluiceError as error:
            found.stopped = (first_row, error)
            return found
        if with_index and done.source_rows is None:
            found.left_out.append(first_row)
            continue
        events.append(done.rows)
        if source_rows is not None:
            source_rows = None if done.source_rows is None else [*source_rows, done.source_rows]
        for letter in done.dead.to_pylist():
            found.letters.setdefault(letter["source_row"], []).append((letter["field"], letter["reason"]))
    if events:
        found.events = pa.concat_batches(events)
        found.source_rows = None if source_rows is None else np.concatenate(source_rows).astype(np.int64)
    return found


def renumbered(outcome: Outcome, by: int) -> Outcome:
    """The same outcome with `by` subtracted from all row numbers."""
    stopped = outcome.stopped and (outcome.stopped[0] - by, outcome.stopped[1])
    letters = {row if row is None else row - by: told for row, told in outcome.letters.items()}
    rows = None if outcome.source_rows is None else outcome.source_rows - by
    return Outcome(outcome.events, rows, letters, stopped)


def differences(one: Outcome, other: Outcome, rows: Rows) -> Iterator[Difference]:
    """Where `other` differs from `one` over these source rows (ascending), one difference for each column."""
    if one.events is None or other.events is None:
        return
    left, right = one.source_rows, other.source_rows
    if left is None or right is None:
        if one.events.num_rows != other.events.num_rows:
            told = f"is {one.events.num_rows:,} and {other.events.num_rows:,}"
            yield Difference(EVENTS, None, min(one.events.num_rows, other.events.num_rows), told)
            return
        yield from _in_columns(one.events, other.events, None)
        return
    same = _counts(left, rows) == _counts(right, rows)
    if not same.all():
        yield _other_number(one, other, int(rows[~same][0]))
    yield from _in_letters(one, other, rows)
    kept = [np.isin(source_rows, rows[same]) for source_rows in (left, right)]
    yield from _in_columns(
        one.events.filter(pa.array(kept[0])), other.events.filter(pa.array(kept[1])), left[kept[0]]
    )


def _counts(source_rows: Rows, rows: Rows) -> Rows:
    low, high = np.searchsorted(source_rows, rows, "left"), np.searchsorted(source_rows, rows, "right")
    return np.asarray(high - low, np.int64)


def _other_number(one: Outcome, other: Outcome, row: int) -> Difference:
    """A row that becomes another number of events.
    If it is a dead letter in one of the two ways, the field differs."""
    told = []
    column = ""
    for outcome in (one, other):
        assert outcome.source_rows is not None
        count = int(_counts(outcome.source_rows, rows_between(row, row + 1))[0])
        letters = outcome.letters.get(row)
        if letters:
            column = column or letters[0][0]
        told.append(f"a dead letter ({letters[0][1]})" if letters else str(count))
    if column:
        first, second = (part if part.startswith("a dead") else "a value" for part in told)
        return Difference(column, row, told=f"is {first} and {second}")
    return Difference(EVENTS, row, told=f"is {told[0]} and {told[1]}")


def _in_letters(one: Outcome, other: Outcome, rows: Rows) -> Iterator[Difference]:
    """The first row that is a dead letter in both ways, but for different reasons."""
    wanted = set(rows.tolist())
    for row, letters in one.letters.items():
        others = other.letters.get(row)
        if row in wanted and others and others != letters:
            told = f"is a dead letter of {letters[0][1]} and of {others[0][1]}"
            yield Difference(letters[0][0] or others[0][0] or EVENTS, row, told=told)
            return


def _in_columns(one: pa.RecordBatch, other: pa.RecordBatch, source_rows: Rows | None) -> Iterator[Difference]:
    for name, left, right in zip(one.schema.names, one.columns, other.columns, strict=True):
        row = first_difference(left, right)
        if row is not None:
            source_row = None if source_rows is None else int(source_rows[row])
            yield Difference(name, source_row, row if source_row is None else None)


def first_difference(one: pa.Array, other: pa.Array) -> int | None:
    """The first row in which two arrays of the same type and length differ. Floats are compared bit by bit,
    except that all NaN are equal."""
    if pa.types.is_floating(one.type):
        differ = np.flatnonzero((_valid(one) != _valid(other)) | (_bits(one) != _bits(other)))
        return int(differ[0]) if len(differ) else None
    if _alike(one, other):
        return None
    return next(
        (row for row, (a, b) in enumerate(zip(one, other, strict=True)) if exactly(a) != exactly(b)), None
    )


def _alike(one: pa.Array, other: pa.Array) -> bool:
    """Whether two arrays are known to be equal without comparing each value."""
    kind = one.type
    if not _holds_floats(kind):
        return bool(one.equals(other))
    if len(one) != len(other) or (_valid(one) != _valid(other)).any():
        return False
    if pa.types.is_floating(kind):
        return bool((_bits(one) == _bits(other)).all())
    if isinstance(kind, pa.StructType):
        return all(map(_alike, one.flatten(), other.flatten()))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = [pc.list_value_length(each).fill_null(0) for each in (one, other)]
        return bool(lengths[0].equals(lengths[1])) and _alike(one.flatten(), other.flatten())
    return False


def _valid(array: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False), np.bool_)


def _bits(array: pa.Array) -> npt.NDArray[Any]:
    """The bits of plain floats, as integers; every NaN has the same bits."""
    values = np.asarray(array.fill_null(0).to_numpy(zero_copy_only=False))
    alike = np.where(np.isnan(values), values.dtype.type(np.nan), values)
    return alike.view(np.dtype(f"u{values.itemsize}"))


def exactly(value: Any) -> str:
    """A text that differs if and only if two values of one type differ.
    NaN is equal to NaN; -0.0 is not equal to 0.0."""
    return repr(from_scalar(value))


def _holds_floats(kind: pa.DataType) -> bool:
    if pa.types.is_floating(kind):
        return True
    if pa.types.is_map(kind):
        return _holds_floats(kind.item_type)
    if isinstance(kind, pa.StructType) or pa.types.is_nested(kind):
        return any(_holds_floats(kind.field(place).type) for place in range(kind.num_fields))
    return False


def rows_between(first: int, stop: int) -> Rows:
    """The source rows from `first` until before `stop`."""
    return np.arange(first, stop, dtype=np.int64)


def of_batch(batch: pa.RecordBatch, rows: Sequence[int]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Each of these rows as its own frame, with its number."""
    for row in rows:
        yield batch.slice(row, 1), row
