"""The short way to agree: the log's records are, in each Kafka partition, exactly the expected ones in their order.

A producer keeps the order of the records of a Kafka partition. So where nobody else wrote in between, both sides are
the same bytes one after the other, and comparing them costs next to nothing. This way says "agrees" or nothing:
whatever it meets that is otherwise, an altered record or somebody else's, is for the comparison that needs no order.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from pipelines.encoding import kafka_partitions
from pipelines.encoding.assembly import byte_view
from pipelines.publishing.ahead import ahead
from pipelines.reconciling.content import Checksum, content_hashes
from pipelines.reconciling.expected import Records
from pipelines.reconciling.log import Committed
from pipelines.reconciling.stamps import own_stamps
from resources.memory import GivingBack

# Of records that wait for their like: a few batches are always expected before they are found, and at most so much
# waits on either side, whatever the order in which a consumer is given the kafka_partitions.
_FEW_BYTES = 2 << 20
_MOST_BYTES = 3 << 20
# Made ahead of whoever reads the log.
_AHEAD = 2

Held = Callable[[], Collection[int]]
"""Asked for the kafka_partitions that are not to be read on at this moment."""


@dataclass(frozen=True)
class Agreement:
    """All records are there, and no others."""

    checksum: Checksum
    total_bytes: int


def agrees_in_order(
    expected: Callable[[], Generator[Records, None, None]],
    read: Callable[[Held], Generator[Committed, None, None]],
    kafka_partition_count: int,
    *,
    in_thread: bool,
) -> Agreement | None:
    """What agrees, or None where this way cannot tell. `expected`, in the order of publication, is made in a thread
    while the log is read, where that is worth it."""
    both, found, memory = _SideBySide(kafka_partition_count), 0, GivingBack()
    made = ahead(expected, most=_AHEAD) if in_thread else expected()
    with closing(made) as wanted, closing(read(both.held)) as log:
        for records in log:
            found += records.total_bytes
            both.find(records)
            memory.passed(len(records))
            while both.agree and both.wants_expected:
                more = next(wanted, None)
                if more is not None:
                    both.expect(more)
                elif both.found_wait:
                    return None
                else:
                    break
            if not both.agree:
                return None
        # Rows without a record, where there still are any.
        for rest in wanted:
            both.expect(rest)
            if not both.all_compared:
                return None
    return Agreement(both.checksum, found) if both.agree and both.all_compared else None


class _Waiting:
    """Keys and values of each kafka_partition that wait for their like, first come first."""

    def __init__(self) -> None:
        self.pieces: defaultdict[int, deque[pa.RecordBatch]] = defaultdict(deque)
        self.bytes = 0

    def add(self, p: int, piece: pa.RecordBatch) -> None:
        self.pieces[p].append(piece)
        self.bytes += _bytes(piece)

    def take(self, p: int, records: int) -> pa.RecordBatch:
        """The first `records`, of no more than the first piece."""
        first = self.pieces[p].popleft()
        if records < first.num_rows:
            self.pieces[p].appendleft(first.slice(records))
        taken = first.slice(0, records)
        self.bytes -= _bytes(taken)
        return taken


class _SideBySide:
    """Expected and found records, each compared with its like as soon as both are there."""

    def __init__(self, kafka_partition_count: int) -> None:
        self._count = kafka_partition_count
        self._expected, self._found = _Waiting(), _Waiting()
        self.checksum, self.agree = Checksum(), True

    def expect(self, records: Records) -> None:
        self.checksum.add(content_hashes(records.keys, records.values))
        for p, piece in _placed(records, self._count):
            self._expected.add(p, piece)
            self._compare(p)

    def find(self, records: Committed) -> None:
        for p, piece in _runs(records):
            self._found.add(p, piece)
            self._compare(p)

    @property
    def all_compared(self) -> bool:
        return self._expected.bytes == self._found.bytes == 0

    @property
    def found_wait(self) -> bool:
        return self._found.bytes > 0

    @property
    def wants_expected(self) -> bool:
        return self._expected.bytes < (_MOST_BYTES if self.found_wait else _FEW_BYTES)

    def held(self) -> Collection[int]:
        """What was read far beyond the others waits until these have come."""
        if self._found.bytes < _MOST_BYTES:
            return ()
        return {p for p, pieces in self._found.pieces.items() if pieces}

    def _compare(self, p: int) -> None:
        expected, found = self._expected.pieces[p], self._found.pieces[p]
        while self.agree and expected and found:
            records = min(expected[0].num_rows, found[0].num_rows)
            # To the byte, and null for null.
            self.agree = bool(self._expected.take(p, records).equals(self._found.take(p, records)))


def _placed(records: Records, kafka_partition_count: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The records by the kafka_partition that their keys belong to."""
    places = kafka_partitions(records.keys, kafka_partition_count)
    order = np.argsort(places.astype(np.uint16) if kafka_partition_count < 2**16 else places, kind="stable")
    there, counts = np.unique(places, return_counts=True)
    both = _piece(records)
    own = np.split(order, np.cumsum(counts)[:-1])
    for p, rows in zip(there.tolist(), own, strict=True):
        # In memory of its own: what waits long keeps nothing of the others.
        yield p, both.take(pa.array(rows))


def _runs(records: Committed) -> Iterable[tuple[int, pa.RecordBatch]]:
    """The records in runs of one kafka_partition, as they came."""
    places = records.kafka_partitions
    both = _piece(records)
    starts = np.flatnonzero(np.diff(places, prepend=-1)).tolist()
    for first, end in pairwise([*starts, len(places)]):
        yield int(places[first]), both.slice(first, end - first)


def _piece(records: Records | Committed) -> pa.RecordBatch:
    wide = pa.large_binary()
    columns = {"key": records.keys.cast(wide), "value": records.values.cast(wide)}
    if records.stamps is not None:
        columns["stamp"] = own_stamps(records)
    return pa.record_batch(columns)


def _bytes(piece: pa.RecordBatch) -> int:
    # With their offsets: records of no bytes at all are no more nothing than others.
    data = sum(int(places[-1] - places[0]) for places, _ in map(byte_view, piece.columns[:2]))
    return data + 16 * int(piece.num_rows)
