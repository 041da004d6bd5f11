"""A run's events on Dagster's SQLite storage:
written together, none lost, none twice, and visible to watchers."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.storage.event_log import SqliteEventLogStorage

from pipelines.orchestration import event_log as module
from pipelines.orchestration.event_log import EventLog, event_log

FIRST, SECOND = dg.AssetKey("first"), dg.AssetKey("second")
POINTER = "dagster/input_event_pointer/first"


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    # On a busy machine, one transaction must not become two.
    monkeypatch.setattr(module, "_HELD_AT_MOST_SECONDS", 60.0)
    with dg.instance_for_test(temp_dir=str(tmp_path)) as made:
        yield made


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The file of each transaction that wrote something, in the order of the commits."""
    seen: list[str] = []
    commit = sqlalchemy.dialects.sqlite.pysqlite.dialect.do_commit

    def counted(self: Any, connection: Any) -> None:
        if connection.in_transaction:
            path = connection.execute("PRAGMA database_list").fetchone()[2]
            seen.append("index" if Path(path).stem == "index" else "run")
        commit(self, connection)

    monkeypatch.setattr(sqlalchemy.dialects.sqlite.pysqlite.dialect, "do_commit", counted)
    return seen


def run(instance: dg.DagsterInstance, body: Callable[[EventLog], Iterator[object]]) -> str:
    """Run an op that yields what `body` yields, with the run's event log; returns the run's id."""

    @dg.multi_asset(specs=[dg.AssetSpec(key, skippable=True) for key in (FIRST, SECOND)])
    def op(context: dg.AssetExecutionContext):
        with event_log(context.instance) as log:
            yield from body(log)

    return dg.materialize([op], instance=instance).run_id


def made(key: dg.AssetKey, window: str, tags: dict[str, str] | None = None) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(key, partition=window, tags=tags or {}, metadata={"rows": 3})


def fits(window: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(asset_key=SECOND, check_name="fits", passed=True, partition=window)


def window(log: EventLog, key: str) -> Iterator[object]:
    """The events of one window; the second asset's event has the position of the first's."""
    with log.one_window():
        yield made(FIRST, key)
        tags = {POINTER: "NULL"}
        log.point(tags, POINTER, FIRST, key)
        yield made(SECOND, key, tags)
        yield fits(key)
    log.write()


def stored(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Assets, checks and windows in the order of the run's log."""
    of_type = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    events = [record.dagster_event for record in instance.all_logs(run_id, of_type=of_type)]
    return [
        f"{event.asset_key.to_user_string()} {event.partition}"
        if event.is_step_materialization
        else f"check {event.asset_check_evaluation_data.partition}"
        for event in events
        if event is not None
    ]


def elsewhere(instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """The same storage as another process sees it."""
    return dg.DagsterInstance.from_ref(instance.get_ref())


def points_to_first(instance: dg.DagsterInstance, key: str) -> bool:
    def newest(asset: dg.AssetKey) -> dg.EventLogRecord:
        wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[key])
        return instance.fetch_materializations(wanted, limit=1).records[0]

    told = newest(SECOND).asset_materialization
    assert told is not None and told.tags is not None
    return told.tags[POINTER] == str(newest(FIRST).storage_id)


def test_a_window_is_one_transaction_in_each_file(instance: dg.DagsterInstance, commits: list[str]) -> None:
    def body(log: EventLog) -> Iterator[object]:
        for key in "abc":
            commits.clear()
            yield from window(log, key)
            assert commits == ["run", "index"]

    run_id = run(instance, body)
    assert stored(instance, run_id) == [
        line for key in "abc" for line in (f"first {key}", f"second {key}", f"check {key}")
    ]
    assert all(points_to_first(instance, key) for key in "abc")


def test_a_window_is_stored_when_it_is_done(instance: dg.DagsterInstance) -> None:
    def body(log: EventLog) -> Iterator[object]:
        yield from window(log, "a")
        with elsewhere(instance) as other:
            found = other.get_materialized_partitions(SECOND)
            checks = instance.event_log_storage.get_asset_check_execution_history(
                dg.AssetCheckKey(SECOND, "fits"), limit=9
            )
        assert found == {"a"}
        assert [check.partition for check in checks] == ["a"]

    run(instance, body)


def test_no_event_waits_longer_than_a_second(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HELD_AT_MOST_SECONDS", 3.0)

    def body(log: EventLog) -> Iterator[object]:
        with log.one_window():
            with elsewhere(instance) as other:
                assert other.get_materialized_partitions(FIRST) == set()
                yield made(FIRST, "a")
                assert other.get_materialized_partitions(FIRST) == set()
                until = time.monotonic() + 60
                while not other.get_materialized_partitions(FIRST) and time.monotonic() < until:
                    time.sleep(0.1)
                assert other.get_materialized_partitions(FIRST) == {"a"}
            tags = {POINTER: "NULL"}
            assert log.point(tags, POINTER, FIRST, "a")
            yield made(SECOND, "a", tags)

    run_id = run(instance, body)
    assert stored(instance, run_id) == ["first a", "second a"]
    assert points_to_first(instance, "a")


def test_what_is_logged_stands_behind_what_happened_before_it(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def op(context: dg.AssetExecutionContext) -> None:
        with event_log(context.instance) as log, log.one_window():
            context.log_event(made(FIRST, "a"))
            context.log.info("between")
            context.log_event(made(FIRST, "b"))

    done = dg.materialize([op], instance=instance)
    told = [record.user_message for record in instance.all_logs(done.run_id)]
    places = [told.index(text) for text in ("Materialized value first.", "between")]
    assert places[0] < places[1] < len(told) - 1 - told[::-1].index("Materialized value first.")


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_error_within_a_batch_loses_no_event_and_doubles_none(
    bad: int,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, calls = SqliteEventLogStorage.store_event, []

    def fails_once(self: SqliteEventLogStorage, event: Any) -> None:
        store(self, event)
        calls.append(event)
        if len(calls) == bad + 1:
            raise sqlite3.OperationalError("disk I/O error")

    def body(log: EventLog) -> Iterator[object]:
        monkeypatch.setattr(SqliteEventLogStorage, "store_event", fails_once)
        yield from window(log, "a")
        monkeypatch.setattr(SqliteEventLogStorage, "store_event", store)

    run_id = run(instance, body)
    assert len(calls) == bad + 1 + 3
    assert "one by one" in capsys.readouterr().err
    assert stored(instance, run_id) == ["first a", "second a", "check a"]
    assert points_to_first(instance, "a")
    assert len(instance.fetch_materializations(FIRST, limit=9).records) == 1


def test_nothing_points_to_what_was_taken_back(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, calls = SqliteEventLogStorage.store_event, []

    def fails(self: SqliteEventLogStorage, event: Any) -> None:
        calls.append(event)
        # The second call fails within the batch; then the first one fails alone.
        if len(calls) in (2, 3):
            raise sqlite3.OperationalError("disk I/O error")
        store(self, event)

    def body(log: EventLog) -> Iterator[object]:
        monkeypatch.setattr(SqliteEventLogStorage, "store_event", fails)
        with pytest.raises(sqlite3.OperationalError):
            yield from window(log, "a")
        monkeypatch.setattr(SqliteEventLogStorage, "store_event", store)

    run_id = run(instance, body)
    assert stored(instance, run_id) == ["second a", "check a"]
    told = instance.fetch_materializations(SECOND, limit=1).records[0].asset_materialization
    assert told is not None and told.tags is not None and told.tags[POINTER] == "NULL"


def test_what_cannot_be_stored_fails_the_run_and_the_others_stand(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteEventLogStorage.store_event

    def fails(self: SqliteEventLogStorage, event: Any) -> None:
        told = event.dagster_event
        if told and told.is_step_materialization and told.asset_key == SECOND:
            raise sqlite3.OperationalError("disk I/O error")
        store(self, event)

    @dg.multi_asset(specs=[dg.AssetSpec(key, skippable=True) for key in (FIRST, SECOND)])
    def op(context: dg.AssetExecutionContext):
        with event_log(context.instance) as log:
            with log.one_window():
                yield made(FIRST, "a")
                yield made(SECOND, "a")
                context.log.warning("of which Dagster swallows the errors")
                yield fits("a")
            log.write()
            raise AssertionError("not reached")

    monkeypatch.setattr(SqliteEventLogStorage, "store_event", fails)
    done = dg.materialize([op], instance=instance, raise_on_error=False)
    assert not done.success
    run = instance.get_run_by_id(done.run_id)
    assert run is not None and run.status == dg.DagsterRunStatus.FAILURE
    assert stored(instance, done.run_id) == ["first a", "check a"]
    told = [event.step_failure_data.error for event in done.all_events if event.is_step_failure]
    assert "disk I/O error" in str(told)


def test_who_watches_the_run_sees_its_events_while_it_works(instance: dg.DagsterInstance) -> None:
    seen: list[str] = []

    def body(log: EventLog) -> Iterator[object]:
        with elsewhere(instance) as other:
            run_id = instance.get_runs()[0].run_id
            other.watch_event_logs(run_id, None, lambda entry, _: seen.append(entry.user_message))
            yield from window(log, "a")
            until = time.monotonic() + 60
            while "Materialized value second." not in seen and time.monotonic() < until:
                time.sleep(0.05)
            assert "Materialized value second." in seen
            other.event_log_storage.dispose()

    run(instance, body)


def test_a_batch_of_dagsters_own_is_one_transaction_in_each_file(
    instance: dg.DagsterInstance, commits: list[str]
) -> None:
    days = dg.DailyPartitionsDefinition("2024-01-01")

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def planned(context: dg.AssetExecutionContext) -> None:
        pass

    job = dg.Definitions([planned]).resolve_implicit_global_asset_job_def()
    tags = {
        "dagster/asset_partition_range_start": "2024-01-01",
        "dagster/asset_partition_range_end": "2024-04-01",
    }
    with pytest.MonkeyPatch.context() as patch, event_log(instance):
        patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
        instance.create_run_for_job(job, tags=tags)
        # and also the transactions that create the run's own file
        assert len(commits) < 10
    logs = instance.all_logs(
        instance.get_runs()[0].run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    )
    assert len(logs) == 92


def test_the_files_stay_open_and_are_closed_in_the_end(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    def write() -> None:
        instance.report_runless_asset_event(dg.AssetMaterialization("thing"))

    def logs() -> list[Path]:
        return list(tmp_path.rglob("index.db-wal"))

    write()
    assert not logs(), "SQLite removes it with the last connection: this is what costs time"
    with event_log(instance):
        write()
        assert logs()
        with event_log(instance):
            write()
        assert logs(), "who came first closes"
    assert not logs()
    assert len(instance.fetch_materializations(dg.AssetKey("thing"), limit=9).records) == 3
    assert "store_event" not in vars(instance.event_log_storage)


def test_another_storage_is_left_alone() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        before = dict(vars(instance.event_log_storage))

        def body(log: EventLog) -> Iterator[object]:
            assert vars(instance.event_log_storage).keys() == before.keys()
            yield from window(log, "a")
            assert not log.point({}, POINTER, FIRST, "a")

        assert stored(instance, run(instance, body)) == ["first a", "second a", "check a"]


def test_the_storage_of_the_installed_dagster_is_known() -> None:
    assert module._unknown_methods(SqliteEventLogStorage) == []


@pytest.mark.parametrize("name", module._KNOWN)
def test_a_storage_that_is_declared_otherwise_is_left_alone(
    name: str, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = getattr(SqliteEventLogStorage, name)

    def otherwise(self: Any, *arguments: Any, more: bool = False, **named: Any) -> Any:  # noqa: ARG001
        return own(self, *arguments, **named)

    monkeypatch.setattr(SqliteEventLogStorage, name, otherwise)
    before = set(vars(instance.event_log_storage))

    def body(log: EventLog) -> Iterator[object]:
        assert set(vars(instance.event_log_storage)) == before
        assert f"{name}(self, *arguments, more=False, **named)" in (log.warning or "")
        yield from window(log, "a")
        assert not log.point({}, POINTER, FIRST, "a")

    assert stored(instance, run(instance, body)) == ["first a", "second a", "check a"]


def test_a_method_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._KNOWN, "store_events", "(self, events)")
    assert module._unknown_methods(SqliteEventLogStorage) == ["store_events no more"]
