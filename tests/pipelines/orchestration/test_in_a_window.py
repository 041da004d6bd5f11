"""In Dagster: rows that belong to no window are reported beside the sourced asset,
once a day, and block nothing."""

from datetime import timedelta
from typing import Any

import dagster as dg
import duckdb
import pytest

from pipelines.orchestration.checks import in_a_window
from pipelines.orchestration.keys import asset_key
from pipelines.stages.unwindowed_rows import Unwindowed
from resources.errors import SluiceError
from tests.pipelines.orchestration.test_dead_letters import embedded_world, here, instance, run
from tests.pipelines.publishing.conftest import World

__all__ = ["embedded_world", "here", "instance"]


def evaluations(result: dg.ExecuteInProcessResult) -> list[dg.AssetCheckEvaluation]:
    assert result.success
    return [one for one in result.get_asset_check_evaluations() if one.check_name == "in_a_window"]


def lose_rows(world: World) -> None:
    world.rows([("a", 1, 1), ("b", 2, 2)])
    with duckdb.connect(str(world.folder / "dwh.duckdb")) as connection:
        connection.execute("INSERT INTO happenings VALUES ('c', NULL, 3), ('d', TIMESTAMPTZ '9999-12-31', 4)")


def test_it_warns_once_a_day_and_holds_nothing_back(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_rows(here)
    (found,) = evaluations(run(here, instance))
    assert (found.passed, found.severity, found.partition) == (False, dg.AssetCheckSeverity.WARN, None)
    assert found.asset_key == asset_key(here.event, "sourced")
    assert "2 rows of happenings belong to no window: 1 without a time, 1 after" in (found.description or "")
    told: dict[str, Any] = {name: value.value for name, value in found.metadata.items()}
    assert (told["rows"], told["rows_in_no_window"], told["rows_without_a_time"]) == (4, 2, 1)
    assert len(here.seen()) == 2

    assert evaluations(run(here, instance)) == []
    here.define("return rows.copy()")
    assert len(evaluations(run(here, instance))) == 1, "another definition"
    assert evaluations(run(here, instance)) == []

    monkeypatch.setattr(in_a_window, "_AGAIN_AFTER", timedelta(0))
    assert len(evaluations(run(here, instance))) == 1


def test_what_it_cannot_find_out_fails_nothing(
    here: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.rows([("a", 1, 1)])

    def refused(*_: Any, **__: Any) -> Unwindowed:
        raise SluiceError("warehouse", "is on holiday")

    monkeypatch.setattr(in_a_window, "count_unwindowed", refused)
    (found,) = evaluations(run(here, instance))
    assert found.passed
    assert "is on holiday" in (found.description or "")
