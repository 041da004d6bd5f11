"""A Dagster run that replays keys fails if a key is in none of its windows, and names the key."""

from collections import Counter
from typing import Any

import dagster as dg
import pytest

from tests.pipelines.orchestration.test_dead_letters import ALL, embedded_world, here, instance, run, told
from tests.pipelines.publishing.conftest import World

__all__ = ["embedded_world", "here", "instance"]

ROWS = [(f"k{n % 5} ", n * 10, n) for n in range(10)]


def replay(world: World, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    stages = ALL if config.get("replay") == "fresh" else ("published",)
    return run(world, instance, stages=stages, **{"replay": "stored", "reason": "lost", **config})


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    return {name: value.value for name, value in data.metadata.items()}


@pytest.fixture
def published(here: World, instance: dg.DagsterInstance) -> World:
    here.rows(ROWS)
    assert run(here, instance).success
    return here


def test_a_replay_of_stored_rows_is_refused_before_anything_is_published(
    published: World, instance: dg.DagsterInstance
) -> None:
    result = replay(published, instance, keys=["k1 ", "k1", "nobody"])
    assert not result.success
    assert "2 of 3 keys are in none of these windows: 'k1', 'nobody'; nothing was replayed" in told(result)
    found = {"given": 3, "count": 2, "first": ["k1", "nobody"], "within": ""}
    assert metadata(result)["unmatched_keys"] == found
    assert len(published.seen()) == 10

    result = replay(published, instance, keys=["k1 ", "k1", "nobody"], unmatched_keys="leave_out")
    assert result.success
    assert Counter(r.key for r in published.seen() if "sluice_kind" in r.headers) == {"k1 ": 2}
    assert replay(published, instance, keys=["k1 ", "k2 "]).success


def test_a_replay_of_fresh_rows_says_afterwards_which_keys_it_did_not_find(
    published: World, instance: dg.DagsterInstance
) -> None:
    published.rows([*ROWS, ("new", 500, 1)])
    result = replay(published, instance, replay="fresh", keys=["k1 ", "new", "nobody"])
    assert not result.success
    assert "1 of 3 keys is in none of these windows: 'nobody'; the others were replayed" in told(result)
    replayed = [r.key for r in published.seen() if r.headers.get("sluice_kind") == "replay"]
    assert Counter(replayed) == {"k1 ": 2, "new": 1}
    assert replay(published, instance, replay="fresh", keys=["k1 ", "new"]).success


@pytest.mark.parametrize("source", ["stored", "fresh"])
def test_a_replay_of_a_range_without_an_event_fails(
    published: World, instance: dg.DagsterInstance, source: str
) -> None:
    told_range = {"event_time_from": "2013-01-01T23:00Z", "event_time_until": "2013-01-02T00:00Z"}
    result = replay(published, instance, replay=source, **told_range)
    assert not result.success
    assert "no event of these windows is selected by event time 2013-01-01T23:00:00Z.." in told(result)
    assert metadata(result)["unmatched_keys"]["given"] == 0
    assert len(published.seen()) == 10
    assert replay(published, instance, replay=source, event_time_from="2013-01-01T00:00Z").success
