"""The timestamp of a Kafka record that is its event time, and the one that no record can carry."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.transform.rules import UNITS_PER_SECOND

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
    counts: npt.NDArray[np.int64] = times.view(pa.int64()).to_numpy(zero_copy_only=False)
    # By floor division, as Java's Instant.toEpochMilli: Arrow's cast cuts towards 1970.
    per_millisecond, rest = divmod(UNITS_PER_SECOND[times.type.unit], 1000)
    return counts // per_millisecond if not rest else counts * 1000
