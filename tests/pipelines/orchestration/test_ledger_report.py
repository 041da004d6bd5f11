"""Windows that are published according to the ledger
are reported to a Dagster that does not know them, once."""

from pathlib import Path

import dagster as dg

from pipelines.ledger.listing import read_ledger
from pipelines.orchestration.keys import STAGES, asset_key
from pipelines.orchestration.ledger_report import report, unknown_windows
from tests.pipelines.orchestration.test_dead_letters import here, instance, run
from tests.pipelines.publishing.conftest import WINDOW, World, embedded_world
from tests.pipelines.publishing.test_redrive import ROWS

__all__ = ["embedded_world", "here", "instance"]


def test_windows_that_dagster_does_not_know_are_reported(here: World, instance: dg.DagsterInstance) -> None:
    here.define("return rows")
    here.rows(ROWS)
    assert run(here, instance).success
    platform = here.platform()
    entries = read_ledger(platform).entries
    assert unknown_windows(instance, here.event, entries) == [], "this Dagster made them"

    with dg.DagsterInstance.ephemeral() as other:
        (found,) = unknown_windows(other, here.event, entries)
        assert list(report(other, here.event, [found], platform)) == [(found, True)]
        for stage in STAGES:
            told, made = (materialization(one, here, stage) for one in (other, instance))
            # The same as the run itself recorded, so Dagster shows the window as up to date. Only the
            # position of its inputs in the log cannot be the same.
            assert versions(told) == versions(made)
            assert (
                told.metadata["dagster/partition_row_count"] == made.metadata["dagster/partition_row_count"]
            )
            assert told.metadata["published_by_run"] == dg.MetadataValue.dagster_run(found.run_id)
        assert unknown_windows(other, here.event, entries) == []


def test_a_window_whose_sourced_rows_nobody_knows_any_more_is_reported_once(
    here: World, instance: dg.DagsterInstance
) -> None:
    here.define("return rows")
    here.rows(ROWS)
    assert run(here, instance).success
    platform = here.platform()
    (entry,) = read_ledger(platform).entries
    folder = platform.snapshots.folder(entry.event, entry.window)
    Path(platform.snapshots.url_of(f"{folder}/validated-{entry.snapshot}.json")).unlink()
    with dg.DagsterInstance.ephemeral() as other:
        assert list(report(other, here.event, [entry], platform)) == [(entry, True)]
        assert not other.get_materialized_partitions(asset_key(here.event, "sourced"))
        assert list(report(other, here.event, [entry], platform)) == [(entry, False)]


def materialization(instance: dg.DagsterInstance, here: World, stage: str) -> dg.AssetMaterialization:
    event = instance.get_latest_materialization_event(asset_key(here.event, stage))
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.partition == WINDOW
    return event.asset_materialization


def versions(made: dg.AssetMaterialization) -> dict[str, str]:
    return {name: tag for name, tag in (made.tags or {}).items() if "version" in name}
