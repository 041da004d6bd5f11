"""The producer for a run's next window is prepared early: used when its turn has come, freed otherwise, and
it makes no claim before that."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.publisher import NotPublishable, Publisher
from pipelines.publishing.request import PublishRequest
from pipelines.publishing.sending.sender import Allowance
from pipelines.publishing.sending.standby import Standby
from resources.kafka.errors import ProducerFenced
from resources.kafka.topics.topics import ensure_topic
from resources.kafka.transactions import TransactionalProducer
from tests.hearing import into
from tests.matrix import one_of
from tests.pipelines.publishing.conftest import WINDOW, World

FIRST, SECOND, LAST = WINDOW, "2013-01-02", "2013-01-03"


@pytest.fixture(params=one_of("native", "public"))
def way(request: pytest.FixtureRequest) -> str:
    """Every promise applies to both."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is done with producers, by their number."""
    taken: list[tuple[str, int]] = []
    made: list[TransactionalProducer] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(self: TransactionalProducer, *a: Any, **k: Any) -> Any:
            if self not in made:
                made.append(self)
            taken.append((name.strip("_"), made.index(self)))
            return real(self, *a, **k)

        return step

    for name in ("__init__", "connect", "claim", "close"):
        monkeypatch.setattr(TransactionalProducer, name, noted(name, getattr(TransactionalProducer, name)))
    return taken


class Before:
    """A pace that does something once, after the window is claimed and before anything of it is sent."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Callable[[], object] | None = act

    def before(self, entry: LedgerEntry) -> Allowance:  # noqa: ARG002
        act, self._act = self._act, None
        if act is not None:
            act()
        return Allowance()

    def sent(self, rows: int, sent_bytes: int) -> None:
        pass


def standing(publisher: Publisher) -> Standby:
    return publisher._delivery._producers._standby


@contextmanager
def run(
    world: World, *windows: str, way: str = "auto", run_id: str = "run", **how: Any
) -> Iterator[Publisher]:
    platform = world.platform(producing=way)
    ensure_topic(platform.settings, world.topic)
    for window in windows:
        world.prepare(platform, window=window)
    pace = how.pop("pace", None)
    with Publisher(
        world.event, platform, run_id=run_id, request=PublishRequest(**how), pace=pace, tell=into(world.said)
    ) as publisher:
        publisher.require_fit([world.event.windows.window(window) for window in windows])
        yield publisher
    assert not [thread for thread in threading.enumerate() if thread.name == "sluice-standby"]


def test_the_next_window_is_claimed_by_the_producer_that_stood_by(
    world: World, way: str, steps: list[tuple[str, int]]
) -> None:
    world.rows([("a", 1, 1), ("b", 2, 2)], day=SECOND)
    with run(world, FIRST, SECOND, LAST, way=way) as publisher:
        assert publisher.publish(FIRST).transactions == 1
        standing(publisher)._next._thread.join()
        assert steps == [
            *(("init", 0), ("claim", 0), ("connect", 0), ("close", 0)),
            *(("init", 1), ("connect", 1)),
        ]
        del steps[:]
        assert publisher.publish(SECOND).published == 2
        assert steps[:2] == [("claim", 1), ("close", 1)]
        assert publisher.publish(LAST).transactions == 1
        assert standing(publisher)._next is None, "nothing is behind the last one"
    assert set(world.counted().values()) == {1}


def test_windows_that_have_nothing_to_do_need_no_producer(world: World, steps: list[tuple[str, int]]) -> None:
    with run(world, FIRST, SECOND) as publisher:
        publisher.publish(FIRST)
        publisher.publish(SECOND)
    del steps[:]
    with run(world, FIRST, SECOND, run_id="again") as publisher:
        assert publisher.publish(FIRST).action == "nothing"
        assert publisher.publish(SECOND).action == "nothing"
    assert steps == []


def test_a_producer_that_nobody_takes_is_freed(world: World, way: str, steps: list[tuple[str, int]]) -> None:
    with run(world, FIRST, SECOND, way=way) as publisher:
        publisher.publish(FIRST)
    assert steps[-1] == ("close", 1), "the run ends before its next window"
    with run(world, FIRST, SECOND, LAST, way=way) as publisher:
        publisher.publish(SECOND)
        assert standing(publisher)._next is not None
        publisher._delivery.stand_by(FIRST)
        assert steps[-1] == ("close", 3) or ("close", 3) in steps, "another window's takes its place"
        assert publisher.publish(SECOND).action == "nothing"
        assert standing(publisher)._next is None, "its window had nothing to do"
    opened = {number for name, number in steps if name == "init"}
    assert opened == {number for name, number in steps if name == "close"}


def test_a_producer_of_a_window_that_cannot_be_published_is_freed(
    world: World, steps: list[tuple[str, int]]
) -> None:
    with run(world, FIRST) as publisher:
        publisher._delivery._behind = {FIRST: SECOND}
        publisher.publish(FIRST)
        with pytest.raises(NotPublishable):
            publisher.publish(SECOND)
        assert standing(publisher)._next is None
        assert ("close", 1) in steps
        assert ("claim", 1) not in steps


def test_a_run_that_is_interrupted_leaves_no_producer(world: World, steps: list[tuple[str, int]]) -> None:
    with pytest.raises(KeyboardInterrupt), run(world, FIRST, SECOND) as publisher:
        publisher.publish(FIRST)
        raise KeyboardInterrupt
    assert {number for name, number in steps if name == "init"} == {0, 1}
    assert {number for name, number in steps if name == "close"} == {0, 1}
    assert not [thread for thread in threading.enumerate() if thread.name == "sluice-standby"]


def test_two_launches_whose_producers_stand_by_fence_each_other(world: World, way: str) -> None:
    world.rows([("a", 1, 1), ("b", 2, 2)], day=SECOND)
    with run(world, FIRST, SECOND, way=way, run_id="later") as later:
        pace = Before(lambda: later.publish(SECOND))
        with run(world, FIRST, SECOND, way=way, run_id="earlier", pace=pace) as earlier:
            for publisher in (later, earlier):
                publisher._delivery.stand_by(FIRST)
                standing(publisher)._next._thread.join()
            with pytest.raises(ProducerFenced):
                earlier.publish(SECOND)
    assert world.counted() == {("a", 1, 1): 1, ("b", 2, 2): 1}


def test_a_producer_that_stands_by_disturbs_no_other_launch(world: World, way: str) -> None:
    world.rows([("a", 1, 1)], day=SECOND)
    with run(world, FIRST, SECOND, way=way, run_id="waits") as waits:

        def stand_by() -> None:
            waits._delivery.stand_by(FIRST)
            standing(waits)._next._thread.join()

        with run(world, SECOND, way=way, run_id="owner", pace=Before(stand_by)) as owner:
            assert owner.publish(SECOND).published == 1
        assert waits.publish(SECOND).action == "nothing"
    assert world.counted() == {("a", 1, 1): 1}


def test_what_cannot_be_made_ahead_is_made_in_its_turn() -> None:
    def fails() -> TransactionalProducer:
        raise RuntimeError

    standby = Standby()
    standby.prepare("k", fails)
    assert standby.take("k") is None
    standby.prepare("k", fails)
    standby.close()
