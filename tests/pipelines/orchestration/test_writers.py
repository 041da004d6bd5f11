"""A DuckDB file is released for its writers as soon as its rows are read."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import dagster as dg
import duckdb
import pytest

from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.definitions.resource import run_resources
from pipelines.orchestration.definitions.tables import build_tables
from pipelines.orchestration.windows import held_files
from pipelines.orchestration.windows import run as runs
from pipelines.orchestration.windows.held_files import HeldFiles
from pipelines.publishing.sending.sender import Sender
from pipelines.stages import source as sourced
from pipelines.stages.transform import TransformPass
from resources.snapshots import writer
from tests.pipelines.orchestration.test_dead_letters import here, instance, run
from tests.pipelines.publishing.conftest import WINDOW, World, embedded_world
from tests.pipelines.publishing.test_redrive import ROWS

__all__ = ["embedded_world", "here", "instance"]


@pytest.fixture
def written(here: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What a writer found out about the file while records were sent, for each transaction."""
    seen: list[Any] = []
    real = Sender.send
    path = here.settings().warehouses["default"].removeprefix("duckdb://")

    def sends(self: Sender, *arguments: Any, **named: Any) -> Any:
        try:
            with duckdb.connect(path) as writer:
                seen.append(writer.execute("SELECT count(*) FROM happenings").fetchall())
        except duckdb.Error as error:
            seen.append(error)
        return real(self, *arguments, **named)

    monkeypatch.setattr(Sender, "send", sends)
    yield seen


def test_a_writer_gets_the_file_while_the_last_window_is_sent(
    here: World, instance: dg.DagsterInstance, written: list[Any]
) -> None:
    here.define("return rows")
    here.rows(ROWS)
    assert run(here, instance).success
    assert written == [[(len(ROWS),)]]


def test_the_file_is_given_back_before_a_wait(
    here: World, instance: dg.DagsterInstance, written: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    here.define("return rows")
    here.rows(ROWS)
    monkeypatch.setattr(HeldFiles, "read", lambda *_, **__: None)
    path = here.settings().warehouses["default"].removeprefix("duckdb://")
    real, waits = runs.WindowRun._wait, []

    def waiting(self: runs.WindowRun, seconds: float) -> None:
        real(self, seconds)
        duckdb.connect(path).close()
        waits.append(seconds)

    monkeypatch.setattr(runs.WindowRun, "_wait", waiting)
    assert run(here, instance, max_rows_per_second=15).success
    assert isinstance(written[0], duckdb.Error), "held, as between small windows"
    assert waits


@pytest.mark.parametrize("stage", ["transform", "end of the transform", "send"])
def test_the_file_is_given_back_where_a_small_window_takes_long(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Another window comes after it, so the file is not released at once."""
    here.define("return rows.assign(amount=rows['amount'])")
    here.rows([("a", 1, 1), ("b", 1441, 1)])
    path = here.settings().warehouses["default"].removeprefix("duckdb://")
    monkeypatch.setattr(held_files, "_HELD_SECONDS", 0.3)
    real_read = HeldFiles.read

    def read_at_once(self: HeldFiles, **_: bool) -> None:
        self._opened_at = time.monotonic()  # however long the opening took
        real_read(self, at_once=False)

    monkeypatch.setattr(HeldFiles, "read", read_at_once)
    written: list[bool] = []
    place, name = (
        (Sender, "send") if stage == "send" else (TransformPass, "take" if stage == "transform" else "finish")
    )
    real = getattr(place, name)

    def slowly(*arguments: Any, **named: Any) -> Any:
        for _ in range(600):
            try:
                duckdb.connect(path).close()
                break
            except duckdb.Error:
                time.sleep(0.1)
        else:
            pytest.fail("held while nobody reads it")
        written.append(True)
        return real(*arguments, **named)

    monkeypatch.setattr(place, name, slowly)
    done = dg.materialize(
        [build_assets(here.event), *build_tables([here.event])],
        resources=run_resources(),
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": WINDOW,
            "dagster/asset_partition_range_end": "2013-01-02",
        },
    )
    assert done.success
    assert len(written) == 2
    assert [record.key for record in here.seen()] == ["a", "b"]


def test_a_transform_that_is_slow_on_many_rows_does_not_hold_the_file(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sourced, "_SLOW", 0.0)
    monkeypatch.setattr(sourced, "_SLOWER", 0.0)
    monkeypatch.setattr(writer, "ROW_GROUP_ROWS", 1)
    here.define("return rows.assign(amount=rows['amount'])")
    here.rows([("a", 1, 1), ("b", 2, 2), ("c", 3, 3), ("d", 4, 4)])
    path = here.settings().warehouses["default"].removeprefix("duckdb://")
    real, free = TransformPass.take, []

    def take(self: TransformPass, *arguments: Any) -> None:
        with suppress(duckdb.Error):
            duckdb.connect(path).close()
            free.append(arguments[0].column("id")[0].as_py())
        real(self, *arguments)

    monkeypatch.setattr(TransformPass, "take", take)
    assert run(here, instance).success
    assert sorted(free) == ["a", "b", "c", "d"], "each of the rows once when nobody reads"
    assert sorted(str(record.key) for record in here.seen()) == ["a", "b", "c", "d"]


def test_a_file_is_not_given_back_while_it_is_read() -> None:
    given: list[str] = []
    files = HeldFiles(lambda: given.append("back"), held_seconds=0.01)
    for _ in range(50):
        files.reading()
        before = len(given)
        time.sleep(0.02)
        assert len(given) == before
        files.read(at_once=False)
        while len(given) == before:
            time.sleep(0.001)
    files.close()
    assert len(given) == 50, "each time once"
