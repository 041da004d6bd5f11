"""What a run leaves in Dagster's log is the same,
written together or one by one, and it is complete when a window is done."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from pipelines.orchestration.event_log import EventLog
from pipelines.orchestration.keys import key_of, stage_of
from pipelines.orchestration.windows import run as run_module
from pipelines.publishing.publisher import Publisher
from resources.errors import SluiceError
from tests.pipelines.publishing.conftest import WINDOW, World, embedded_world
from tests.pipelines.reconciling.test_check import NEXT, run
from tests.pipelines.reconciling.test_check import here as _here
from tests.pipelines.reconciling.test_generations import rows

__all__ = ["embedded_world"]

ROWS = [*rows(20), *((f"n{n}", 1440 + n, n) for n in range(5))]
CHANGING = re.compile(r"w[0-9a-f]{10}|[0-9a-f]{64}|[0-9a-f-]{36}|\d+\.\d+")


@pytest.fixture
def here(embedded_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from _here.__wrapped__(embedded_world, monkeypatch)  # type: ignore[attr-defined]


def plain(value: object) -> str:
    """As text, without what differs in any two runs."""
    return CHANGING.sub("#", str(value))


def recorded(instance: dg.DagsterInstance, folder: Path, run_id: str) -> dict[str, list[Any]]:
    """Everything that Dagster's storage has for a run's windows,
    in its order, comparable with another run's."""
    of_type = {
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.ASSET_OBSERVATION,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    }
    seen: list[Any] = []
    records = instance.get_records_for_run(run_id).records
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None or event.event_type not in of_type:
            seen.append(
                plain(record.event_log_entry.user_message if event is None else event.event_type_value)
            )
            continue
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            told: Any = event.asset_check_evaluation_data
            tags: dict[str, str] = {}
            name = told.check_name
        else:
            told = (
                event.step_materialization_data.materialization
                if event.is_step_materialization
                else event.asset_observation_data.asset_observation
            )
            tags, name = dict(told.tags), stage_of(told.asset_key)
        seen.append(
            (
                name,
                told.partition,
                plain(told.description),
                sorted((tag, plain(value)) for tag, value in tags.items() if "pointer" not in tag),
                sorted(told.metadata),
            )
        )
    (index,) = folder.rglob("index.db")
    with sqlite3.connect(index) as connection:

        def table(sql: str) -> list[Any]:
            return [tuple(map(plain, row)) for row in connection.execute(sql)]

        found = {
            "run": seen,
            "all runs": table(
                "SELECT dagster_event_type, asset_key, partition, step_key FROM event_logs ORDER BY id"
            ),
            "tags": table("SELECT asset_key, key, value FROM asset_event_tags ORDER BY id"),
            "checks": table(
                "SELECT asset_key, check_name, partition, execution_status,"
                " (SELECT partition || dagster_event_type FROM event_logs WHERE event_logs.id ="
                " evaluation_event_storage_id) FROM asset_check_executions ORDER BY id"
            ),
            "assets": table(
                "SELECT asset_key, last_materialization IS NULL FROM asset_keys ORDER BY asset_key"
            ),
        }
    connection.close()
    return found


def pointers(instance: dg.DagsterInstance) -> set[tuple[str, str, bool]]:
    """Stage and window of each materialization that was made from another one,
    and whether it has the other's position."""
    found = set()
    for stage, upstream in (("transformed", "sourced"), ("published", "transformed")):
        for made in instance.fetch_materializations(key_of("tests", "happened", stage), limit=99).records:
            key = key_of("tests", "happened", upstream)
            wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[str(made.partition_key)])
            newest = instance.fetch_materializations(wanted, limit=1).records[0]
            told = made.asset_materialization
            assert told is not None and told.tags is not None
            place = told.tags[f"dagster/input_event_pointer/{key.to_user_string()}"]
            found.add((stage, str(made.partition_key), place == str(newest.storage_id)))
    return found


def test_it_is_the_same_as_if_dagster_had_written_every_event_by_itself(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(folder: Path, world: World) -> dict[str, list[Any]]:
        folder.mkdir()
        for name, value in world.environ.items():
            monkeypatch.setenv(name, value)
        world.rows(ROWS)
        with dg.instance_for_test(temp_dir=str(folder)) as instance:
            done = run(world, instance)
            assert done.success
            both = {(stage, key, True) for stage in ("transformed", "published") for key in (WINDOW, NEXT)}
            assert pointers(instance) == both
            return recorded(instance, folder, done.run_id)

    together = of(tmp_path / "together", here)
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other", here.bootstrap, here.environ["SLUICE_REGISTRY_URL"])
    other.environ |= {name: value for name, value in here.environ.items() if name not in other.environ}
    with monkeypatch.context() as patch:
        written_alone(patch)
        alone = of(tmp_path / "alone", other)
    other.close()
    # Three materializations and two checks for each window, and one check of the table's rows for the run.
    assert len([line for line in together["run"] if isinstance(line, tuple)]) == 2 * (3 + 2) + 1
    for what, found in alone.items():
        assert together[what] == found, what


def written_alone(patch: pytest.MonkeyPatch) -> None:
    class Alone(EventLog):
        def __enter__(self) -> EventLog:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    patch.setattr(run_module, "event_log", lambda _: Alone())


def test_where_the_storage_is_not_known_the_run_warns_and_publishes(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteEventLogStorage.store_event

    def otherwise(self: SqliteEventLogStorage, event: Any, more: Any = None) -> None:  # noqa: ARG001
        store(self, event)

    monkeypatch.setattr(SqliteEventLogStorage, "store_event", otherwise)
    here.rows(ROWS)
    with dg.instance_for_test() as instance:
        done = run(here, instance)
        assert done.success
        both = {(stage, key, True) for stage in ("transformed", "published") for key in (WINDOW, NEXT)}
        assert pointers(instance) == both
        told = [record.user_message for record in instance.all_logs(done.run_id)]
    (warning,) = [text for text in told if "store_event(self, event, more=None)" in text]
    assert "small windows take longer; next: " in warning


def on_the_second_window(monkeypatch: pytest.MonkeyPatch, does: Callable[[], None]) -> None:
    """`does` is called when the second window is about to be published."""
    publish = Publisher.publish

    def looked(self: Publisher, key: str, *rest: Any, **more: Any) -> Any:
        if key == NEXT:
            does()
        return publish(self, key, *rest, **more)

    monkeypatch.setattr(Publisher, "publish", looked)


def test_a_finished_window_is_recorded_before_the_next_is_published(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens to the process after that."""
    monkeypatch.setattr("pipelines.orchestration.event_log._HELD_AT_MOST_SECONDS", 60.0)
    with dg.instance_for_test() as instance:
        seen: list[set[str]] = []

        def look() -> None:
            with dg.DagsterInstance.from_ref(instance.get_ref()) as other:
                for stage in ("sourced", "transformed", "published"):
                    seen.append(other.get_materialized_partitions(key_of("tests", "happened", stage)))

        on_the_second_window(monkeypatch, look)
        assert run(here, instance).success
        assert seen == [{WINDOW}] * 3, "and what the second has so far brought is written with the rest of it"


def test_a_window_that_fails_keeps_the_record_of_what_it_reached(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise SluiceError(NEXT, "no luck")

    on_the_second_window(monkeypatch, fails)
    with dg.instance_for_test() as instance:
        done = run(here, instance, raises=True)
        assert not done.success

        def windows(stage: str) -> set[str]:
            return instance.get_materialized_partitions(key_of("tests", "happened", stage))

        assert windows("sourced") == windows("transformed") == {WINDOW, NEXT}
        assert windows("published") == {WINDOW}
        told = [record.user_message for record in instance.all_logs(done.run_id)]
        error = next(place for place, text in enumerate(told) if text.startswith(f"{NEXT}: "))
        made = [place for place, text in enumerate(told) if "transformed" in text and "Materialized" in text]
        assert max(made) < error, "in the order in which it happened"
