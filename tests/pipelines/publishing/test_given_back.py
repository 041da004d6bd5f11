"""What a publication and reading it back have used of memory is given back behind each of them."""

import pytest

from pipelines.publishing import publisher
from pipelines.reconciling import reconciler
from pipelines.reconciling.reconciler import reconcile_window
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
