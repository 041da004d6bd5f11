"""The records of one publication, in the one order that makes a row number mean the same in every run."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.encoding import RecordEncoder, cloudevents_headers, publication_headers
from pipelines.publishing.entry import LedgerEntry
from resources.kafka.transactions import Headers
from resources.snapshots import Snapshot, SnapshotStore

VANISHED_SCHEMA = pa.schema([("key", pa.binary())])


class Record(NamedTuple):
    """One Kafka record; `value` None is a tombstone."""

    key: bytes
    value: bytes | None
    headers: Headers
    timestamp_ms: int


class Outgoing:
    """Encodes the rows of a snapshot and the keys of tombstones into records of one event."""

    def __init__(
        self, event: Event, encoder: RecordEncoder, store: SnapshotStore, *, batch_rows: int, source: str
    ) -> None:
        self._event, self._encoder, self._store = event, encoder, store
        self._batch_rows, self._source = batch_rows, source

    def rows(self, snapshot: Snapshot, entry: LedgerEntry, from_row: int) -> Iterator[Record]:
        """Records of the snapshot's rows from `from_row` on."""
        event = self._event
        again = entry.kind != "backfill"
        with_headers = again or event.headers == "cloudevents"
        for batch in self._store.read(snapshot, batch_rows=self._batch_rows, from_row=from_row):
            encoded = self._encoder.encode(batch, with_ids=with_headers)
            keys, values = encoded.keys.to_pylist(), encoded.values.to_pylist()
            times = batch.column(batch.schema.get_field_index(event.event_time))
            stamps = _milliseconds(times) if event.record_timestamp == "event_time" else None
            if not with_headers and stamps is None:
                for key, value in zip(keys, values, strict=True):
                    yield Record(key, value, (), 0)
                continue
            ids = encoded.event_ids.to_pylist() if encoded.event_ids is not None else []
            instants = times.cast(pa.timestamp("us", "UTC")).to_pylist() if with_headers else []
            for row, (key, value) in enumerate(zip(keys, values, strict=True)):
                headers = self._headers(entry, ids[row], key, instants[row]) if with_headers else ()
                yield Record(key, value, headers, stamps[row] if stamps else 0)

    def tombstones(self, vanished: Snapshot, entry: LedgerEntry, from_row: int) -> Iterator[Record]:
        """Records without a value for keys that are gone."""
        marks = tuple(publication_headers(kind=entry.kind, generation=entry.generation, reason=entry.reason))
        for batch in self._store.read(vanished, batch_rows=self._batch_rows, from_row=from_row):
            for key in batch.column(0).to_pylist():
                yield Record(key, None, marks, 0)

    def _headers(self, entry: LedgerEntry, event_id: str, key: bytes, instant: datetime) -> Headers:
        headers: list[tuple[str, bytes]] = []
        if self._event.headers == "cloudevents":
            headers += cloudevents_headers(
                event_id=event_id,
                source=self._source,
                type=self._event.contract.name,
                time=instant,
                subject=key.decode("utf-8", "backslashreplace"),
            )
        if entry.kind != "backfill":
            if self._event.headers != "cloudevents":
                headers.append(("sluice_event_id", event_id.encode()))
            headers += publication_headers(kind=entry.kind, generation=entry.generation, reason=entry.reason)
        return headers


def _milliseconds(times: pa.Array) -> list[int]:
    # A record timestamp has milliseconds; the event time in the value keeps its own precision.
    found: list[int] = times.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()).to_pylist()
    return found
