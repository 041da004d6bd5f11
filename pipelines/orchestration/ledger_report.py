"""Reports windows to Dagster that are published by the ledger and unknown to Dagster, so that its pages show
them.

This is so if the ledger outlived Dagster's storage, or if assets got other keys.
"""

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.ledger.entry import LedgerEntry
from pipelines.orchestration.keys import STAGES, asset_key
from pipelines.orchestration.versions import tables_read, version_tags
from resources.errors import SluiceError
from resources.platform import Platform


def unknown_windows(
    instance: dg.DagsterInstance, event: Event, entries: Iterable[LedgerEntry]
) -> list[LedgerEntry]:
    """The event's complete entries, by window,
    if Dagster does not know all of their stages as materialized."""
    known = set.intersection(*_materialized(instance, event).values())
    found = [entry for entry in entries if entry.topic == event.topic and entry.complete]
    return sorted((one for one in found if one.window not in known), key=lambda one: one.window)


def report(
    instance: dg.DagsterInstance, event: Event, entries: Iterable[LedgerEntry], platform: Platform
) -> Iterator[tuple[LedgerEntry, bool]]:
    """Report each window to Dagster: each stage that Dagster does not know. Yields each entry, and whether
    any stage of it was reported. The sourced stage is left out if the window's sourced rows are not known any
    more."""
    materialized = _materialized(instance, event)
    for entry in entries:
        snapshots = _snapshots(platform, entry)
        missing = [stage for stage in snapshots if entry.window not in materialized[stage]]
        for stage in missing:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    asset_key(event, stage),
                    partition=entry.window,
                    description=f"reported from the ledger: generation {entry.generation} of {entry.written_at}",
                    metadata={**_rows(platform, entry, stage, snapshots[stage]), **_about(entry, stage)},
                    tags=version_tags(entry.code_version, snapshots[stage], _inputs(event, stage, snapshots)),
                )
            )
        yield entry, bool(missing)


def _materialized(instance: dg.DagsterInstance, event: Event) -> dict[str, set[str]]:
    """Stage -> the windows that Dagster knows as materialized."""
    return {stage: set(instance.get_materialized_partitions(asset_key(event, stage))) for stage in STAGES}


def _snapshots(platform: Platform, entry: LedgerEntry) -> Mapping[str, str]:
    """Stage -> hash of the snapshot that the window was published from;
    without stages that are not known any more."""
    try:
        facts = platform.snapshots.validation(entry.event, entry.window, entry.snapshot) or {}
    except SluiceError:
        facts = {}
    source = facts.get("source")
    found = {"sourced": source} if isinstance(source, str) else {}
    return {**found, "transformed": entry.snapshot, "published": entry.snapshot}


def _inputs(event: Event, stage: str, snapshots: Mapping[str, str]) -> Mapping[dg.AssetKey, str]:
    """What the stage was made from. Without it, Dagster would show the window as out of date."""
    if stage == "sourced":
        return tables_read(event)
    before = STAGES[STAGES.index(stage) - 1]
    return {asset_key(event, before): snapshots[before]} if before in snapshots else {}


def _rows(platform: Platform, entry: LedgerEntry, stage: str, sha256: str) -> Mapping[str, int]:
    """How many rows the stored snapshot has; empty if it is gone or cannot be read."""
    try:
        found = platform.snapshots.find(
            entry.event, entry.window, "sourced" if stage == "sourced" else "transformed", sha256
        )
    except SluiceError:
        found = None
    return {} if found is None else {"dagster/partition_row_count": found.rows}


def _about(entry: LedgerEntry, stage: str) -> Mapping[str, dg.MetadataValue]:
    told: dict[str, int | str] = {"action": "reported"}
    if stage == "published":
        told |= {
            "topic": entry.topic,
            "outcome": "unchanged",
            "because": "the ledger has it as published, and Dagster did not know of it",
            "generation": entry.generation,
            "schema_id": entry.schema_id,
            "snapshot_sha256": entry.snapshot,
            "published_at": entry.written_at,
        }
    return {
        **{
            name: dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.text(value)
            for name, value in told.items()
        },
        "published_by_run": dg.MetadataValue.dagster_run(entry.run_id),
    }
