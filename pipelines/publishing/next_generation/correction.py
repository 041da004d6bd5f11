"""Prepares a correction: stores the difference between what the topic holds and what
it should hold, as a snapshot."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.encoding import RecordEncoder
from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.next_generation.difference import Difference, difference, take_rows
from pipelines.publishing.next_generation.same_event import encodings
from pipelines.publishing.stored_rows import VANISHED_SCHEMA, key_field, stored_snapshot
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot, SnapshotError, SnapshotStore
from resources.wording import counted


class DefinitionChanged(SluiceError):
    """The event was redefined after the window was published, and its rows differ. A person must decide."""

    relaunch = False

    def __init__(self, event: str, window: str, changed: int, rows: int, gone: int) -> None:
        self.event, self.window, self.changed, self.rows, self.gone = event, window, changed, rows, gone
        super().__init__(
            f"{event} {window}",
            f"was published by another version of this module or contract; under the present one {changed:,} of its "
            f"{counted(rows, 'event is', 'events are')} new or different and {gone:,} are gone",
            allowed="correct the window (publish those events), or replay it (publish every event again)",
            next_step=f"sluice plan {event} {window} shows the difference; then sluice publish {event} {window} "
            "--correct or --replay, or run config on_definition_change: correct or replay",
        )


class BaseMissing(SluiceError):
    """The snapshot that is on the topic according to the ledger is gone,
    so nothing can be compared with it."""


@dataclass(frozen=True)
class Correction:
    """`entry`: the entry of the correction. `gone`: published rows that the target no longer holds and that
    no row of the same key replaces. `vanished`: the number of tombstones."""

    entry: LedgerEntry
    gone: int
    vanished: int


def prepare_correction(
    event: Event,
    platform: Platform,
    encoder: RecordEncoder,
    fresh: LedgerEntry,
    published: LedgerEntry,
    target: Snapshot,
) -> "Correction":
    """Turn `fresh` into a correction of `published` towards `target`, and store the difference as a snapshot.

    Raises BaseMissing if the published snapshot is gone or damaged, or if tombstones are declared and it has
    no key field.
    """
    store, settings = platform.snapshots, platform.settings
    # A complete generation published its whole snapshot, an unfinished backfill only the first rows.
    base_rows = published.rows_done if not published.complete else None
    so = ", and the window's events changed: what changed cannot be known, and publishing all would repeat events"
    try:
        base = stored_snapshot(
            platform, published, "transformed", published.snapshot, so=so, error=BaseMissing
        )
    except SnapshotError as error:
        raise BaseMissing(
            f"{event.full_name} {published.window}",
            f"the window's events changed, and the snapshot it was published from cannot be trusted: {error.problem}",
            next_step=f"restore {error.where}: what is on the topic cannot be known without it",
        ) from None
    rows = base.rows if base_rows is None else base_rows
    schema = store.schema(base)
    # The keys on the topic come from the field that was the key field then.
    key = key_field(schema, event.key)
    if key in schema.names:
        of_base, of_target = encodings(
            schema, key, store.schema(target), encoder, same_contract=published.contract == fresh.contract
        )
        found = difference(
            map(of_base, store.read(base, batch_rows=settings.batch_rows)),
            map(of_target, store.read(target, batch_rows=settings.batch_rows)),
            base_rows=rows,
            memory_limit=settings.memory_limit,
            with_keys=event.tombstones,
        )
    elif event.tombstones:
        raise BaseMissing(
            f"{event.full_name} {base.path}",
            f"was published under a contract without the key field {key!r}, so the keys that vanished cannot be known",
            next_step="publish under a new version of the topic (….v2)",
        )
    else:
        # The published rows do not name their key and lack the field,
        # so no published event is known to be replaced.
        every_row = pa.array(np.arange(target.rows, dtype=np.int64))
        found = Difference(every_row, rows, pa.array([], pa.binary()))
    window = published.window
    changed = take_rows(store.read(target, batch_rows=settings.batch_rows), found.rows)
    delta = store_rows(store, event.full_name, window, "correction", store.schema(target), changed, target)
    vanished = _store_keys(store, event, window, found.keys) if len(found.keys) else None
    planned = fresh.advanced(
        kind="correction",
        rows_total=delta.rows + (vanished.rows if vanished else 0),
        base_snapshot=base.sha256,
        base_rows=rows,
        delta=delta.sha256,
        vanished=vanished.sha256 if vanished else None,
        reason=fresh.reason or f"the {_cause(published, fresh)} changed",
    )
    return Correction(planned, gone=found.gone, vanished=vanished.rows if vanished else 0)


def _cause(published: LedgerEntry, fresh: LedgerEntry) -> str:
    same = (published.code_version, published.contract) == (fresh.code_version, fresh.contract)
    return "window's data" if same else "event's definition"


def store_rows(
    store: SnapshotStore,
    event: str,
    window: str,
    stage: str,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    target: Snapshot,
) -> Snapshot:
    """Store some rows of `target` as a snapshot of their own."""
    with store.writer(event, window, stage, schema) as out:
        for batch in batches:
            out.write(batch)
        return out.finish({"target": target.sha256}, make_current=False)


def _store_keys(store: SnapshotStore, event: Event, window: str, keys: pa.BinaryArray) -> Snapshot:
    with store.writer(event.full_name, window, "vanished", VANISHED_SCHEMA) as out:
        out.write(pa.record_batch([keys], schema=VANISHED_SCHEMA))
        return out.finish({}, make_current=False)
