"""The records of one publication.
Their order is the same in every run, so that a row number means the same record."""

from collections.abc import Generator, Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.encoding import EncodedBatch, RecordJudge, cloudevents_headers, publication_headers
from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.stored_rows import (
    NotPublishable,
    encoder_of,
    event_times,
    extremes_judged,
    rows_of,
    stamp_field,
    stored_snapshot,
)
from pipelines.transform.record_timestamp import NOT_SET_DETAIL, NOT_SET_MS, milliseconds
from resources.kafka.batches.rows import Rows
from resources.kafka.transactions import Headers
from resources.platform import Platform
from resources.snapshots import Snapshot
from resources.threads.read_ahead import ahead
from resources.wording import counted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Encoded batches that wait for the producer: enough to cover the time of a commit, and a few megabytes each.
_AHEAD = 2
# The most rows that are encoded at a time: half a row group takes no more time per row and half the memory.
_BATCH_ROWS = 16_384


class Outgoing:
    """Encodes what one generation publishes: the rows of its snapshot, then the keys of its tombstones."""

    def __init__(self, event: Event, platform: Platform, entry: LedgerEntry) -> None:
        self._event, self._platform, self._entry = event, platform, entry
        self._rows = rows_of(platform, entry)
        self._vanished = (
            stored_snapshot(platform, entry, "vanished", entry.vanished) if entry.vanished else None
        )
        self._require_count()
        schema = platform.snapshots.schema(self._rows)
        self._encoder = encoder_of(event, platform, entry, schema)
        self._judge = RecordJudge(
            self._encoder,
            event_time=event.event_time,
            where=f"{event.full_name} {entry.window}",
            outcome="this record and those after it were not published",
            extremes=not extremes_judged(platform, entry),
        )
        self._stamp = stamp_field(event, entry)
        self._again = entry.kind != "backfill"
        self._marks = publication_headers(kind=entry.kind, generation=entry.generation, reason=entry.reason)
        self._source = f"/{platform.settings.code_location}/{event.full_name}"

    def _require_count(self) -> None:
        """Raise NotPublishable if the files hold another number of records than the entry says. Entries of
        the ledger were checked when they were read (see `require_size`), so the number came from the window's
        pointer file, and that file is damaged."""
        held = self._rows.rows + (self._vanished.rows if self._vanished else 0)
        if held != self._entry.rows_total:
            raise NotPublishable(
                f"{self._entry.event} {self._entry.window}",
                f"its snapshots hold {counted(held, 'record')}, and the file that points at them says {self._entry.rows_total:,}: "
                "that file is damaged; nothing was written",
                next_step="materialize the window again",
            )

    @property
    def encoding(self) -> str:
        """The encoder's strategy."""
        return self._encoder.strategy

    def require_timestamps(self) -> None:
        """Raise NotPublishable if a stored row cannot have its event time as its record timestamp.

        Such rows become dead letters. If the snapshot was made before the event asked for this, they did not.
        """
        event, entry, store = self._event, self._entry, self._platform.snapshots
        window = event.windows.window(entry.window)
        if self._stamp is None or not window.start <= _EPOCH < window.end:
            return
        wrong = sum(
            int(np.count_nonzero(milliseconds(event_times(event, batch, self._stamp)) == NOT_SET_MS))
            for batch in store.read(self._rows, batch_rows=self._platform.settings.batch_rows)
        )
        if wrong:
            raise NotPublishable(
                f"{entry.event} {entry.window}",
                f"{wrong:,} stored rows cannot be published",
                allowed=NOT_SET_DETAIL,
                next_step="materialize transformed again, so that these rows become dead letters",
            )

    def records(self) -> Generator[Rows, None, None]:
        """The records that are not committed yet. A caller that does not take all of them must close the
        generator.

        They are read and encoded in a thread, while earlier records are produced.
        """
        if self._entry.rows_total - self._entry.rows_done <= self._platform.settings.batch_rows:
            # There is only one batch, so nothing could run in parallel.
            yield from self._records()
        else:
            yield from ahead(self._records, most=_AHEAD)

    def _records(self) -> Iterator[Rows]:
        done, changed = self._entry.rows_done, self._rows.rows
        yield from self._encoded(self._rows, min(done, changed))
        if self._vanished is not None:
            yield from self._tombstones(self._vanished, max(0, done - changed))

    def _encoded(self, snapshot: Snapshot, from_row: int) -> Iterator[Rows]:
        event, store = self._event, self._platform.snapshots
        with_headers = self._again or event.headers == "cloudevents"
        batch_rows = min(self._platform.settings.batch_rows, _BATCH_ROWS)
        for batch in store.read(snapshot, batch_rows=batch_rows, from_row=from_row):
            encoded = self._encoder.encode(batch, with_ids=with_headers)
            self._judge.judge_some(batch, encoded, first_row=from_row)
            from_row += batch.num_rows
            yield Rows(
                encoded.keys,
                encoded.values,
                self._headers(encoded, batch) if with_headers else None,
                milliseconds(event_times(event, batch, self._stamp)) if self._stamp else None,
            )

    def _tombstones(self, vanished: Snapshot, from_row: int) -> Iterator[Rows]:
        store, batch_rows = self._platform.snapshots, self._platform.settings.batch_rows
        for batch in store.read(vanished, batch_rows=batch_rows, from_row=from_row):
            keys = batch.column(0)
            yield Rows(keys, pa.nulls(len(keys), pa.large_binary()), [self._marks] * len(keys))

    def _headers(self, encoded: EncodedBatch, batch: pa.RecordBatch) -> list[Headers]:
        ids = encoded.event_ids.to_pylist() if encoded.event_ids is not None else []
        if self._event.headers != "cloudevents":
            return [[("sluice_event_id", event_id.encode()), *self._marks] for event_id in ids]
        marks = self._marks if self._again else []
        instants = event_times(self._event, batch).to_pylist()
        return [
            cloudevents_headers(
                event_id=event_id,
                source=self._source,
                type=self._event.contract.name,
                time=instant,
                subject=key.decode("utf-8", "backslashreplace"),
            )
            + marks
            for event_id, instant, key in zip(ids, instants, encoded.keys.to_pylist(), strict=True)
        ]
