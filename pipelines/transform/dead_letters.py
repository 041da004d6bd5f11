"""Dead letters: rows that are not events, each with the reason and with enough to repair it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from resources.wording import repr_of, text_of

DEAD_LETTER_SCHEMA = pa.schema(
    [
        # Counted from the start of the window's sourced snapshot; null if the transform lost the index.
        pa.field("source_row", pa.int64()),
        pa.field("field", pa.string(), nullable=False),  # path, `legs[2].fuel`; "" if no field is wrong
        pa.field("reason", pa.string(), nullable=False),  # one of Reason
        pa.field("value", pa.string()),  # the value at `field`, as text; long text is cut
        pa.field("detail", pa.string(), nullable=False),  # what is allowed there, and what to do
        pa.field("row", pa.string(), nullable=False),  # the whole row as JSON
    ]
)
# The form that is stored next to the snapshots. Letters beyond `max_dead_letters` have
# place and reason, but not the row.
LETTERS_SCHEMA = pa.schema(
    [
        pa.field("event", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),  # the run that found it
        # How often its row was tried: once, and once more for each redrive.
        pa.field("attempts", pa.int32(), nullable=False),
        *(field if field.name != "row" else field.with_nullable(True) for field in DEAD_LETTER_SCHEMA),
    ]
)
_LONGEST_VALUE = 500


class Reason(StrEnum):
    """Why a row is dead: the class by which counts and alerts are grouped."""

    TRANSFORM_RAISED = "transform_raised"
    NULL = "null"
    NULL_KEY = "null_key"
    NAN = "nan"
    INFINITE = "infinite"
    OUT_OF_RANGE = "out_of_range"
    FRACTION = "fraction"
    PRECISION_LOSS = "precision_loss"
    TOO_MANY_DIGITS = "too_many_digits"
    WRONG_TYPE = "wrong_type"
    NAIVE_TIMESTAMP = "naive_timestamp"
    ZONED_TIMESTAMP = "zoned_timestamp"
    UNKNOWN_SYMBOL = "unknown_symbol"
    WRONG_LENGTH = "wrong_length"
    INVALID_UTF8 = "invalid_utf8"
    BAD_UUID = "bad_uuid"
    DUPLICATE_KEY = "duplicate_key"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    OUTSIDE_WINDOW = "outside_window"
    ZERO_TIMESTAMP = "zero_timestamp"


@dataclass(frozen=True)
class Misfit:
    """A value that does not fit. `row` is its index in the column; `path` is relative
    to the column (`[2].fuel`)."""

    row: int
    path: str
    reason: Reason
    value: str | None
    detail: str


@dataclass(frozen=True)
class DeadLetter:
    """One dead row. It is one letter, even if several of its values do not fit."""

    source_row: int | None
    field: str
    reason: Reason
    value: str | None
    detail: str
    row: str


def dead_letter_batch(letters: Sequence[DeadLetter]) -> pa.RecordBatch:
    """`letters` as a record batch of DEAD_LETTER_SCHEMA."""
    columns = [[getattr(letter, name) for letter in letters] for name in DEAD_LETTER_SCHEMA.names]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, DEAD_LETTER_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=DEAD_LETTER_SCHEMA)


def shown(value: object) -> str | None:
    """A value as text for a dead letter: None stays None, lone surrogates are escaped, long text is cut."""
    if value is None:
        return None
    text = (
        value
        if isinstance(value, str)
        else repr_of(value)
        if isinstance(value, (bytes, list, dict))
        else text_of(value)
    )
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) > _LONGEST_VALUE:
        return f"{text[:_LONGEST_VALUE]}... ({len(text)} characters)"
    return text
