"""A DuckDB file is given back to those who write to it as soon as its rows are read."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import duckdb
import pytest

from pipelines.orchestration import run as runs
from pipelines.publishing.sending import Sender
from tests.pipelines.orchestration.test_dead_letters import here, instance, run
from tests.pipelines.publishing.conftest import World, embedded_world
from tests.pipelines.publishing.test_redrive import ROWS

__all__ = ["embedded_world", "here", "instance"]


@pytest.fixture
def written(here: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What a writer got to know of the file while records were sent, for each transaction."""
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
    monkeypatch.setattr(runs.WindowRun, "_let_writers", lambda *_: None)
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
