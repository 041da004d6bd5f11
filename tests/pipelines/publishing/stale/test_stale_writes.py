"""Stale writes on a real Apache Kafka:
the value with the latest event time stays, whoever wrote it and whenever."""

import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fastavro
import pytest
from confluent_kafka import Producer

from pipelines.ledger.entry import LedgerEntry, ledger_key, read_entry
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.request import Replay
from pipelines.publishing.selection import Selection
from pipelines.reconciling.reconciler import reconcile_window
from resources.kafka.transactions import Delivered, TransactionalProducer
from tests.hearing import into

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import Row, World

WINDOW, LATER = "2013-01-01", "2013-01-02"
SKIP = 'stale_writes="skip",'
ROWS: list["Row"] = [(f"k{n}", n * 10, n) for n in range(30)]


def at(minute: int, day: int = 1) -> datetime:
    return datetime(2013, 1, day, minute // 60, minute % 60, tzinfo=UTC)


class Foreigner:
    """Another producer of the topic, which Sluice does not know: its own client, partitioned as in Java."""

    def __init__(self, world: "World", transactional: bool = False) -> None:
        config: dict[str, Any] = {"bootstrap.servers": world.bootstrap, "partitioner": "murmur2_random"}
        if transactional:
            config["transactional.id"] = f"foreigner-{uuid4().hex}"
        self._world, self.client = world, Producer(config)
        if transactional:
            self.client.init_transactions(30)
        schema = world.event.contract.text
        self._schema = fastavro.parse_schema(__import__("json").loads(schema))
        registry = world.platform().registry
        subject = f"{world.topic}-value"
        self._id = registry.lookup(subject, schema) or registry.register(subject, schema)

    def put(self, key: str, when: datetime, amount: int) -> None:
        import io

        body = io.BytesIO()
        fastavro.schemaless_writer(body, self._schema, {"id": key, "happened_at": when, "amount": amount})
        self.raw(key, struct.pack(">bI", 0, self._id) + body.getvalue())

    def raw(self, key: str, value: bytes | None, **more: Any) -> None:
        self.client.produce(self._world.topic, value, key.encode(), **more)
        assert self.client.flush(60) == 0


def entry(world: "World", window: str = WINDOW) -> LedgerEntry:
    key = ledger_key(world.topic, window)
    found = read_entry(key, world.platform().ledger.latest(key))
    assert found is not None
    return found


def standing(world: "World") -> dict[str, int | None]:
    """The result of compaction: the last value of each key on the log."""
    return {r.key: None if r.value is None else r.value["amount"] for r in world.seen()}


def agrees(world: "World", window: str = WINDOW) -> bool:
    found = reconcile_window(world.event, window, world.platform(), entry=entry(world, window))
    return found.verdict == "agrees"


@pytest.fixture
def state(world: "World") -> "World":
    world.define(more=SKIP)
    world.create_topic(3, cleanup_policy="compact")
    return world


def test_newer_values_of_another_producer_stand(state: "World") -> None:
    other = Foreigner(state)
    other.put("k1", at(0, day=5), 1001)
    other.put("k2", at(0), 1002)  # older than ours of 00:20
    other.put("k3", at(30), 1003)  # the same instant as ours
    other.put("elsewhere", at(0, day=5), 1004)
    other.raw("k4", None)  # deleted now, long after its event time
    other.raw("k5", b"not Avro", timestamp=1)  # cannot be decoded, timestamp of 1970
    other.raw("k6", b"not Avro")  # cannot be decoded, current timestamp

    result = state.deliver(ROWS)
    assert (result.action, result.published, result.stale, result.skipped) == ("backfill", 27, 3, 3)
    found = {r.key: r.value["amount"] if r.value else None for r in state_records(state)}
    assert (found["k1"], found["k4"]) == (1001, None)
    assert (found["k2"], found["k3"], found["k5"]) == (2, 3, 5)
    assert found["k0"] == 0 and found["k29"] == 29
    assert any("values of another producer" in said for said in state.said)
    told = entry(state)
    assert (told.status, told.rows_total, told.stale, told.kind) == ("published", 27, 3, "backfill")
    assert agrees(state)
    assert state.deliver().action == "nothing"


def state_records(world: "World") -> list[Any]:
    """Records of the topic in Sluice's own framing, and tombstones; the last of each key."""
    from confluent_kafka import Consumer, TopicPartition

    from pipelines.encoding import FrameError, decode_record
    from tests.pipelines.publishing.conftest import Seen, wait_for_commits

    consumer = Consumer(
        {
            "bootstrap.servers": world.bootstrap,
            "group.id": uuid4().hex,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
    )
    wait_for_commits(world.bootstrap, world.topic, 3)
    consumer.assign([TopicPartition(world.topic, p, 0) for p in range(3)])
    found, ended = [], set()
    while len(ended) < 3:
        message = consumer.poll(60)
        assert message is not None
        if message.error() is not None:
            ended.add(message.partition())
            continue
        value = message.value()
        try:
            decoded = None if value is None else decode_record(value, world.platform().registry.by_id)
        except FrameError:
            continue
        found.append(Seen(message.key().decode(), decoded, {}, "", 0, message.offset(), 0))  # type: ignore[arg-type]
    consumer.close()
    return found


def test_without_the_option_an_old_window_overwrites(world: "World") -> None:
    """Shows why the option exists: with the same writes but without it, the newer value is lost."""
    world.create_topic(3, cleanup_policy="compact")
    Foreigner(world).put("k1", at(0, day=5), 1001)
    assert world.deliver(ROWS).stale == 0
    assert standing(world)["k1"] == 1


def test_a_later_window_stands_when_an_old_one_follows(state: "World") -> None:
    later: list[Row] = [("k1", 60, 2001), ("k2", 70, 2002), ("new", 80, 2003)]
    state.rows(later, day=LATER)
    state.prepare(window=LATER)
    assert state.publish(window=LATER).published == 3

    result = state.deliver(ROWS)
    assert (result.published, result.stale) == (28, 2)
    assert {key: standing(state)[key] for key in ("k0", "k1", "k2", "new")} == {
        "k0": 0, "k1": 2001, "k2": 2002, "new": 2003,
    }  # fmt: skip
    # Neither a correction nor a replay of the old window restores an old value.
    changed = [*ROWS[:1], ("k1", 10, 77), ("k2", 20, 78), ("k3", 30, 79)]
    correction = state.deliver(changed)
    assert (correction.action, correction.published, correction.stale) == ("correct", 1, 2)
    replayed = state.publish(reason="asked for", replay=Replay("r"))
    assert (replayed.published, replayed.stale) == (2, 2)
    assert {key: standing(state)[key] for key in ("k1", "k2", "k3")} == {"k1": 2001, "k2": 2002, "k3": 79}
    assert agrees(state) and agrees(state, LATER)


def test_a_window_may_correct_its_own_later_event(state: "World") -> None:
    """The latest value of a key is this window's own: a later event time is then no reason to keep it."""
    state.deliver([("k1", 600, 1), ("k2", 5, 2), ("k2", 6, 3)])
    result = state.deliver([("k1", 300, 9), ("k2", 5, 2), ("k2", 6, 3)])
    assert (result.published, result.stale) == (1, 0)
    assert state.publish(reason="again", replay=Replay("r")).published == 3
    assert standing(state) == {"k1": 9, "k2": 3}


def test_a_renamed_module_may_correct_its_own_later_event(state: "World") -> None:
    state.deliver([("a", 100, 1), ("b", 100, 2)])
    state.define(name="renamed", more=SKIP)
    result = state.deliver([("a", 50, 3), ("b", 100, 2)])
    assert (result.action, result.published, result.stale) == ("correct", 1, 0)
    assert standing(state) == {"a": 3, "b": 2}
    assert agrees(state)


def test_a_window_does_not_bring_back_its_own_older_event(state: "World") -> None:
    """Only a part of the window is published: a value of the rest that is newer stays, whoever wrote it."""
    rows: list[Row] = [("k1", 5, 1), ("k1", 600, 2), ("k2", 5, 3)]
    state.deliver(rows)
    early = Selection(until=at(10))
    replayed = state.publish(reason="the first minutes", replay=Replay("r", selection=early))
    assert (replayed.published, replayed.stale) == (1, 1)
    assert standing(state) == {"k1": 2, "k2": 3}
    # The same for a correction of the older event. A replay of everything sends everything: the newer value
    # comes again after it.
    corrected = state.deliver([("k1", 5, 9), *rows[1:]])
    assert (corrected.published, corrected.stale) == (0, 1)
    assert corrected.outcome == "stale"
    assert state.publish(reason="all", replay=Replay("all")).published == 3
    assert standing(state) == {"k1": 2, "k2": 3}
    assert agrees(state)


def test_a_topic_whose_beginning_was_deleted_is_read_from_where_it_begins(world: "World") -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    world.define(more=SKIP)
    world.create_topic(3, cleanup_policy="delete")
    other = Foreigner(world)
    for number in range(5):
        other.put("k1", at(number, day=4), number)
    placed = next(record.kafka_partition for record in world.seen())
    client = AdminClient({"bootstrap.servers": world.bootstrap})
    gone = client.delete_records([TopicPartition(world.topic, placed, 4)])
    for future in gone.values():
        future.result(20)
    result = world.deliver(ROWS)
    assert (result.published, result.stale) == (29, 1)


def test_a_tombstone_does_not_delete_what_others_wrote(world: "World") -> None:
    world.define(more=SKIP + " tombstones=True,")
    world.create_topic(3, cleanup_policy="compact")
    world.deliver([*ROWS, ("gone", 5, 5), ("moved", 5, 6)])
    Foreigner(world).put("moved", at(0, day=4), 1001)
    result = world.deliver(ROWS)
    assert (result.published, result.tombstones, result.stale) == (1, 1, 1)
    found = standing(world)
    assert (found["gone"], found["moved"]) == (None, 1001)
    assert agrees(world)


@contextmanager
def at_commit(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> Iterator[None]:
    """`act` is called twice in each transaction:
    before its records are on the log, and after, but before the commit."""
    real, count = TransactionalProducer.await_acknowledgements, 0

    def await_acknowledgements(self: TransactionalProducer) -> Delivered:
        nonlocal count
        count += 1
        act(-count)
        done = real(self)
        act(count)
        return done

    with monkeypatch.context() as patched:
        patched.setattr(TransactionalProducer, "await_acknowledgements", await_acknowledgements)
        yield


def test_a_newer_value_that_slips_in_before_ours_stands(
    state: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value is written after the rows were compared,
    and before the transaction's own records reach the log."""
    other = Foreigner(state)
    real = TransactionalProducer.begin
    begun = 0

    def begin(self: TransactionalProducer) -> None:
        nonlocal begun
        real(self)
        begun += 1
        if begun == 2:
            other.put("k12", at(0, day=9), 1001)
            other.put("k28", at(0, day=9), 1002)

    monkeypatch.setattr(TransactionalProducer, "begin", begin)
    state.rows(ROWS)
    platform = state.platform(transaction_rows=10)
    state.prepare(platform)
    result = state.publish(platform)
    assert (result.published, result.stale) == (28, 2)
    found = standing(state)
    assert (found["k12"], found["k28"]) == (1001, 1002)
    assert Counter(record.key for record in state.seen() if record.value)["k11"] == 1, "and nothing twice"
    assert agrees(state)


def test_a_newer_value_behind_ours_wins_by_itself(state: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    other = Foreigner(state)
    with at_commit(monkeypatch, lambda n: other.put("k3", at(0, day=9), 1001) if n == 1 else None):
        result = state.deliver(ROWS)
    assert (result.published, result.stale) == (30, 0)
    assert standing(state)["k3"] == 1001


@pytest.mark.parametrize("outcome", ["commit", "abort"])
def test_an_open_transaction_of_another_is_waited_for(
    state: "World", monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    other = Foreigner(state, transactional=True)
    real, begun, waited = TransactionalProducer.begin, 0, threading.Event()

    def begin(self: TransactionalProducer) -> None:
        nonlocal begun
        real(self)
        begun += 1
        if begun == 1:
            other.client.begin_transaction()
            other.put("k7", at(0, day=9), 1001)
            threading.Thread(target=end).start()

    def end() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any("open transaction" in said for said in state.said):
            time.sleep(0.1)
        waited.set()
        (other.client.commit_transaction if outcome == "commit" else other.client.abort_transaction)(60)

    monkeypatch.setattr(TransactionalProducer, "begin", begin)
    result = state.deliver(ROWS)
    assert waited.is_set(), "nothing of the key is committed while its fate is open"
    assert (result.published, result.stale) == ((29, 1) if outcome == "commit" else (30, 0))
    assert standing(state)["k7"] == (1001 if outcome == "commit" else 7)
    assert any("another producer's open transaction" in said for said in state.said)


@pytest.mark.parametrize("first", [WINDOW, LATER])
def test_two_windows_at_once(state: "World", first: str) -> None:
    """Two runs of two windows with the same keys:
    whichever is first on the log, the later window's values stay."""
    platforms = [state.platform(transaction_rows=3) for _ in range(2)]
    day = {WINDOW: 1, LATER: 2}
    for window in (WINDOW, LATER):
        state_rows = [(f"k{n}", n * 10, day[window] * 1000 + n) for n in range(30)]
        state.rows(state_rows, day=window)
        state.prepare(window=window)
    platforms = [state.platform(transaction_rows=3) for _ in range(2)]
    order = [first, LATER if first == WINDOW else WINDOW]

    def run(number: int) -> Any:
        with Publisher(
            state.event, platforms[number], run_id=f"run{number}", tell=into(state.said)
        ) as publisher:
            return publisher.publish(order[number])

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(run, range(2)))
    assert all(result.published + result.stale == 30 for result in done)
    assert standing(state) == {f"k{n}": 2000 + n for n in range(30)}


def test_a_run_that_dies_goes_on_and_compares_anew(state: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    other = Foreigner(state)
    other.put("k1", at(0, day=5), 1001)
    real, commits = TransactionalProducer.commit, 0

    def commit(self: TransactionalProducer) -> Any:
        nonlocal commits
        commits += 1
        if commits == 2:
            raise KeyboardInterrupt
        return real(self)

    state.rows(ROWS)
    platform = state.platform(transaction_rows=10)
    state.prepare(platform)
    with monkeypatch.context() as patched:
        patched.setattr(TransactionalProducer, "commit", commit)
        with pytest.raises(KeyboardInterrupt):
            state.publish(platform)
    assert (entry(state).rows_done, entry(state).rows_total) == (10, 29)
    other.put("k25", at(0, day=5), 1002)
    result = state.publish()
    assert (result.action, result.published, result.stale) == ("resume", 18, 2)
    found = standing(state)
    assert (found["k1"], found["k25"], found["k24"]) == (1001, 1002, 24)
    assert agrees(state)
