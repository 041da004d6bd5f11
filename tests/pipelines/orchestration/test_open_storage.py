"""Dagster's SQLite files: closed once, not once for each event."""

from pathlib import Path

import dagster as dg
import pytest

from pipelines.orchestration.open_storage import storage_kept_open


def test_the_log_of_the_file_survives_what_dagster_writes_and_is_gone_in_the_end(tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:

        def write() -> None:
            instance.report_runless_asset_event(dg.AssetMaterialization("thing"))

        def logs() -> list[Path]:
            return list(tmp_path.rglob("index.db-wal"))

        write()
        assert not logs(), "SQLite removes it with the last connection: this is what costs time"
        with storage_kept_open(instance):
            write()
            assert logs()
            write()
        assert not logs()
        assert len(instance.fetch_materializations(dg.AssetKey("thing"), limit=9).records) == 3


@pytest.mark.parametrize("run_id", [None, "no-such-run"])
def test_what_is_no_sqlite_file_is_left_alone(run_id: str | None, tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance, storage_kept_open(instance, run_id):
        pass
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance, storage_kept_open(instance, run_id):
        assert not list(tmp_path.rglob("no-such-run*"))
