"""The memory that a publication and reading it back have used is freed after each of them."""

import pytest

from pipelines.publishing import publisher
from pipelines.reconciling import reconciler
from pipelines.reconciling.reconciler import reconcile_window
from resources.process import memory
from tests.pipelines.publishing.conftest import WINDOW, World


def test_memory_is_given_back_by_the_rows_of_each_step(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(publisher, "give_back", lambda rows: told.append(("published", rows)))
    monkeypatch.setattr(reconciler, "give_back", lambda rows: told.append(("read back", rows)))
    world = embedded_world
    world.deliver([(f"k{n}", n, n) for n in range(30)])
    assert reconcile_window(world.event, WINDOW, world.platform()).ok
    world.publish()
    assert told == [("published", 30), ("read back", 30), ("published", 0)]


def test_memory_is_given_back_within_each_long_step(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(memory, "_EVERY_ROWS", 20)
    monkeypatch.setattr(memory, "give_back", told.append)
    monkeypatch.setattr("resources.snapshots.writer.ROW_GROUP_ROWS", 20)
    world = embedded_world
    world.rows([(f"k{n}", n, n) for n in range(90)])
    platform = world.platform(transaction_rows=30)
    world.prepare(platform)
    assert told == [20] * 4, "sourced; the same rows are not stored again"
    del told[:]
    world.publish(platform)
    assert told == [30] * 3, "each transaction"
    del told[:]
    assert reconcile_window(world.event, WINDOW, world.platform()).ok
    assert told and sum(told) <= 90, "read back"
