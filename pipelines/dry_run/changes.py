"""Shows what differs in the events of a correction:
each event beside the published event that it replaces."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.encoding import RecordEncoder, decode_record
from pipelines.encoding.keys import key_bytes
from pipelines.encoding.plain_json import plain
from pipelines.publishing.next_generation.difference import difference, take_rows
from pipelines.publishing.next_generation.same_event import encodings

# A window may hold many rows of one key, and a plan shows only a few events.
_MOST_REPLACED = 1_000

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Side:
    """Rows as they were published, or as they would be. `read` returns all of them, from the first on; `rows`
    is the schema of the stored rows, `key` their key field, `schema` the text of their contract."""

    read: Callable[[], Iterable[pa.RecordBatch]]
    rows: pa.Schema
    encoder: RecordEncoder
    key: str
    schema: str

    def of(self, keys: pa.BinaryArray) -> Iterator[pa.RecordBatch]:
        """The rows of these keys."""
        for batch in self.read():
            found = key_bytes(batch.column(batch.schema.get_field_index(self.key)))
            chosen = batch.filter(pc.is_in(found, value_set=keys))
            if chosen.num_rows:
                yield chosen

    def records(self, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[bytes, Record]]:
        """Keys and decoded records of rows."""
        for batch in batches:
            encoded = self.encoder.encode(batch)
            for key, value in zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True):
                yield key, decode_record(value, lambda _: self.schema)


def changes(
    before: Side,
    after: Side,
    events: Sequence[tuple[bytes, Record]],
    *,
    event_time: str,
    memory_limit: str,
) -> Iterator[Mapping[str, Any]]:
    """For each of `events` that replaces a published event of its key: what differs, ready for JSON.

    `fields` are (before, after) by name; `added` and `removed` are the values of fields that only one of the
    two contracts has. If several published events of a key are gone, the one with the same event time is
    replaced, otherwise the first.
    """
    keys = pa.array(list(dict.fromkeys(key for key, _ in events)), pa.binary())
    replaced: dict[bytes, list[Record]] = defaultdict(list)
    for key, record in before.records(_no_more(before, after, keys, memory_limit)):
        replaced[key].append(record)
    for key, now in events:
        waiting = replaced[key]
        if not waiting:
            continue
        at = now.get(event_time)
        same_time = (place for place, was in enumerate(waiting) if same(was.get(event_time), at))
        was = waiting.pop(next(same_time, 0))
        yield {"key": key.decode("utf-8", "backslashreplace"), **_different(was, now)}


def _no_more(before: Side, after: Side, keys: pa.BinaryArray, memory_limit: str) -> Iterator[pa.RecordBatch]:
    """Published rows of these keys that are not among the new ones."""
    # Compared as in a run: what the run does not publish again stays.
    of_before, of_after = encodings(
        before.rows, before.key, after.rows, after.encoder, same_contract=before.schema == after.schema
    )
    found = difference(
        map(of_after, after.of(keys)),
        map(of_before, before.of(keys)),
        base_rows=None,
        memory_limit=memory_limit,
        with_keys=False,
    )
    return take_rows(before.of(keys), found.rows.slice(0, _MOST_REPLACED))


def _different(was: Record, now: Record) -> dict[str, Any]:
    fields = {
        name: (plain(was[name]), plain(now[name]))
        for name in was
        if name in now and not same(was[name], now[name])
    }
    found: dict[str, Any] = {"fields": fields}
    for what, these, others in (("added", now, was), ("removed", was, now)):
        if only := {name: plain(value) for name, value in these.items() if name not in others}:
            found[what] = only
    return found


def same(was: Any, now: Any) -> bool:
    """Whether two decoded values mean the same, whatever type each contract gives them.

    Numbers are compared as numbers, exactly; -0.0 differs from 0.0, and NaN equals NaN. Text, bytes and uuids
    are compared by their spelling, instants as instants, maps and records without regard to order.
    """
    match was, now:
        case (bool(), _) | (_, bool()):
            return was is now
        case float(), float():
            if math.isnan(was) or math.isnan(now):
                return math.isnan(was) and math.isnan(now)
            return was == now and math.copysign(1, was) == math.copysign(1, now)
        case (int() | float() | Decimal(), int() | float() | Decimal()):
            return bool(was == now)
        case Mapping(), Mapping():
            return was.keys() == now.keys() and all(same(was[key], now[key]) for key in was)
        case list(), list():
            return len(was) == len(now) and all(same(a, b) for a, b in zip(was, now, strict=True))
        case (str() | bytes() | UUID(), str() | bytes() | UUID()):
            return _spelt(was) == _spelt(now)
    return bool(was == now)


def _spelt(value: str | bytes | UUID) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def first_rows(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    """At most the first `most` rows."""
    for batch in batches:
        if most <= 0:
            return
        yield batch.slice(0, most)
        most -= batch.num_rows
