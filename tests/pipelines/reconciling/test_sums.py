"""Both sides as sums: equal if every record is there, and different if anything differs."""

from collections.abc import Callable, Generator
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from pipelines.publishing.request import Replay
from pipelines.publishing.selection import Selection
from pipelines.reconciling import window
from pipelines.reconciling.comparison import Comparison
from pipelines.reconciling.expected import Records
from pipelines.reconciling.log import Committed
from pipelines.reconciling.reconciler import reconcile_window
from pipelines.reconciling.records.content import Checksum
from pipelines.reconciling.sums import checksum_of_both
from resources.kafka.transactions import TransactionalProducer
from tests.pipelines.publishing.conftest import WINDOW, World
from tests.pipelines.reconciling.conftest import Delivery, Sent
from tests.pipelines.reconciling.test_generations import reconciled, rows
from tests.pipelines.reconciling.test_whole import whole

AT = 617


@pytest.fixture
def only_by_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a record is written to the disk."""

    def never(*_: object) -> None:
        raise AssertionError("a record was kept")

    monkeypatch.setattr(Comparison, "_write", never)


# On a broker: for what Sluice publishes the sums are enough, whichever way it was produced.


@pytest.mark.parametrize("producing", ["native", "public"])
@pytest.mark.usefixtures("only_by_sums")
def test_what_was_published_agrees_by_its_sums(world: World, producing: str) -> None:
    world.define(more="tombstones=True,")
    settings = {"producing": producing, "batch_rows": 1_100, "transaction_rows": 1_500}
    world.deliver(rows(4_000), settings=settings)
    found = reconcile_window(world.event, WINDOW, world.platform(batch_rows=1_100))
    assert (found.verdict, found.expected, found.found, found.others) == ("agrees", 4_000, 4_000, 0)
    assert found.checksum_expected == found.checksum_found != "0" * 32
    assert reconciled(world).checksum_found == found.checksum_found
    # Tombstones after the corrected rows.
    assert world.deliver(rows(3_000, amount=7), settings=settings).tombstones == 1_000
    found = reconciled(world)
    assert (found.verdict, found.generation, found.expected) == ("agrees", 2, 3_999)


@pytest.mark.usefixtures("only_by_sums")
def test_a_resumed_window_and_replays_agree_by_their_sums(
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


def test_where_many_others_wrote_in_between_no_sums_are_made(
    small: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("read in vain")

    monkeypatch.setattr(window, "checksum_of_both", never)
    here = small.on_new_topic()
    others = [(b"other", b"%d" % n) for n in range(1_200)]
    found = here.reconcile(here.send([*here.records[:990], *others, *here.records[990:]]))
    assert (found.verdict, found.expected, found.others) == ("agrees", 1_000, 1_200)


@pytest.mark.usefixtures("only_by_sums")
def test_a_whole_verification_of_one_generation_agrees_by_its_sums(world: World) -> None:
    world.deliver(rows(100))
    assert whole(world).verdict == "agrees"


# Without a broker.


def some(count: int) -> list[Sent]:
    return [(b"k%d" % (n % 40), None if n % 11 == 5 else b"value %d" % n) for n in range(count)]


def side(records: list[Sent]) -> tuple[pa.Array, pa.Array]:
    keys, values = ([record[i] for record in records] for i in (0, 1))
    return pa.array(keys, pa.binary()), pa.array(values, pa.large_binary())


def compared(
    expected: list[Sent],
    found: list[Sent],
    *,
    stamps: tuple[list[int | None], list[int | None]] | None = None,
    in_thread: bool = False,
) -> Checksum | None:
    """`stamps`: the timestamps of both sides."""
    one, other = (None, None) if stamps is None else (pa.array(column, pa.int64()) for column in stamps)

    def make() -> Generator[Records, None, None]:
        records = Records(*side(expected), one)
        for at in range(0, len(expected), 50):
            yield records.slice(at, 50)

    def read() -> Generator[Committed, None, None]:
        for at in range(0, len(found), 30):
            keys, values = side(found[at : at + 30])
            count = len(keys)
            stamped = None if other is None else other.slice(at, 30)
            places = np.zeros(count, np.int32)
            yield Committed(places, np.arange(count), keys.cast(pa.large_binary()), values, stamped)
            yield Committed(
                places[:0], np.arange(0), keys[:0], values[:0], None if stamped is None else stamped[:0]
            )

    return checksum_of_both(make, read(), in_thread=in_thread)


@pytest.mark.parametrize("in_thread", [False, True])
def test_the_same_records_in_any_order_agree(in_thread: bool) -> None:
    records = some(600)
    found = compared(records, Random(3).sample(records, 600), in_thread=in_thread)
    assert found is not None and found.records == 600
    assert compared([], []) == Checksum()


@pytest.mark.parametrize("at", [0, 1, 299, 598, 599])
def test_nothing_that_is_otherwise_agrees(at: int) -> None:
    records = some(600)
    log = Random(3).sample(records, 600)
    key, value = log[at]
    others: dict[str, list[Sent]] = {
        "dropped": log[:at] + log[at + 1 :],
        "doubled": [*log[: at + 1], *log[at:]],
        "doubled at the end": [*log, log[at]],
        "doubled in the place of another": [*log[:at], log[(at + 1) % 600], *log[at + 1 :]],
        "altered": [*log[:at], (key, (value or b"") + b"x"), *log[at + 1 :]],
        "other key": [*log[:at], (b"k", value), *log[at + 1 :]],
        "tombstone": [*log[:at], (key, b"" if value is None else None), *log[at + 1 :]],
        "no key": [*log[:at], (None, value), *log[at + 1 :]],
        "somebody's": [*log[:at], (b"other", b"more"), *log[at:]],
        "nothing": [],
    }
    assert compared(records, log) is not None
    for name, other in others.items():
        assert compared(records, other) is None, name
        assert compared(records, other, in_thread=True) is None, name
    assert compared(records[:at] + records[at + 1 :], log) is None
    assert compared([], log) is None


def test_bytes_that_moved_between_key_and_value_or_between_records_differ() -> None:
    assert compared([(b"a", b"bc")], [(b"ab", b"c")]) is None
    assert compared([(b"a", b"bc"), (b"a", b"d")], [(b"a", b"b"), (b"a", b"cd")]) is None


def test_timestamps_agree_record_by_record() -> None:
    records: list[Sent] = [(b"a", b"1"), (b"b", b"2"), (b"c", None)]
    expected: list[int | None] = [1_000, 2_000, None]
    assert compared(records, records, stamps=(expected, [1_000, 2_000, 77])) is not None, "a tombstone's"
    for name, other in {
        "another": [1_000, 2_001, None],
        "those of each other": [2_000, 1_000, None],
        "the brokers'": [None, None, None],
    }.items():
        assert compared(records, records, stamps=(expected, other)) is None, name  # type: ignore[arg-type]


def test_a_log_with_more_records_is_not_read_to_its_end() -> None:
    read, ended = list[int](), list[bool]()

    def found() -> Generator[Committed, None, None]:
        try:
            for n in range(100):
                read.append(n)
                keys, values = side([(b"k", b"v")])
                yield Committed(np.zeros(1, np.int32), np.array([n]), keys, values)
        finally:
            ended.append(True)

    def expected() -> Generator[Records, None, None]:
        yield Records(*side([(b"k", b"v")] * 3))

    assert checksum_of_both(expected, found(), in_thread=True) is None
    assert read == [0, 1, 2, 3] and ended == [True]
