"""Record timestamps that are event times are read back and compared as the contents are."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.publishing import outgoing
from pipelines.reconciling.reconciler import Reconciler
from pipelines.reconciling.result import Reconciliation
from tests.fixtures_servers import KafkaServer, RegistryServer
from tests.pipelines.publishing.conftest import WINDOW, World

BY_EVENT_TIME = 'record_timestamp="event_time",'
ROWS = [(f"k{n}", 60 + n, n) for n in range(40)]


@pytest.fixture
def embedded_world(
    embedded_broker: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path
) -> Iterator[World]:
    with closing(World(tmp_path, embedded_broker.bootstrap, embedded_registry.url)) as made:
        yield made


@pytest.fixture(params=["native", "public"])
def reconcile(request: pytest.FixtureRequest, embedded_world: World) -> Callable[[], Reconciliation]:
    embedded_world.create_topic(retention_ms="-1")

    def run() -> Reconciliation:
        with Reconciler(embedded_world.event, embedded_world.platform(producing=request.param)) as reconciler:
            found = reconciler.reconcile_whole(WINDOW)
            newest = reconciler.reconcile(WINDOW)
        assert newest.ok or not found.ok
        return found

    return run


def shifting(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    own = outgoing.milliseconds
    monkeypatch.setattr(outgoing, "milliseconds", lambda times: change(own(times)))


def test_timestamps_that_are_the_event_times_agree(
    embedded_world: World, reconcile: Callable[[], Reconciliation]
) -> None:
    embedded_world.define(more=BY_EVENT_TIME + " tombstones=True,")
    embedded_world.deliver(ROWS)
    assert (reconcile().verdict, reconcile().notes) == ("agrees", ())
    # The tombstones of a correction have the time of publication.
    embedded_world.deliver([*ROWS[:30], ("k30", 90, 7)])
    found = reconcile()
    assert (found.verdict, found.altered, found.notes) == ("agrees", 0, ())


def test_one_other_timestamp_is_found_and_named(
    embedded_world: World, reconcile: Callable[[], Reconciliation], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded_world.define(more=BY_EVENT_TIME)
    with monkeypatch.context() as patched:
        # 0 is what the client takes for none: the record gets the time of publication.
        shifting(patched, lambda stamps: np.where(np.arange(len(stamps)) == 17, 0, stamps))
        embedded_world.deliver(ROWS)
    found = reconcile()
    assert (found.verdict, found.altered, found.missing, found.found) == ("differs", 1, 0, 40)
    assert [(one.kind, one.key) for one in found.examples] == [("altered", "k17")]
    assert "1 records have another timestamp than their event time" in found.told


def test_a_millisecond_is_enough(
    embedded_world: World, reconcile: Callable[[], Reconciliation], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded_world.define(more=BY_EVENT_TIME)
    with monkeypatch.context() as patched:
        shifting(patched, lambda stamps: stamps + (np.arange(len(stamps)) % 2))
        embedded_world.deliver(ROWS)
    found = reconcile()
    assert (found.verdict, found.altered, len(found.examples)) == ("differs", 20, 5)


def test_what_was_published_before_it_was_declared_is_no_fault(
    embedded_world: World, reconcile: Callable[[], Reconciliation]
) -> None:
    embedded_world.deliver(ROWS)
    embedded_world.define(more=BY_EVENT_TIME)
    found = reconcile()
    assert (found.verdict, found.altered) == ("agrees", 0)
    assert any('before record_timestamp="event_time" was declared' in note for note in found.notes)
    embedded_world.deliver([*ROWS[:39], ("k39", 99, 1_000)], on_definition_change="correct")
    found = reconcile()
    assert (found.verdict, found.altered) == ("agrees", 0)


@pytest.mark.kafka
@pytest.mark.parametrize("way", ["native", "public"])
def test_timestamps_of_the_brokers_are_not_compared(
    kafka: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path, way: str
) -> None:
    with closing(World(tmp_path, kafka.bootstrap, embedded_registry.url)) as world:
        world.define(more=BY_EVENT_TIME)
        world.create_topic(retention_ms="-1", message_timestamp_type="LogAppendTime")
        world.deliver(ROWS)
        with Reconciler(world.event, world.platform(producing=way)) as reconciler:
            found = reconciler.reconcile_whole(WINDOW)
    assert (found.verdict, found.altered) == ("agrees", 0)
    assert any("LogAppendTime" in note for note in found.notes)
