"""Snapshots that the ledger names, and the contract and encoder of their records."""

from pathlib import Path

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.contract import Contract, parse_contract
from pipelines.encoding import RecordEncoder
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry
from resources.errors import SluiceError
from resources.platform import Platform
from resources.settings import variable
from resources.snapshots import Snapshot, SnapshotError

VANISHED_SCHEMA = pa.schema([("key", pa.binary())])
"""The schema of a snapshot that holds the keys of tombstones."""


class NotPublishable(SluiceError):
    """The window has no snapshot that may be published. Nothing was written."""


def stored_snapshot(
    platform: Platform,
    entry: LedgerEntry,
    stage: str,
    sha256: str,
    *,
    so: str = "",
    error: type[SluiceError] = NotPublishable,
) -> Snapshot:
    """The snapshot of this stage and hash that the entry names, with its bytes verified. Raises `error` if it
    is gone, with the consequence `so` in the message, and SnapshotError if its bytes have changed."""
    # Under the event's name at that time: the module may have been renamed.
    found = named_snapshot(platform, entry.event, entry.window, stage, sha256, so=so, error=error)
    # Byte by byte: exactly what was validated, or prepared from it, is published.
    platform.snapshots.verify(found)
    return found


def named_snapshot(
    platform: Platform,
    event: str,
    window: str,
    stage: str,
    sha256: str,
    *,
    named_by: str = "the ledger",
    so: str = "",
    next_step: str | None = None,
    error: type[SluiceError] = NotPublishable,
) -> Snapshot:
    """The same for a snapshot that something else names (`named_by`); its bytes are not verified."""
    found = platform.snapshots.find(event, window, stage, sha256)
    if found is None:
        raise error(
            f"{event} {window}",
            f"the {stage} snapshot {sha256[:12]} that {named_by} names is gone from {platform.settings.snapshots}{so}",
            next_step=next_step
            or f"restore the snapshot folder, or point {variable('snapshots')} at the one that holds it",
        )
    return found


def parts_of(platform: Platform, entry: LedgerEntry) -> list[Snapshot] | None:
    """The stored rows that the entry's generation publishes, and the keys of its tombstones; None if one
    snapshot is gone. Their bytes are not verified. A snapshot that cannot be read counts as gone: the code
    that needs it reports the error."""
    stages = [("transformed", entry.snapshot) if entry.delta is None else (entry.kind, entry.delta)]
    if entry.vanished is not None:
        stages.append(("vanished", entry.vanished))
    try:
        found = [platform.snapshots.find(entry.event, entry.window, *one) for one in stages]
    except SnapshotError:
        return None
    return [one for one in found if one is not None] if None not in found else None


def require_size(platform: Platform, entry: LedgerEntry) -> None:
    """Raise LedgerDamaged if the snapshots that the entry names hold more or fewer records than the entry
    says: rows could then count as published that never were. Snapshots that are gone are not compared."""
    parts = parts_of(platform, entry)
    held = sum(one.rows for one in parts or ())
    if parts is not None and held != entry.rows_total:
        raise LedgerDamaged(
            f"ledger record {entry.key!r}",
            f"generation {entry.generation:,} says rows_total={entry.rows_total:,}, and the snapshots that it names hold "
            f"{held:,}",
            next_step="publish with the version that wrote it, or see docs/operating.md#ledger",
        )


def rows_without_events(platform: Platform, event: str, window: str, snapshot: str) -> int | None:
    """How many rows the query returned for a transformed snapshot without events; None if the snapshot holds
    events, or if the number is not known. 0: the window has no rows."""
    store = platform.snapshots
    try:
        found = store.find(event, window, "transformed", snapshot) if snapshot else None
        if found is None or found.rows:
            return None
        facts = store.validation(event, window, snapshot)
    except SnapshotError:
        return None
    rows_in = facts.get("rows_in") if facts else None
    return rows_in if type(rows_in) is int else None


def rows_of(platform: Platform, entry: LedgerEntry) -> Snapshot:
    """The stored rows that the entry's generation publishes."""
    if entry.delta is None:
        return stored_snapshot(platform, entry, "transformed", entry.snapshot)
    return stored_snapshot(platform, entry, entry.kind, entry.delta)


def extremes_judged(platform: Platform, entry: LedgerEntry) -> bool:
    """Whether the records of the snapshot's extreme values were judged when it was made. If that cannot be
    read, they are judged again."""
    try:
        facts = platform.snapshots.validation(entry.event, entry.window, entry.snapshot)
    except SnapshotError:
        return False
    return bool(facts and facts.get("judged"))


def contract_of(event: Event, platform: Platform, entry: LedgerEntry) -> Contract:
    """The contract that the entry was published under; the event's own contract may have changed since."""
    if entry.contract == event.contract.fingerprint:
        return event.contract
    text = platform.registry.by_id(entry.schema_id)
    return parse_contract(text, Path(f"schema id {entry.schema_id}"))


def key_field(rows: pa.Schema, key: str) -> str:
    """The key field of stored rows, which their metadata names;
    `key` is used for rows that do not name it."""
    return str((rows.metadata or {}).get(b"sluice.key", key.encode()).decode())


def stamp_field(event: Event, entry: LedgerEntry) -> str | None:
    """The field whose time is the record timestamp of the generation's records; None if they carry the time
    of publication. A generation keeps the setting that it began with; if the entry does not say it, the
    event's setting counts."""
    if (entry.record_timestamp or event.record_timestamp) != "event_time":
        return None
    return entry.event_time or event.event_time


def event_times(event: Event, batch: pa.RecordBatch, name: str | None = None) -> pa.Array:
    """The event times of stored rows, from the field `name` if it is given. Raises NotPublishable if the rows
    have no such field: the module has changed."""
    name = name or event.event_time
    place = batch.schema.get_field_index(name)
    if place < 0:
        raise NotPublishable(
            event.full_name,
            f"its stored rows have no field {name!r}: another version of the module, with another event_time, "
            "published them",
            next_step="do this with the module of that version, or publish the window again",
        )
    return batch.column(place)


def new_encoder(event: Event, schema_id: int) -> RecordEncoder:
    """The encoder of new records, as the module is now."""
    return RecordEncoder(
        event.contract, schema_id=schema_id, topic=event.topic, key=event.key, event_id=event.event_id
    )


def encoder_of(event: Event, platform: Platform, entry: LedgerEntry, rows: pa.Schema) -> RecordEncoder:
    """The encoder of the entry's records. Raises NotPublishable if they cannot be made any more."""
    found = encoder_for(entry, contract_of(event, platform, entry), rows, event.key)
    if found is None:
        raise NotPublishable(
            f"{entry.event} {entry.window}",
            f"generation {entry.generation} was made by another version of the module (code version "
            f"{entry.code_version[:12]}), with another contract or event_id, so its records cannot be made again",
            next_step="publish it with the module of that version, then go on with this one",
        )
    return found


def encoder_for(entry: LedgerEntry, contract: Contract, rows: pa.Schema, key: str) -> RecordEncoder | None:
    """The encoder of stored rows under the contract of their publication; None if the rows do not fit the
    contract.

    `key`: the key field of rows that do not name their own.
    """
    # The key field and id field of that time: the rows name the key field; the id field is the one field of
    # the contract that the rows lack.
    key = key_field(rows, key)
    names = [field.name for field in contract.fields if field.name not in rows.names]
    event_id = names[0] if len(names) == 1 else None
    if key not in rows.names or not rows.equals(contract.without(event_id).arrow_schema):
        return None
    # On a shadow topic, events have the same ids as on the event's own topic.
    topic = entry.shadow_of or entry.topic
    return RecordEncoder(contract, schema_id=entry.schema_id, topic=topic, key=key, event_id=event_id)
