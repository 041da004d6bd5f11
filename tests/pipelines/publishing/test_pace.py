"""What consumers see of a publication that is slowed down or paused, on a real Apache Kafka."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from confluent_kafka import Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from pipelines.authoring.limits import Limits, limits
from pipelines.ledger.entry import LedgerEntry
from pipelines.pacing.hold import Cancelled, Hold
from pipelines.pacing.pacer import Pacer
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.result import PublishResult
from pipelines.publishing.sending.sender import Allowance
from resources.kafka.reading.lag import GroupReader
from resources.platform import Platform
from tests.hearing import into
from tests.pipelines.publishing.conftest import WINDOW, Row, World

ROWS: list[Row] = [(f"id-{number % 50:02}", number % 1440, number) for number in range(2_000)]


@dataclass
class Operator:
    """The test acts as an operator."""

    paused: bool = False
    cancelled: str | None = None

    def hold(self) -> Hold | None:
        return (
            Hold("operator", "paused by operator anna", 0.1, by="anna", run_id="0123456789")
            if self.paused
            else None
        )

    def cancelled_by(self) -> str | None:
        return self.cancelled


class Paced(Pacer):
    """A Pacer that shows the test what each transaction had."""

    def __init__(self, *arguments: object, after: Callable[[int], None], **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self.held: list[tuple[int, int]] = []
        self.allowed: list[Allowance] = []
        self._after = after

    def before(self, entry: LedgerEntry) -> Allowance:
        self.allowed.append(super().before(entry))
        return self.allowed[-1]

    def sent(self, rows: int, sent_bytes: int) -> None:
        super().sent(rows, sent_bytes)
        self.held.append((rows, sent_bytes))
        self._after(len(self.held))


@dataclass
class Held:
    """A publication and the means to slow it down."""

    world: World
    operator: Operator = field(default_factory=Operator)
    after: Callable[[int], None] = lambda _: None
    now: float = 0.0

    def platform(self, **settings: object) -> Platform:
        made = self.world.platform(**settings)
        self.world.prepare(made)
        return made

    def pacer(self, what: Limits, platform: Platform, *, clock: bool = False) -> Paced:
        """`clock`: time passes only while the pacer sleeps."""
        more = {"clock": lambda: self.now, "sleep": self.sleep} if clock else {}
        return Paced(
            what,
            groups=lambda: GroupReader(platform.settings),
            operator=self.operator,
            tell=into(self.world.said),
            after=lambda number: self.after(number),
            **more,
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def publish(self, platform: Platform, pacer: Pacer) -> PublishResult:
        publisher = Publisher(
            self.world.event, platform, run_id="run", pace=pacer, tell=into(self.world.said)
        )
        return publisher.publish(WINDOW)

    @contextmanager
    def publishing(self, platform: Platform, pacer: Pacer) -> Iterator[Future[PublishResult]]:
        """The same in a thread, which ends with the block whatever it waits for."""
        with ThreadPoolExecutor(1) as pool:
            try:
                yield pool.submit(self.publish, platform, pacer)
            finally:
                self.operator.cancelled = "the end of the test"
        pacer.close()

    def entry(self) -> LedgerEntry:
        with Platform(self.world.settings()) as platform:
            found = Publisher(self.world.event, platform, run_id="looks").ledger(WINDOW)
        assert found is not None
        return found

    def assert_nothing_is_open(self) -> None:
        """Assert that no read_committed consumer is blocked: the last stable offset is the end of the log."""
        admin = AdminClient({"bootstrap.servers": self.world.bootstrap})
        places = {TopicPartition(self.world.topic, p): OffsetSpec.latest() for p in range(3)}
        deadline = time.monotonic() + 60  # markers are written after the commit's answer
        while True:
            ends = [
                sorted((tp.partition, told.result().offset) for tp, told in admin.list_offsets(places, isolation_level=level).items())
                for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
            ]  # fmt: skip
            if ends[0] == ends[1]:
                return
            assert time.monotonic() < deadline, f"a transaction is open: {ends}"
            time.sleep(0.05)


@pytest.fixture
def held(world: World) -> Held:
    world.rows(ROWS)
    world.create_topic()
    return Held(world)


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def reading(world: World, group: str) -> Iterator[Consumer]:
    """A consumer of the group that reads and commits while the block runs."""
    consumer = Consumer(
        {
            "bootstrap.servers": world.bootstrap, "group.id": group, "auto.offset.reset": "earliest",
            "isolation.level": "read_committed", "auto.commit.interval.ms": 200,
        }
    )  # fmt: skip
    consumer.subscribe([world.topic])
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            consumer.poll(0.1)

    with ThreadPoolExecutor(1) as pool:
        reads = pool.submit(read)
        try:
            yield consumer
        finally:
            over.set()
            reads.result()
            consumer.close()


def test_a_group_that_stands_still_pauses_the_publisher_until_it_has_caught_up(held: Held) -> None:
    world, group = held.world, "billing"
    platform = held.platform()
    pacer = held.pacer(limits(lag={group: (400, 100)}), platform)
    with held.publishing(platform, pacer) as publishing:
        until(lambda: publishing.done() or any("paused: consumer group billing is" in s for s in world.said))
        held.assert_nothing_is_open()
        entry, seen = held.entry(), world.counted()
        assert entry.status == "publishing" and entry.rows_done == seen.total()
        # Markers count too: lag is measured in offsets.
        assert 390 <= entry.rows_done <= 420, "as near to its threshold as it gets, and no further"
        time.sleep(2.5)
        assert held.entry() == entry, "it waits"
        with reading(world, group):
            result = publishing.result(timeout=120)
    assert result.published == len(ROWS)
    assert world.counted() == Counter(ROWS)
    assert pacer.waited["consumer_lag"] > 2
    assert any("goes on after" in told for told in world.said)


def test_a_run_may_be_paused_for_longer_than_any_time_out_of_its_producer(held: Held) -> None:
    world, operator = held.world, held.operator
    # On a busy machine one transaction takes seconds:
    # the timeout is longer than that, and the pause is even longer.
    platform = held.platform(
        transaction_rows=500, kafka={"transaction.timeout.ms": "15000", "connections.max.idle.ms": "1000"}
    )

    def pauses(number: int) -> None:
        operator.paused = number == 2

    held.after = pauses
    pacer = held.pacer(Limits(), platform)
    with held.publishing(platform, pacer) as publishing:
        until(lambda: publishing.done() or any("paused by operator" in told for told in world.said))
        held.assert_nothing_is_open()
        assert world.counted().total() == held.entry().rows_done == 1_000
        time.sleep(17)
        assert not publishing.done()
        operator.paused = False
        result = publishing.result(timeout=60)
    assert (result.published, result.transactions) == (2_000, 4)
    assert world.counted() == Counter(ROWS)
    assert held.entry().generation == 1 and held.entry().complete
    assert pacer.waited["operator"] > 16


def test_a_cancelled_publication_ends_between_two_transactions_and_goes_on_when_launched_again(
    held: Held,
) -> None:
    world = held.world
    platform = held.platform(transaction_rows=300)

    def cancels(number: int) -> None:
        if number == 3:
            held.operator.cancelled = "anna@host"

    held.after = cancels
    with pytest.raises(Cancelled, match=r"by operator anna@host: 900 of 2,000 records of 2013-01-01 are"):
        held.publish(platform, held.pacer(Limits(), platform))
    held.assert_nothing_is_open()
    assert world.counted().total() == held.entry().rows_done == 900
    result = world.publish(platform)
    assert (result.action, result.published) == ("resume", 1_100)
    assert world.counted() == Counter(ROWS)


def test_rows_go_out_at_the_limit_in_transactions_of_a_second(held: Held) -> None:
    platform = held.platform()
    pacer = held.pacer(Limits(rows_per_second=400), platform, clock=True)
    result = held.publish(platform, pacer)
    assert [rows for rows, _ in pacer.held] == [400] * 5
    assert result.transactions == 5 and held.now == pytest.approx(4.0)
    assert pacer.waited == pytest.approx({"rate": 4.0})
    assert f"{WINDOW}: limited to 400 rows/s: 1,600 records to go, about 4 s" in held.world.said
    assert held.world.counted() == Counter(ROWS)


def test_bytes_go_out_at_the_limit_however_the_sizes_of_records_differ(held: Held) -> None:
    rows: list[Row] = [(f"{'x' * (1 + number * number % 900)}-{number}", number, 1) for number in range(600)]
    held.world.rows(rows)
    platform = held.platform()
    pacer = held.pacer(Limits(bytes_per_second=20_000), platform, clock=True)
    result = held.publish(platform, pacer)
    sizes = [sent for _, sent in pacer.held]
    assert max(sizes) <= 20_000 and len({count for count, _ in pacer.held}) > 3
    assert min(sizes[:-1]) > 20_000 - 2_000, "as much as fits"
    assert held.now == pytest.approx((result.bytes_sent - sizes[-1]) / 20_000)
    assert held.world.counted() == Counter(rows)


def test_a_record_larger_than_the_limit_goes_out_alone(held: Held) -> None:
    rows: list[Row] = [("x" * 300 + str(number), number, 1) for number in range(5)]
    held.world.rows(rows)
    platform = held.platform()
    pacer = held.pacer(Limits(bytes_per_second=100), platform, clock=True)
    held.publish(platform, pacer)
    assert [count for count, _ in pacer.held] == [1] * 5
    assert held.now >= 4 * 3.0
    assert held.world.counted() == Counter(rows)


def test_a_real_clock_keeps_the_limit_too(held: Held) -> None:
    """Not exactly, because the machine may be busy:
    never faster, and it waits at most twice the necessary time."""
    platform = held.platform()
    pacer = held.pacer(Limits(rows_per_second=500), platform)
    started = time.monotonic()
    held.publish(platform, pacer)
    # There is no wait after the last second's records.
    assert (len(ROWS) - 500) / (time.monotonic() - started) <= 500 * 1.02
    assert pacer.waited["rate"] <= 2 * len(ROWS) / 500
