"""The short way, by the order of the log: it says that all agrees where it does, and nothing where anything is otherwise."""

from collections.abc import Callable, Generator, Iterator
from random import Random

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pipelines.encoding import kafka_partitions
from pipelines.publishing.selection import Selection
from pipelines.publishing.wish import Replay
from pipelines.reconciling import order, window
from pipelines.reconciling.expected import Records
from pipelines.reconciling.log import Committed
from pipelines.reconciling.order import Agreement, Held, agrees_in_order
from pipelines.reconciling.reconciler import reconcile_window
from pipelines.reconciling.window import WindowComparison
from resources.kafka.transactions import TransactionalProducer
from tests.pipelines.publishing.conftest import WINDOW, World
from tests.pipelines.reconciling.conftest import Delivery, Sent, prepared
from tests.pipelines.reconciling.test_generations import reconciled, rows
from tests.pipelines.reconciling.test_whole import whole

AT = 617


@pytest.fixture
def only_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison that needs no order is not there."""

    def never(_: WindowComparison) -> None:
        raise AssertionError("not in order")

    monkeypatch.setattr(WindowComparison, "_compared", never)


# On a broker: what Sluice publishes is found in order, whichever way it went there.


@pytest.mark.parametrize("producing", ["native", "public"])
@pytest.mark.usefixtures("only_in_order")
def test_what_was_published_is_found_in_order(world: World, producing: str) -> None:
    world.define(more="tombstones=True,")
    settings = {"producing": producing, "batch_rows": 1_100, "transaction_rows": 1_500}
    world.deliver(rows(4_000), settings=settings)
    found = reconcile_window(world.event, WINDOW, world.platform(batch_rows=1_100))
    assert (found.verdict, found.expected, found.found, found.others) == ("agrees", 4_000, 4_000, 0)
    assert found.checksum_expected == found.checksum_found != "0" * 32
    assert reconciled(world).checksum_found == found.checksum_found
    # Tombstones behind the corrected rows.
    assert world.deliver(rows(3_000, amount=7), settings=settings).tombstones == 1_000
    found = reconciled(world)
    assert (found.verdict, found.generation, found.expected) == ("agrees", 2, 3_999)


@pytest.mark.usefixtures("only_in_order")
def test_a_resumed_window_and_replays_are_found_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, commits = TransactionalProducer.commit, iter(range(100))

    def third_fails(self: TransactionalProducer) -> object:
        if next(commits) == 2:
            raise KeyboardInterrupt
        return commit(self)

    with monkeypatch.context() as broken:
        broken.setattr(TransactionalProducer, "commit", third_fails)
        with pytest.raises(KeyboardInterrupt):
            world.deliver(rows(1_000), settings={"transaction_rows": 300})
    world.deliver(rows(1_000))
    assert (reconciled(world).verdict, reconciled(world).expected) == ("agrees", 1_000)
    replay = Replay("one", selection=Selection(keys=frozenset({"k3", "k4"})))
    world.publish(reason="asked", replay=replay)
    assert (reconciled(world).verdict, reconciled(world).expected) == ("agrees", 2)


def altered(records: list[Sent]) -> list[Sent]:
    key, value = records[AT]
    assert value is not None
    return [*records[:AT], (key, value[:-1] + bytes([value[-1] ^ 4])), *records[AT + 1 :]]


CHANGES: dict[str, tuple[int, Callable[[list[Sent]], list[Sent]], tuple[int, int, int]]] = {
    "dropped": (AT, lambda records: records[:AT] + records[AT + 1 :], (1, 0, 0)),
    "the last dropped": (-1, lambda records: records[:-1], (1, 0, 0)),
    "doubled": (AT, lambda records: [*records[: AT + 1], *records[AT:]], (0, 0, 1)),
    "doubled at the end": (-1, lambda records: [*records, records[-1]], (0, 0, 1)),
    "altered": (AT, altered, (0, 1, 0)),
    "a value gone": (
        AT,
        lambda records: [*records[:AT], (records[AT][0], None), *records[AT + 1 :]],
        (1, 0, 0),
    ),
    "otherwise ordered": (AT, lambda records: records[::-1], (0, 0, 0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_difference_where_nobody_else_wrote_is_named(small: Delivery, change: str) -> None:
    at, make, figures = CHANGES[change]
    here = small.on_new_topic()
    found = here.reconcile(here.send(make(here.records)))
    assert (found.missing, found.altered, found.duplicated) == figures, found.told
    assert found.verdict == ("differs" if any(figures) else "agrees")
    key = here.records[at][0] or b""
    assert [example.key for example in found.examples] == [key.decode()] * sum(figures)


def test_where_many_others_wrote_in_between_it_is_not_tried(
    small: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("in order")

    monkeypatch.setattr(window, "agrees_in_order", never)
    here = small.on_new_topic()
    others = [(b"other", b"%d" % n) for n in range(1_200)]
    found = here.reconcile(here.send([*here.records[:990], *others, *here.records[990:]]))
    assert (found.verdict, found.expected, found.others) == ("agrees", 1_000, 1_200)


@pytest.mark.usefixtures("only_in_order")
def test_what_comes_early_is_held_and_read_on_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last Kafka partition's rows come first, and a consumer is given the others' as early."""
    names = [f"k{n}" for n in range(12_000)]
    places = kafka_partitions(pa.array(names).cast(pa.binary()), 3)
    ids = [names[n] for n in np.argsort(-places, kind="stable")]
    many = pa.table({"id": ids, "n": range(len(ids))})
    with duckdb.connect(str(world.folder / "dwh.duckdb")) as connection:
        connection.register("many", many)
        connection.execute(
            "CREATE OR REPLACE TABLE happenings AS SELECT id, TIMESTAMPTZ '2013-01-01 00:00:00+00' + "
            "to_milliseconds(n) AS happened_at, n::BIGINT AS amount FROM many"
        )
    here = prepared(world).on_new_topic()
    first = here.send(here.records)
    # The end of what can be read is told by the broker alone.
    last = here.send(here.records[::50], commit=False)
    spans = {p: (first.offsets[p][0], last.offsets[p][1]) for p in first.offsets}
    monkeypatch.setattr(order, "_FEW_BYTES", 1)
    monkeypatch.setattr(order, "_MOST_BYTES", 20_000)
    monkeypatch.setattr("pipelines.reconciling.log._BATCH", 500)
    paused = []
    true = order._SideBySide.held

    def held(self: order._SideBySide) -> object:
        paused.append(frozenset(true(self)))
        return paused[-1]

    monkeypatch.setattr(order._SideBySide, "held", held)
    entry = first.advanced(offsets=spans)
    found = reconcile_window(world.event, WINDOW, world.platform(batch_rows=500), entry=entry)
    assert (found.verdict, found.found) == ("agrees", 12_000)
    assert len(set(paused)) > 1, "nothing was ever held"
    assert not paused[-1]


# Without a broker.


def some(count: int) -> list[Sent]:
    return [(b"k%d" % (n % 40), None if n % 11 == 5 else b"value %d" % n) for n in range(count)]


def side(records: list[Sent]) -> tuple[pa.Array, pa.Array]:
    keys, values = ([record[i] for record in records] for i in (0, 1))
    return pa.array(keys, pa.binary()), pa.array(values, pa.large_binary())


def as_log(records: list[Sent], kafka_partition_count: int = 3) -> list[tuple[int, Sent]]:
    """As a consumer is given them: in order within each kafka_partition, which take turns as they like."""
    places = kafka_partitions(side(records)[0], kafka_partition_count).tolist()
    queues = {p: [record for q, record in zip(places, records, strict=True) if q == p] for p in set(places)}
    random, found = Random(3), list[tuple[int, Sent]]()
    while queues:
        p = random.choice(sorted(queues))
        found += [(p, record) for record in queues[p][:7]]
        del queues[p][:7]
        queues = {q: queue for q, queue in queues.items() if queue}
    return found


def compared(
    expected: list[Sent], found: list[tuple[int, Sent]], *, in_thread: bool = False
) -> Agreement | None:
    def make() -> Generator[Records, None, None]:
        for at in range(0, len(expected), 50):
            yield Records(*side(expected[at : at + 50]))

    def read(_: Held) -> Generator[Committed, None, None]:
        for at in range(0, len(found), 30):
            part = found[at : at + 30]
            keys, values = side([record for _, record in part])
            places = np.array([p for p, _ in part], np.int32)
            yield Committed(places, np.arange(len(part)), keys.cast(pa.large_binary()), values)
            yield Committed(places[:0], np.arange(0), keys[:0].cast(pa.large_binary()), values[:0])

    return agrees_in_order(make, read, 3, in_thread=in_thread)


@pytest.mark.parametrize("in_thread", [False, True])
def test_records_in_order_agree(in_thread: bool) -> None:
    records = some(600)
    found = compared(records, as_log(records), in_thread=in_thread)
    assert found is not None
    assert found.checksum.records == 600
    assert found.total_bytes == sum(len(key or b"") + len(value or b"") for key, value in records)
    assert compared([], []) == Agreement(order.Checksum(), 0)


@pytest.mark.parametrize("at", [0, 1, 299, 598, 599])
def test_nothing_that_is_otherwise_agrees(at: int) -> None:
    records = some(600)
    log = as_log(records)
    p, (key, value) = log[at]
    others: dict[str, list[tuple[int, Sent]]] = {
        "dropped": log[:at] + log[at + 1 :],
        "doubled": [*log[: at + 1], *log[at:]],
        "doubled at the end": [*log, log[at]],
        "altered": [*log[:at], (p, (key, (value or b"") + b"x")), *log[at + 1 :]],
        "other key": [*log[:at], (p, (b"k", value)), *log[at + 1 :]],
        "tombstone": [*log[:at], (p, (key, b"" if value is None else None)), *log[at + 1 :]],
        "no key": [*log[:at], (p, (None, value)), *log[at + 1 :]],
        "somebody's": [*log[:at], (p, (b"other", b"more")), *log[at:]],
        "elsewhere": [*log[:at], ((p + 1) % 3, (key, value)), *log[at + 1 :]],
        "nothing": [],
    }
    assert compared(records, log) is not None
    for name, other in others.items():
        assert compared(records, other) is None, name
        assert compared(records, other, in_thread=True) is None, name
    assert compared(records[:at] + records[at + 1 :], log) is None
    assert compared([], log) is None


def test_bytes_that_moved_between_key_and_value_or_between_records_differ() -> None:
    assert compared([(b"a", b"bc")], [(0, (b"ab", b"c"))]) is None
    places = kafka_partitions(side([(b"a", b"")])[0], 3).tolist()
    both: list[Sent] = [(b"a", b"bc"), (b"a", b"d")]
    assert compared(both, [(places[0], record) for record in both]) is not None
    moved: list[Sent] = [(b"a", b"b"), (b"a", b"cd")]
    assert compared(both, [(places[0], record) for record in moved]) is None


@pytest.mark.parametrize("whole_log", [True, False])
def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch, whole_log: bool) -> None:
    """Every kafka_partition is read to its end before the next, unless it is held; one ends too early."""
    monkeypatch.setattr(order, "_FEW_BYTES", 500)
    monkeypatch.setattr(order, "_MOST_BYTES", 3_000)
    records = some(3_000)
    log = as_log(records)
    queues = {p: [record for q, record in log if q == p] for p in (2, 1, 0)}
    if not whole_log:
        del queues[0][-1]
    waiting = []

    def make() -> Iterator[Records]:
        for at in range(0, len(records), 50):
            yield Records(*side(records[at : at + 50]))

    def read(held: Held) -> Generator[Committed, None, None]:
        while left := [p for p, queue in queues.items() if queue]:
            free = [p for p in left if p not in held()]
            if not free:
                return
            part = queues[free[0]][:20]
            del queues[free[0]][:20]
            keys, values = side(part)
            places = np.full(len(part), free[0], np.int32)
            yield Committed(places, np.arange(len(part)), keys.cast(pa.large_binary()), values)
            both: order._SideBySide = held.__self__  # type: ignore[attr-defined]
            waiting.append((both._expected.bytes, both._found.bytes))

    found = agrees_in_order(make, read, 3, in_thread=False)  # type: ignore[arg-type]
    assert (found is not None) == whole_log
    # What comes at once, 20 found or 50 expected ones, is at most 3,000 bytes.
    assert max(max(sides) for sides in waiting) < 6_000
    assert max(found for _, found in waiting) > 1_000, "nothing ever waited"


@pytest.mark.usefixtures("only_in_order")
def test_a_whole_verification_of_one_generation_is_in_order_too(world: World) -> None:
    world.deliver(rows(100))
    assert whole(world).verdict == "agrees"
