"""The records that are on the topic according to a ledger entry, encoded again from the stored snapshots."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.contract import Contract
from pipelines.encoding import RecordEncoder, RecordJudge
from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.stored_rows import (
    encoder_for,
    event_times,
    extremes_judged,
    parts_of,
    stamp_field,
    stored_snapshot,
)
from pipelines.transform.record_timestamp import milliseconds
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot
from resources.wording import counted

# Rows that are encoded at a time.
# Several of these batches are in memory at once, beside what was read of the log.
_BATCH_ROWS = 8_192


class CannotReconcile(SluiceError):
    """It is no longer known what should be on the topic, so nothing can be said about what is there."""


@dataclass(frozen=True)
class Records:
    """Some records in the order of publication: `keys` and `values` row for row, a null value is a tombstone.
    `stamps`: int64, the record timestamps in milliseconds if they are the event times, null for
    tombstones."""

    keys: pa.Array
    values: pa.Array
    stamps: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def slice(self, first: int, count: int | None = None) -> "Records":
        """`count` records from number `first` on, or all that are left."""
        stamps = self.stamps
        return Records(
            self.keys.slice(first, count),
            self.values.slice(first, count),
            None if stamps is None else stamps.slice(first, count),
        )


def expected_records(
    event: Event, platform: Platform, entry: LedgerEntry, contract: Contract
) -> Iterator[Records]:
    """The first `rows_done` records of the entry's generation, without the first `displaced` ones.
    Raises CannotReconcile."""
    left, without = entry.rows_done, entry.displaced
    for records in _all_records(event, platform, entry, contract):
        if without:
            skipped = min(without, len(records), left)
            without, left = without - skipped, left - skipped
            records = records.slice(skipped)
        if not left:
            return
        records = records.slice(0, left)
        if not len(records):
            continue
        left -= len(records)
        yield records
        if not left:
            return
    if left:
        raise CannotReconcile(
            f"{entry.event} {entry.window}",
            f"the ledger says {counted(entry.rows_done, 'record was', 'records were')} published and its snapshots hold {left:,} fewer",
            next_step="restore the snapshot folder of then",
        )


def state_records(
    event: Event, platform: Platform, entry: LedgerEntry, contract: Contract
) -> Iterator[Records]:
    """The records of the whole snapshot that the topic equals once the entry is complete.
    Raises CannotReconcile."""
    return _rows(event, platform, entry, contract, _stored(platform, entry, "transformed", entry.snapshot))


def is_stored(platform: Platform, entry: LedgerEntry) -> bool:
    """False if a snapshot that the entry's generation was published from is gone."""
    return parts_of(platform, entry) is not None


def _all_records(
    event: Event, platform: Platform, entry: LedgerEntry, contract: Contract
) -> Iterator[Records]:
    if entry.delta is None:
        rows = _stored(platform, entry, "transformed", entry.snapshot)
    else:
        rows = _stored(platform, entry, entry.kind, entry.delta)
    yield from _rows(event, platform, entry, contract, rows)
    if entry.vanished is not None:
        vanished = _stored(platform, entry, "vanished", entry.vanished)
        for batch in platform.snapshots.read(vanished, batch_rows=platform.settings.batch_rows):
            stamps = pa.nulls(batch.num_rows, pa.int64()) if stamp_field(event, entry) else None
            yield Records(batch.column(0), pa.nulls(batch.num_rows, pa.large_binary()), stamps)


def _rows(
    event: Event, platform: Platform, entry: LedgerEntry, contract: Contract, rows: Snapshot
) -> Iterator[Records]:
    store = platform.snapshots
    encoder = _encoder(event, entry, contract, store.schema(rows))
    judge = RecordJudge(
        encoder,
        event_time=event.event_time,
        where=f"{entry.event} {entry.window}",
        outcome="the topic may hold it",
        extremes=not extremes_judged(platform, entry),
    )
    row, stamp = 0, stamp_field(event, entry)
    for batch in store.read(rows, batch_rows=min(platform.settings.batch_rows, _BATCH_ROWS)):
        encoded = encoder.encode(batch)
        judge.judge_some(batch, encoded, first_row=row)
        row += batch.num_rows
        stamps = pa.array(milliseconds(event_times(event, batch, stamp))) if stamp else None
        yield Records(encoded.keys, encoded.values, stamps)


def _stored(platform: Platform, entry: LedgerEntry, stage: str, sha256: str) -> Snapshot:
    so = ", so what should be on the topic is not known"
    return stored_snapshot(platform, entry, stage, sha256, so=so, error=CannotReconcile)


def _encoder(event: Event, entry: LedgerEntry, contract: Contract, schema: pa.Schema) -> RecordEncoder:
    found = encoder_for(entry, contract, schema, event.key)
    if found is None:
        raise CannotReconcile(
            f"{entry.event} {entry.window}",
            f"was published by another version of the module (code version {entry.code_version[:12]}), with another "
            "contract or event_id, so its records cannot be made again",
            next_step="verify it with the module of that version",
        )
    return found
