"""A damaged file of the snapshot store stops the window that needs it, and no other."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.definitions.resource import run_resources
from pipelines.orchestration.definitions.tables import build_tables
from pipelines.orchestration.keys import asset_key
from resources.snapshots import SnapshotError
from tests.pipelines.orchestration.test_dead_letters import ALL, here, instance, told
from tests.pipelines.publishing.conftest import World, embedded_world

__all__ = ["embedded_world", "here", "instance"]
OLD, OLDER, NEW = "2013-01-02", "2013-01-01", "2013-01-03"
STATEFUL = 'tombstones=True, stale_writes="skip",'


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-(len(data) // 3)] ^= 16
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def garble(path: Path) -> None:
    path.write_bytes(b"\xff{" + path.read_bytes())


DAMAGE: list[Callable[[Path], None]] = [flip, cut, folder, garble]


def run(world: World, instance: dg.DagsterInstance, first: str, last: str) -> dg.ExecuteInProcessResult:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return dg.materialize(
        [build_assets(world.event), *build_tables([world.event])],
        resources=run_resources(),
        instance=instance,
        tags=tags,
        selection=[asset_key(world.event, stage) for stage in ALL],
        raise_on_error=False,
    )


def insert(world: World, *days: str) -> None:
    world._forget_platforms()
    with duckdb.connect(str(world.folder / "dwh.duckdb")) as connection:
        for day in days:
            connection.execute(
                f"INSERT INTO happenings SELECT '{day}-' || n, TIMESTAMPTZ '{day} 01:00:00+00', n FROM range(9) AS t(n)"
            )


def published(result: dg.ExecuteInProcessResult, world: World) -> set[str]:
    return {
        event.partition or ""
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == asset_key(world.event, "published")
    }


@pytest.fixture
def two_windows(here: World, instance: dg.DagsterInstance) -> Iterator[World]:
    here.define(more=STATEFUL)
    insert(here, OLDER, OLD)
    assert run(here, instance, OLDER, OLD).success
    yield here


def store_files(world: World) -> list[Path]:
    store = Path(world.settings().snapshots)
    windows = [path for key in (OLDER, OLD) for path in (store / world.event.full_name / key).iterdir()]
    return [*windows, *(store / ".notes").rglob("*.json")]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda one: one.__name__)
def test_a_new_window_is_published_whatever_is_damaged_in_the_files_of_others(
    two_windows: World, instance: dg.DagsterInstance, damage: Callable[[Path], None]
) -> None:
    for path in store_files(two_windows):
        damage(path)
    insert(two_windows, NEW)
    result = run(two_windows, instance, NEW, NEW)
    assert result.success, told(result)
    assert published(result, two_windows) == {NEW}
    assert sum(row[0].startswith(NEW) for row in two_windows.counted()) == 9


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda one: one.__name__)
def test_a_window_whose_published_rows_are_damaged_is_refused_with_the_file_and_others_go_on(
    two_windows: World, instance: dg.DagsterInstance, damage: Callable[[Path], None]
) -> None:
    store = two_windows.platform().snapshots
    base = store.current(two_windows.event.full_name, OLD, "transformed")
    assert base is not None
    damage(Path(store.url(base)))
    with duckdb.connect(str(two_windows.folder / "dwh.duckdb")) as connection:
        connection.execute(f"DELETE FROM happenings WHERE id = '{OLD}-3'")
    insert(two_windows, NEW)
    result = run(two_windows, instance, OLDER, NEW)
    assert not result.success
    assert published(result, two_windows) == {OLDER, NEW}
    assert base.path in told(result), "the file is named"
    assert "next: restore" in told(result)


def test_a_window_whose_own_files_are_all_damaged_is_made_again_and_unchanged(
    two_windows: World, instance: dg.DagsterInstance
) -> None:
    before = two_windows.counted()
    for path in store_files(two_windows):
        flip(path)
    result = run(two_windows, instance, OLDER, OLD)
    assert result.success, told(result)
    assert two_windows.counted() == before, "nothing is published twice"


def test_a_tombstone_is_sent_whatever_is_damaged_in_the_files_of_other_windows(
    two_windows: World, instance: dg.DagsterInstance
) -> None:
    for path in store_files(two_windows):
        if f"/{OLDER}/" in str(path):
            cut(path)
    with duckdb.connect(str(two_windows.folder / "dwh.duckdb")) as connection:
        connection.execute(f"DELETE FROM happenings WHERE id = '{OLD}-3'")
    result = run(two_windows, instance, OLD, OLD)
    assert result.success, told(result)
    assert [one.key for one in two_windows.seen() if one.value is None] == [f"{OLD}-3"]
    logs = [record.user_message for record in instance.all_logs(result.run_id)]
    assert any("whether its tombstones delete keys of other windows is unknown" in log for log in logs)


def test_the_number_of_rows_is_that_of_the_file_and_not_what_its_pointer_says(here: World) -> None:
    here.rows([(f"k{n}", n, n) for n in range(20)])
    done = here.prepare()
    pointer = Path(here.settings().snapshots) / here.event.full_name / OLDER / "transformed.json"
    text = pointer.read_text()
    assert '"rows": 20' in text
    pointer.write_text(text.replace('"rows": 20', '"rows": 10'))
    with pytest.raises(Exception, match=r"hold 20 records.*says 10.*is damaged; nothing was written"):
        here.publish()
    assert done.snapshot.rows == 20
    assert here.seen() == []


def test_a_snapshot_that_is_gone_is_named(two_windows: World) -> None:
    store = two_windows.platform().snapshots
    base = store.current(two_windows.event.full_name, OLD, "transformed")
    assert base is not None
    shutil.rmtree(Path(store.url(base)).parent)
    with pytest.raises(SnapshotError, match=f"{base.sha256}.*is gone"):
        store.verify(base)
