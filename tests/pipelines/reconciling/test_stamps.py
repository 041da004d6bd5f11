"""Record timestamps that are event times are read back and compared like the contents."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import load_catalogue
from pipelines.ledger.entry import LedgerEntry, ledger_key, read_entry
from pipelines.ledger.history import generations
from pipelines.publishing.sending import records as outgoing
from pipelines.reconciling.reconciler import Reconciler
from pipelines.reconciling.result import Reconciliation
from resources.kafka.transactions import TransactionalProducer
from tests.fixtures_servers import KafkaServer, RegistryServer
from tests.matrix import one_of
from tests.pipelines.publishing.conftest import WINDOW, World

BY_EVENT_TIME = 'record_timestamp="event_time",'
ROWS = [(f"k{n}", 60 + n, n) for n in range(40)]


@pytest.fixture
def embedded_world(
    embedded_broker: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path
) -> Iterator[World]:
    with closing(World(tmp_path, embedded_broker.bootstrap, embedded_registry.url)) as made:
        yield made


@pytest.fixture(params=one_of("native", "public"))
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
    own = outgoing.milliseconds  # type: ignore[attr-defined]
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
        # For the client, 0 means no timestamp: the record gets the time of publication.
        shifting(patched, lambda stamps: np.where(np.arange(len(stamps)) == 17, 0, stamps))
        embedded_world.deliver(ROWS)
    found = reconcile()
    assert (found.verdict, found.altered, found.missing, found.found) == ("differs", 1, 0, 40)
    assert [(one.kind, one.key) for one in found.examples] == [("altered", "k17")]
    assert "1 record has another timestamp than its event time" in found.told


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
@pytest.mark.parametrize("way", one_of("native", "public"))
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


def test_a_generation_whose_every_timestamp_is_another_than_was_promised_is_an_alarm(
    embedded_world: World, reconcile: Callable[[], Reconciliation], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = embedded_world
    world.define(more=BY_EVENT_TIME)
    with monkeypatch.context() as patched:
        shifting(patched, lambda stamps: stamps + 1)
        world.deliver(ROWS)
    promise = newest(world)
    assert (promise.record_timestamp, promise.event_time) == ("event_time", "happened_at")
    found = reconcile()
    assert (found.verdict, found.altered, len(found.examples)) == ("differs", 40, 5)
    assert "40 records have another timestamp than their event time" in found.told
    # The current declaration does not matter: the timestamps were promised at that time.
    world.define()
    found = reconcile()
    assert (found.verdict, found.altered) == ("differs", 40)


def test_an_entry_of_a_version_before_says_nothing_of_its_timestamps(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = embedded_world
    world.define(more=BY_EVENT_TIME)
    world.create_topic(retention_ms="-1")
    with monkeypatch.context() as patched:
        shifting(patched, lambda stamps: stamps + 1)
        world.deliver(ROWS)
    former = newest(world).advanced(record_timestamp=None, event_time=None)
    assert b"record_timestamp" not in former.to_json()
    with Reconciler(world.event, world.platform()) as reconciler:
        found = reconciler.reconcile_whole(WINDOW, entry=former)
    assert (found.verdict, found.altered) == ("agrees", 0)
    assert any("its ledger entry does not say" in note for note in found.notes)


def test_each_generation_has_the_promise_of_its_own_time(
    embedded_world: World, reconcile: Callable[[], Reconciliation]
) -> None:
    """Time of publication, one field, another field:
    the current declaration does not apply to the earlier generations."""
    world = embedded_world
    noted = {
        "name": "noted_at",
        "type": {"type": "long", "logicalType": "timestamp-micros"},
        "doc": "when it was noted, UTC",
    }
    body = "return rows.assign(noted_at=rows['happened_at'] + __import__('pandas').Timedelta(hours=1))"
    world.define(body, extra_fields=[noted])
    world.deliver(ROWS)
    world.define(body, extra_fields=[noted], more=BY_EVENT_TIME)
    assert world.deliver([*ROWS[:39], ("k39", 99, 1_000)], on_definition_change="correct").published == 1
    folder = world.folder / "assets" / "tests"
    text = (folder / "happened.py").read_text()
    (folder / "happened.py").write_text(text.replace('event_time="happened_at"', 'event_time="noted_at"'))
    world.event = load_catalogue(world.folder / "assets").find("happened")
    again = world.deliver([*ROWS[:39], ("k39", 99, 2_000)], on_definition_change="replay")
    assert again.published == 40
    entry = newest(world)
    promises = [(one.record_timestamp, one.event_time) for one in generations(entry)]
    assert promises == [
        ("publish_time", "happened_at"),
        ("event_time", "happened_at"),
        ("event_time", "noted_at"),
    ]
    found = reconcile()
    assert (found.verdict, found.altered, found.expected) == ("agrees", 0, 81)
    assert [note for note in found.notes if "generation 1 was published before" in note]


def test_the_rest_of_an_interrupted_generation_is_stamped_as_its_beginning(
    embedded_world: World, reconcile: Callable[[], Reconciliation], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = embedded_world
    world.define(more=BY_EVENT_TIME)
    commit, commits = TransactionalProducer.commit, iter(range(10))

    def second_fails(self: TransactionalProducer) -> object:
        if next(commits) == 1:
            raise KeyboardInterrupt
        return commit(self)

    with monkeypatch.context() as patched:
        patched.setattr(TransactionalProducer, "commit", second_fails)
        with pytest.raises(KeyboardInterrupt):
            world.deliver(ROWS, settings={"transaction_rows": 15})
    world.define()
    assert world.publish().action == "resume"
    found = reconcile()
    assert (found.verdict, found.altered, found.expected) == ("agrees", 0, 40)
    assert newest(world).record_timestamp == "event_time"


def newest(world: World) -> LedgerEntry:
    key = ledger_key(world.topic, WINDOW)
    found = read_entry(key, world.platform().ledger.latest(key))
    assert found is not None
    return found
