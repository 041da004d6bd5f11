"""The timestamp of a Kafka record that is its event time, and the one timestamp that no record can have."""

import datetime as dt

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.transform.value_rules import UNITS_PER_SECOND

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST = 2**63 - 1
_MICROSECOND = dt.timedelta(microseconds=1)
# librdkafka reads a record timestamp of 0 as "no timestamp" and sends the time of publication instead.
NOT_SET_MS = 0
NOT_SET_DETAIL = (
    'with record_timestamp="event_time" an event time that is not in the first millisecond of 1970: the Kafka client '
    "cannot send the record timestamp 0. Leave such rows out in the query, make the event time right, or declare "
    'record_timestamp="publish_time"'
)


def milliseconds(times: pa.Array) -> npt.NDArray[np.int64]:
    """The record timestamps of event times (instants of any unit, without nulls): whole milliseconds since
    1970, rounded down (-1 microsecond gives -1)."""
    # Floor division, as in Java's Instant.toEpochMilli: Arrow's cast rounds towards 1970.
    return _counts(times) // (UNITS_PER_SECOND[times.type.unit] // 1000)


def microseconds(times: pa.Array) -> npt.NDArray[np.int64]:
    """Event times in microseconds since 1970, rounded down, in the same order. A time that 64 bits cannot
    hold becomes the first or last one that they can."""
    counts, per_second = _counts(times), UNITS_PER_SECOND[times.type.unit]
    if per_second >= 1_000_000:
        return counts // (per_second // 1_000_000)
    factor = 1_000_000 // per_second
    return np.clip(counts, -(2**63) // factor + 1, (2**63 - 1) // factor) * factor


def count_up(instant: dt.datetime, unit: str) -> int:
    """The first whole unit since 1970 that is not before `instant`. So an instant in that unit is at or
    after `instant` exactly if its count is at least this number. If 64 bits cannot hold it, the smallest or
    largest number that they can."""
    micros = (instant - _EPOCH) // _MICROSECOND
    return min(max(-(-micros * UNITS_PER_SECOND[unit] // 1_000_000), -_LAST - 1), _LAST)


def _counts(times: pa.Array) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = times.view(pa.int64()).to_numpy(zero_copy_only=False)
    return counts
