"""Which other windows have the keys of tombstones, in the words of the warning."""

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from pipelines.publishing.stale import other_windows
from pipelines.publishing.stale.other_windows import Elsewhere
from tests.pipelines.publishing.stale.test_stale_writes import LATER, WINDOW

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import World

DAY = 24 * 60
KEYS = pa.array([b"a", b"b", b"elsewhere"], pa.binary())


@pytest.fixture
def stored(embedded_world: "World") -> "World":
    world = embedded_world
    world.define(more="tombstones=True,")
    world.rows([("a", 1, 1), ("b", DAY + 1, 2), ("c", DAY + 2, 3)])
    platform = world.platform()
    for window in (WINDOW, LATER):
        world.prepare(platform, window=window)
    return world


def test_the_windows_that_hold_a_key_are_named_and_the_window_itself_is_not(stored: "World") -> None:
    told = Elsewhere(stored.event, stored.platform()).warning(WINDOW, KEYS)
    assert told is not None
    assert f"1 stored row of {LATER} has a key" in told
    assert f"sluice replay {stored.event.full_name} {LATER} --fresh" in told


def test_keys_of_no_other_window_are_not_mentioned(stored: "World") -> None:
    assert Elsewhere(stored.event, stored.platform()).warning(LATER, KEYS.slice(2)) is None


def test_a_run_looks_for_a_bounded_time(stored: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_windows, "_SECONDS", 0.0)
    assert Elsewhere(stored.event, stored.platform()).warning(WINDOW, KEYS) is None
