"""The error of a window in which a value differs from what an independent reading gives."""

from datetime import datetime, timedelta

import pyarrow as pa

from pipelines.independent_judge.values import same
from resources.errors import SluiceError

_LONGEST = 200


class NotJudged(Exception):
    """Why stored rows cannot be judged; they may be correct."""


class Misjudged(SluiceError):
    """One value of one row was made wrong. `row` counts from 0 in the window's
    snapshot; None if it is not known."""

    def __init__(
        self,
        where: str,
        *,
        row: int | None,
        key: object,
        time: str,
        column: str,
        found: object,
        plain: object,
        found_is: str,
        plain_is: str,
        outcome: str = "nothing was published",
    ) -> None:
        self.row, self.key, self.column = row, key, column
        self.found, self.plain = found, plain
        place = "a row" if row is None else f"row {row:,}"
        super().__init__(
            where,
            f"the independent judge found a wrong value in {place} (key {_shown(key)}, event time {time}), column "
            f"{column!r}: {found_is} {_shown(found)}, {plain_is} {_shown(plain)}",
            next_step=f"{outcome}; the fault is in Sluice or in a library that it uses: report it with the column's type and "
            "both values",
        )


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, (str, bytes, list, dict, tuple)) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def first_difference(one: object, other: object, path: str) -> tuple[str, object, object]:
    """The innermost place where two values differ: its path, and both values there."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            if not same(one[name], other[name]):
                return first_difference(one[name], other[name], f"{path}.{name}")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            if not same(left, right):
                return first_difference(left, right, f"{path}[{place}]")
    return path, one, other


def shown_time(count: object, kind: pa.DataType | None) -> str:
    """An instant for people; `count` was read in the unit of `kind`, an Arrow timestamp."""
    if not isinstance(count, int) or kind is None or not pa.types.is_timestamp(kind):
        return str(count)
    seconds, rest = divmod(count, {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit])
    try:
        text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return f"{count} {kind.unit} since 1970"
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[kind.unit]
    fraction = f".{rest:0{digits}d}" if rest else ""
    return f"{text}{fraction}{'Z' if kind.tz else ''}"
