"""A window claimed while its rows are made ready: once, before the ledger is read, and given up where it is not published."""

from collections.abc import Iterator

import pytest

from pipelines.publishing import claiming
from pipelines.publishing.publisher import Publisher
from resources.kafka.errors import TakenOver
from resources.kafka.ledger import LedgerLog
from resources.kafka.topics import ensure_topic
from resources.kafka.transactions import TransactionalProducer
from tests.pipelines.publishing.conftest import WINDOW, World


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is asked of the brokers, in order."""
    taken: list[str] = []
    for owner, name, told in (
        (TransactionalProducer, "claim", "claim"),
        (TransactionalProducer, "begin", "begin"),
        (TransactionalProducer, "close", "close"),
        (LedgerLog, "latest", "ledger"),
    ):

        def step(
            *a: object, told: str = told, original: object = getattr(owner, name), **k: object
        ) -> object:
            taken.append(told)
            return original(*a, **k)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, step)
    yield taken


def _ready(world: World, run_id: str = "run") -> Publisher:
    platform = world.platform()
    ensure_topic(platform.settings, world.topic)
    publisher = Publisher(world.event, platform, run_id=run_id, say=world.said.append)
    publisher.require_fit([world.event.windows.window(WINDOW)])
    world.prepare(platform)
    return publisher


def test_one_claim_and_the_ledger_read_behind_it(embedded_world: World, steps: list[str]) -> None:
    embedded_world.rows([("a", 1, 1)])
    with _ready(embedded_world) as publisher:
        del steps[:]
        publisher.claim_ahead(WINDOW)
        assert publisher._ahead is not None
        assert publisher.publish(WINDOW).published == 1
    assert steps == ["ledger", "claim", "ledger", "begin", "close"]
    assert embedded_world.counted() == {("a", 1, 1): 1}


def test_a_window_that_was_published_is_not_claimed_for_nothing(
    embedded_world: World, steps: list[str]
) -> None:
    embedded_world.deliver([("a", 1, 1)])
    with _ready(embedded_world) as publisher:
        del steps[:]
        publisher.claim_ahead(WINDOW)
        assert publisher.publish(WINDOW).action == "nothing"
    assert "claim" not in steps


def test_a_claim_that_is_not_taken_is_given_up(embedded_world: World, steps: list[str]) -> None:
    with _ready(embedded_world) as publisher:
        publisher.claim_ahead(WINDOW)
        publisher.drop_claim()
        assert steps[-2:] == ["claim", "close"]


def test_an_old_claim_is_made_again(
    embedded_world: World, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded_world.rows([("a", 1, 1)])
    monkeypatch.setattr(claiming, "_YOUNG_SECONDS", 0.0)
    with _ready(embedded_world) as publisher:
        del steps[:]
        publisher.claim_ahead(WINDOW)
        assert publisher.publish(WINDOW).published == 1
    assert steps == ["ledger", "claim", "close", "ledger", "claim", "ledger", "begin", "close"]


def test_a_claim_that_fails_is_made_in_its_turn(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded_world.rows([("a", 1, 1)])
    claim, failed = TransactionalProducer.claim, []

    def first_fails(self: TransactionalProducer, *seconds: float) -> None:
        if not failed:
            failed.append(True)
            raise TakenOver("event", "window")
        claim(self, *seconds)

    monkeypatch.setattr(TransactionalProducer, "claim", first_fails)
    with _ready(embedded_world) as publisher:
        publisher.claim_ahead(WINDOW)
        assert publisher.publish(WINDOW).published == 1


def test_two_launches_that_claimed_ahead_fence_each_other(world: World) -> None:
    """The later claim publishes; the earlier one is told, and nothing is there twice."""
    world.rows([("a", 1, 1), ("b", 2, 2)])
    with _ready(world, "first") as first, _ready(world, "second") as second:
        first.claim_ahead(WINDOW)
        assert first._ahead is not None
        first._ahead._thread.join()
        second.claim_ahead(WINDOW)
        assert second.publish(WINDOW).published == 2
        # It reads the ledger behind its claim, and there the window is published.
        assert first.publish(WINDOW).action == "nothing"
    assert set(world.counted().values()) == {1}


def test_a_claim_that_was_taken_over_cannot_send(world: World) -> None:
    world.rows([("a", 1, 1)])
    with _ready(world, "first") as first, _ready(world, "second") as second:
        for publisher in (first, second):
            publisher.claim_ahead(WINDOW)
            assert publisher._ahead is not None
            publisher._ahead._thread.join()
        with pytest.raises(TakenOver):
            first.publish(WINDOW)
        assert second.publish(WINDOW).published == 1
    assert world.counted() == {("a", 1, 1): 1}
