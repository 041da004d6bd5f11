"""A topic that was replaced:
deleted and made again, or given more Kafka partitions, before or during a run."""

import io
import json
import re
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from pipelines.dry_run.dry_run import DryRun
from pipelines.encoding import kafka_partitions
from pipelines.ledger.entry import LedgerEntry, ledger_key, read_entry
from pipelines.ledger.history import generations
from pipelines.ledger.topic_identity import TopicRemade
from pipelines.preflight.finding import PreflightFailed
from pipelines.preflight.fitness import preflight
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.request import PublishRequest, Redrive, Replay
from pipelines.publishing.selection import Selection
from pipelines.publishing.sending.delivery import NotSettling
from pipelines.reconciling.reconciler import Reconciler
from pipelines.reconciling.result import Reconciliation
from resources.kafka.topics.ledger_topic import LedgerRemade
from resources.kafka.transactions import Delivered, TransactionalProducer
from resources.platform import Platform
from resources.registry.errors import SchemaUnknown
from tests.fixtures_servers import RegistryServer
from tests.hearing import into
from tests.matrix import one_of
from tests.pipelines.publishing.conftest import WINDOW, Row, World

ROWS: list[Row] = [(f"k{n}", n, n) for n in range(60)]
LATER = "2013-01-02"


@pytest.fixture(params=one_of("kafka", "embedded_broker"))
def any_world(
    request: pytest.FixtureRequest, embedded_registry: RegistryServer, tmp_path: Path
) -> Iterator[World]:
    """On the embedded broker, which gives topics no ids, and on a real Apache Kafka, which does."""
    server = request.getfixturevalue(request.param)
    made = World(tmp_path, server.bootstrap, embedded_registry.url)
    yield made
    made.close()


def remake(world: World, topic: str | None = None, partitions: int = 3) -> None:
    """Delete the topic and make it again, empty."""
    name, client = topic or world.topic, AdminClient({"bootstrap.servers": world.bootstrap})
    deadline = time.monotonic() + 60
    while True:  # on the embedded broker, a query about a deleted topic creates it: then it is deleted again
        with suppress(KafkaException):
            client.delete_topics([name])[name].result()
        try:
            client.create_topics([NewTopic(name, partitions, 1)])[name].result()
            break
        except KafkaException:
            assert time.monotonic() < deadline, "the topic does not go"
            time.sleep(0.1)
    while (
        name not in client.list_topics(timeout=60).topics
        or not client.list_topics(name).topics[name].partitions
    ):
        time.sleep(0.05)


def add_partitions(world: World, count: int = 6) -> None:
    client = AdminClient({"bootstrap.servers": world.bootstrap})
    client.create_partitions([NewPartitions(world.topic, count)])[world.topic].result()
    while len(client.list_topics(world.topic).topics[world.topic].partitions) < count:
        time.sleep(0.05)


def entry(world: World, window: str = WINDOW) -> LedgerEntry:
    key = ledger_key(world.topic, window)
    found = read_entry(key, world.platform().ledger.latest(key))
    assert found is not None
    return found


def verified(world: World, window: str = WINDOW) -> Reconciliation:
    with Reconciler(world.event, world.platform()) as reconciler:
        return reconciler.reconcile_whole(window)


def findings(world: World, subject: str) -> list[Any]:
    windows = world.event.windows.parse(WINDOW)
    return [one for one in preflight(world.event, world.platform(), windows) if one.subject == subject]


@contextmanager
def once_acknowledged(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], *, transaction: int = 1
) -> Iterator[None]:
    """`act` is called when the records of the n-th transaction are acknowledged, before it is committed."""
    real, count = TransactionalProducer.await_acknowledgements, 0

    def await_acknowledgements(self: TransactionalProducer) -> Delivered:
        nonlocal count
        done = real(self)
        count += 1
        if count == transaction:
            act()
        return done

    with monkeypatch.context() as patched:
        patched.setattr(TransactionalProducer, "await_acknowledgements", await_acknowledgements)
        yield


def test_a_window_is_not_published_to_a_topic_that_was_made_again(any_world: World) -> None:
    world = any_world
    world.deliver(ROWS)
    remake(world)
    with pytest.raises(TopicRemade, match="deleted and made again") as refused:
        world.publish()
    assert f"sluice replay tests/happened {WINDOW}" in (refused.value.next_step or "")
    (found,) = (one for one in findings(world, "topic") if not one.ok)
    assert "sluice replay" in found.next_step
    assert not any("keys go where" in one.told for one in findings(world, "partitions"))
    with (
        Publisher(world.event, world.platform(), run_id="run") as publisher,
        pytest.raises(PreflightFailed, match="deleted and made again"),
    ):
        publisher.require_fit(world.event.windows.parse(WINDOW))
    # A correction, the rest of a redrive,
    # or a replay of a part would leave the window without its other events.
    with pytest.raises(TopicRemade):
        world.deliver([*ROWS, ("new", 700, 1)])
    with pytest.raises(TopicRemade):
        world.publish(redrive=Redrive())
    with pytest.raises(TopicRemade):
        world.publish(reason="a part", replay=Replay("p", selection=Selection(frozenset(["k1"]))))
    assert world.seen() == []


@pytest.mark.parametrize("source", ["stored", "fresh"])
def test_a_replay_publishes_the_window_to_the_topic_of_now(any_world: World, source: Any) -> None:
    world = any_world
    world.deliver(ROWS)
    world.deliver([*ROWS, ("new", 700, 1)])
    before = entry(world)
    remake(world)
    result = world.publish(reason="made again", replay=Replay("r", source=source))
    assert (result.action, result.generation, result.published) == ("replay", 3, 61)
    assert world.counted() == Counter([*ROWS, ("new", 700, 1)])

    after = entry(world)
    assert after.complete and (after.topic_id is None or after.topic_id != before.topic_id)
    assert [one.displaced for one in generations(after)] == [60, 1, 0]
    assert world.publish().action == "nothing"
    assert world.publish(reason="made again", replay=Replay("r", source=source)).action == "nothing"
    assert all(one.ok for one in findings(world, "topic"))
    found = verified(world)
    assert (found.verdict, found.expected) == ("agrees", 61)
    assert "generations 1 to 2" in found.notes[0]
    # And the window continues normally from there.
    assert world.deliver(ROWS[:-1]).action == "correct"
    assert world.deliver([*ROWS[:-1], ("more", 701, 1)]).published == 1
    assert verified(world).verdict == "agrees"


def test_an_interrupted_window_is_replayed_whole(any_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = any_world
    real, commits = TransactionalProducer.commit, iter(range(99))

    def second_fails(self: TransactionalProducer) -> Any:
        if next(commits) == 1:
            raise KeyboardInterrupt
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(TransactionalProducer, "commit", second_fails)
        with pytest.raises(KeyboardInterrupt):
            world.deliver(ROWS, settings={"transaction_rows": 25})
    assert entry(world).rows_done == 25
    remake(world)
    with pytest.raises(TopicRemade):
        world.publish()
    assert world.publish(reason="made again", replay=Replay("r")).published == 60
    assert world.counted() == Counter(ROWS)
    assert world.publish().action == "nothing"


def test_plan_and_verify_say_it_too(any_world: World) -> None:
    world = any_world
    world.deliver(ROWS)
    there = entry(world)
    remake(world)
    platform, windows = world.platform(), world.event.windows.parse(WINDOW)
    (refused,) = DryRun(world.event, platform, PublishRequest(), {there.key: there}).windows(windows)
    assert refused.action == "refused" and "deleted and made again" in (refused.refused or "")
    replay = PublishRequest(reason="made again", replay=Replay("r"))
    (planned,) = DryRun(world.event, platform, replay, {there.key: there}).windows(windows)
    assert (planned.action, planned.records, planned.generation) == ("replay", 60, 2)
    if there.topic_id is None:
        assert verified(world).missing == 60
    else:
        with pytest.raises(TopicRemade, match=re.escape(there.topic_id)):
            verified(world)


def test_an_entry_without_a_topic_id_is_known_by_its_offsets(any_world: World) -> None:
    """As earlier versions wrote it."""
    world = any_world
    world.deliver(ROWS)
    told = entry(world).advanced(topic_id=None)
    with TransactionalProducer(
        world.settings(), "by hand", event="e", window="w", topic=world.topic
    ) as producer:
        from resources.kafka.topics.ledger_topic import ledger_partition

        producer.claim()
        producer.begin()
        settings = world.settings()
        place = ledger_partition(told.key, settings.ledger_partitions)
        producer.record(settings.ledger_topic, place, told.key.encode(), told.to_json())
        producer.commit()
    assert b"topic_id" not in told.to_json()
    assert world.publish().action == "nothing"
    remake(world)
    with pytest.raises(TopicRemade, match="the topic ends at 0"):
        world.publish()


def test_a_topic_with_fewer_partitions_was_made_again(any_world: World) -> None:
    world = any_world
    world.deliver(ROWS)
    remake(world, partitions=1)
    with pytest.raises(TopicRemade):
        world.publish()


def test_a_topic_that_is_gone_is_not_made_by_publishing(any_world: World) -> None:
    world = any_world
    world.deliver(ROWS)
    world.close()
    client = AdminClient({"bootstrap.servers": world.bootstrap})
    deadline = time.monotonic() + 60
    while world.topic in client.list_topics(timeout=60).topics:
        # In a loop: on the embedded broker a client's query about the topic,
        # even one in flight, creates it again.
        with suppress(KafkaException):
            client.delete_topics([world.topic])[world.topic].result()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (found,) = (one for one in findings(world, "topic") if not one.ok)
    assert "there is no such topic any more" in found.told
    with pytest.raises(TopicRemade, match="no such topic"):
        world.publish()
    assert world.publish(reason="gone", replay=Replay("r")).published == 60
    assert world.counted() == Counter(ROWS)


def test_what_retention_removed_is_not_made_again(any_world: World) -> None:
    world = any_world
    world.deliver(ROWS)
    client = AdminClient({"bootstrap.servers": world.bootstrap})
    ends = {int(p): last + 1 for p, (_, last) in entry(world).offsets.items()}
    asked = [TopicPartition(world.topic, p, end) for p, end in ends.items()]
    for future in client.delete_records(asked).values():
        future.result(20)
    assert world.publish().action == "nothing"
    assert all(one.ok for one in findings(world, "topic"))


def two_windows(world: World, **kafka: str) -> Platform:
    world.rows(ROWS)
    world.prepare()
    world.rows([(f"l{n}", n, n) for n in range(60)], day=LATER)
    world.prepare(window=LATER)
    return world.platform(transaction_rows=20, kafka=kafka)


def run_of(world: World, platform: Platform) -> Publisher:
    return Publisher(world.event, platform, run_id="run", request=PublishRequest(), tell=into(world.said))


def test_a_topic_made_again_between_two_windows_of_a_run_stops_it(any_world: World) -> None:
    world = any_world
    with run_of(world, two_windows(world)) as publisher:
        publisher.require_fit(world.event.windows.parse(f"{WINDOW}..{LATER}"))
        assert publisher.publish(WINDOW).published == 60
        remake(world)
        with pytest.raises(TopicRemade, match="deleted and made again"):
            publisher.publish(LATER)
    assert world.seen() == []
    with pytest.raises(TopicRemade):
        world.publish()


@pytest.mark.parametrize("transaction", [1, 2])
def test_a_topic_made_again_while_a_transaction_is_open_is_not_committed_to(
    any_world: World, monkeypatch: pytest.MonkeyPatch, transaction: int
) -> None:
    world = any_world
    world.create_topic(3)
    platform = two_windows(world)
    with (
        run_of(world, platform) as publisher,
        once_acknowledged(monkeypatch, lambda: remake(world), transaction=transaction),
        pytest.raises(TopicRemade, match="during this run"),
    ):
        publisher.publish(WINDOW)
    key = ledger_key(world.topic, WINDOW)
    told = read_entry(key, world.platform().ledger.latest(key))
    assert told is None if transaction == 1 else told is not None and told.rows_done == 20
    assert world.seen() == []
    if transaction == 2:
        assert world.publish(reason="made again", replay=Replay("r")).published == 60
    else:
        assert world.publish().published == 60
    assert world.counted() == Counter(ROWS)


@pytest.mark.parametrize("moment", ["between", "within"])
def test_a_ledger_made_again_during_a_run_stops_it(
    any_world: World, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    world = any_world
    platform = two_windows(world)
    ledger = world.settings().ledger_topic

    def again() -> None:
        remake(world, ledger, partitions=2)

    with run_of(world, platform) as publisher:
        publisher.publish(WINDOW)
        if moment == "between":
            again()
        acting = again if moment == "within" else lambda: None
        if moment == "within" and entry(world).topic_id is None:
            pytest.skip("the embedded broker gives no ids: seen when the ledger is read next")
        with once_acknowledged(monkeypatch, acting), pytest.raises(LedgerRemade, match="made again"):
            # Also if there is nothing left to do, which the ledger says.
            publisher.publish(WINDOW if moment == "between" else LATER)


@pytest.mark.parametrize("moment", ["between", "within"])
def test_partitions_that_are_added_during_a_run_move_keys_and_nothing_else(
    any_world: World, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    world = any_world
    world.create_topic(3)
    # During a window, only a producer that refreshes its metadata knows them.
    platform = two_windows(world, **{"topic.metadata.refresh.interval.ms": "100"})

    def added() -> None:
        add_partitions(world)
        time.sleep(2)

    with run_of(world, platform) as publisher, Reconciler(world.event, platform) as reconciler:
        publisher.publish(WINDOW)
        assert reconciler.reconcile(WINDOW).verdict == "agrees"
        if moment == "between":
            added()
        acting = added if moment == "within" else lambda: None
        with once_acknowledged(monkeypatch, acting):
            publisher.publish(LATER)
        assert reconciler.reconcile(LATER).verdict == "agrees"
        assert reconciler.reconcile(WINDOW).verdict == "agrees"
    assert len([one for one in world.said if "has 6 partitions now" in one]) == 1
    assert {seen.kafka_partition for seen in world.seen(partitions=6)} > {0, 1, 2}
    assert verified(world, LATER).verdict == "agrees"
    assert world.publish(window=LATER).action == "nothing"


def newer_value(world: World, key: str) -> None:
    """Another producer's value of a key, with a later event time,
    in the Kafka partition where the key belongs now."""
    body = io.BytesIO()
    schema = fastavro.parse_schema(json.loads(world.event.contract.text))
    at = datetime(2013, 1, 20, tzinfo=UTC)
    fastavro.schemaless_writer(body, schema, {"id": key, "happened_at": at, "amount": 9})
    schema_id = world.platform().registry.lookup(f"{world.topic}-value", world.event.contract.text)
    other = Producer({"bootstrap.servers": world.bootstrap, "partitioner": "murmur2_random"})
    other.produce(world.topic, struct.pack(">bI", 0, schema_id) + body.getvalue(), key.encode())
    assert other.flush(60) == 0


@pytest.mark.parametrize("moment", ["between", "within"])
def test_newer_values_in_partitions_that_were_added_are_compared_with(
    any_world: World, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    world = any_world
    world.define(more='stale_writes="skip",')
    world.create_topic(3)
    platform = two_windows(world, **{"topic.metadata.refresh.interval.ms": "100"})
    late = [f"l{n}" for n in range(60)]
    moving = [key for key in late if int(kafka_partitions(pa.array([key.encode()]), 6)[0]) > 2]
    first, last = moving[0], moving[-1]

    def added() -> None:
        add_partitions(world)
        newer_value(world, first)
        newer_value(world, last)
        time.sleep(2)

    with run_of(world, platform) as publisher:
        publisher.publish(WINDOW)
        if moment == "between":
            added()
        with once_acknowledged(monkeypatch, added if moment == "within" else lambda: None):
            result = publisher.publish(LATER)
    # During a window, the first transaction may have been sent before the value came.
    assert result.published + result.stale == 60 and result.stale in ((2,) if moment == "between" else (1, 2))
    with Reconciler(world.event, world.platform()) as reconciler:
        assert reconciler.reconcile(LATER).verdict == "agrees"
        assert reconciler.reconcile(WINDOW).verdict == "agrees"


def test_transactions_are_not_aborted_for_ever(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = embedded_world
    world.define(more='stale_writes="skip",')
    aborted = 0

    def never(*_: object) -> bool:
        nonlocal aborted
        aborted += 1
        return False

    monkeypatch.setattr("pipelines.publishing.stale.guard.StaleGuard.holds", never)
    with pytest.raises(NotSettling, match="20 transactions in a row were aborted"):
        world.deliver(ROWS)
    assert aborted == 20
    monkeypatch.undo()
    assert world.publish().published == 60


class Emptied:
    """A registry that has lost its registrations; it gives the ids out again."""

    def __init__(self, real: Any, answers: dict[int, str]) -> None:
        self._real, self._answers = real, answers

    def by_id(self, schema_id: int) -> str:
        if schema_id in self._answers:
            return self._answers[schema_id]
        raise SchemaUnknown("registry", schema_id)

    def lookup(self, subject: str, schema: str) -> int | None:  # noqa: ARG002
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "does not know that id"),
        ('"string"', "knows that id as a schema that is no contract"),
        (
            '{"type": "record", "name": "Other", "namespace": "tests", "fields": [{"name": "id", "type": "string", '
            '"doc": "what"}], "doc": "It."}',
            "knows that id as another schema, tests.Other",
        ),
    ],
)
def test_a_registry_that_was_emptied_is_noticed_before_its_ids_are_given_out_again(
    embedded_world: World, text: str | None, problem: str
) -> None:
    world = embedded_world
    schema_id = world.deliver(ROWS).schema_id
    assert findings(world, "schema ids") == []
    platform = world.platform()
    emptied = Emptied(platform.registry, {} if text is None else {schema_id: text})
    platform.__dict__["registry"] = emptied
    windows = world.event.windows.parse(WINDOW)
    found = [one for one in preflight(world.event, platform, windows) if one.subject == "schema ids"]
    assert [one.level for one in found] == ["failed"]
    assert f"schema id {schema_id}, and the registry {problem}" in found[0].told
    # The next window too: its records would be beside the others.
    later = world.event.windows.parse(LATER)
    assert not all(one.ok for one in preflight(world.event, platform, later))
    with (
        Publisher(world.event, platform, run_id="run") as publisher,
        pytest.raises(PreflightFailed, match="schema id"),
    ):
        publisher.require_fit(windows)
    replay = PublishRequest(reason="the registry was emptied", replay=Replay("r"))
    with Publisher(world.event, platform, run_id="run", request=replay, tell=into(world.said)) as publisher:
        publisher.require_fit(windows)
    assert any("schema ids" in one for one in world.said)
