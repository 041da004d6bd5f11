"""The timestamp of a Kafka record that is its event time, and the one that no record can carry."""

import datetime as dt

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.transform.value_rules import UNITS_PER_SECOND

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST = 2**63 - 1
_MICROSECOND = dt.timedelta(microseconds=1)
# Kafka's client, librdkafka, takes a record timestamp of 0 for none, and sends the time of publication in its place.
NOT_SET_MS = 0
NOT_SET_DETAIL = (
    'with record_timestamp="event_time" an event time that is not in the first millisecond of 1970: the Kafka client '
    "cannot send the record timestamp 0. Leave such rows out in the query, make the event time right, or declare "
    'record_timestamp="publish_time"'
)


def milliseconds(times: pa.Array) -> npt.NDArray[np.int64]:
    """The record timestamps of event times, instants of any unit without nulls: whole milliseconds since 1970, those
    that have begun (of -1 microsecond -1)."""
    # By floor division, as Java's Instant.toEpochMilli: Arrow's cast cuts towards 1970.
    return _counts(times) // (UNITS_PER_SECOND[times.type.unit] // 1000)


def microseconds(times: pa.Array) -> npt.NDArray[np.int64]:
    """Event times in microseconds since 1970, in the same order: those that have begun, and where 64 bits end, the last
    one that they hold."""
    counts, per_second = _counts(times), UNITS_PER_SECOND[times.type.unit]
    if per_second >= 1_000_000:
        return counts // (per_second // 1_000_000)
    factor = 1_000_000 // per_second
    return np.clip(counts, -(2**63) // factor + 1, (2**63 - 1) // factor) * factor


def count_up(instant: dt.datetime, unit: str) -> int:
    """The first whole unit since 1970 that is not before `instant`: instants of that unit are at or above `instant`
    exactly if their count is at or above this. A unit that 64 bits do not reach is the last one that they do."""
    micros = (instant - _EPOCH) // _MICROSECOND
    return min(max(-(-micros * UNITS_PER_SECOND[unit] // 1_000_000), -_LAST - 1), _LAST)


def _counts(times: pa.Array) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = times.view(pa.int64()).to_numpy(zero_copy_only=False)
    return counts
