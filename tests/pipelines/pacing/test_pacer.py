"""The rules of pace with a clock of the test: no broker, no waiting."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.authoring.limits import LagLimit, Limits, limits
from pipelines.ledger.entry import LedgerEntry
from pipelines.pacing.hold import Cancelled, Hold
from pipelines.pacing.pacer import Pacer
from resources.kafka.errors import KafkaRefused, KafkaUnavailable
from resources.kafka.reading.lag import GroupLag
from tests.hearing import into

TOPIC = "tests.happened.v1"


@dataclass
class World:
    """A clock, groups, and an operator, all controlled by the test."""

    now: float = 1_000.0
    groups: dict[str, GroupLag] = field(default_factory=dict)
    fault: Exception | None = None
    asked_at: list[float] = field(default_factory=list)
    empty: bool = False
    paused: bool = False
    cancelled: str | None = None
    said: list[str] = field(default_factory=list)
    each_second: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.each_second()

    def lag(self, topic: str, group: str) -> GroupLag:
        assert topic == TOPIC
        self.asked_at.append(self.now)
        if self.fault is not None:
            raise self.fault
        return self.groups[group]

    def nothing_left(self, topic: str, lag: GroupLag) -> bool:  # noqa: ARG002
        return self.empty

    def similar(self, group: str) -> str:  # noqa: ARG002
        return " Did you mean 'billing'?"

    def close(self) -> None:
        """Does nothing: nothing is open."""

    def hold(self) -> Hold | None:
        return (
            Hold("operator", "paused by operator anna", 1, by="anna", run_id="0123456789")
            if self.paused
            else None
        )

    def cancelled_by(self) -> str | None:
        return self.cancelled

    def behind(self, records: int, group: str = "billing", committed: int = 7) -> None:
        self.groups[group] = GroupLag(group, records, {0: committed}, {0: committed + records})

    def pacer(self, what: Limits) -> Pacer:
        return Pacer(
            what,
            groups=lambda: self,
            operator=self,
            tell=into(self.said),
            clock=lambda: self.now,
            sleep=self.sleep,
        )


@pytest.fixture
def world() -> World:
    return World()


def an_entry(done: int = 0, total: int = 1_000_000, **more: object) -> LedgerEntry:
    fields: Mapping[str, object] = {
        "event": "tests/happened", "window": "2013-01-01", "topic": TOPIC, "generation": 1, "kind": "backfill",
        "status": "publishing", "snapshot": "s", "rows_total": total, "rows_done": done, "code_version": "c",
        "contract": "f", "schema_id": 1, "run_id": "r", "written_at": "t", **more,
    }  # fmt: skip
    return LedgerEntry(**fields)  # type: ignore[arg-type]


@given(
    per_second=st.integers(1, 100_000),
    transactions=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5)), min_size=1, max_size=40),
)
def test_never_more_than_the_limit_times_the_time_and_one_transaction(
    per_second: int, transactions: list[tuple[float, float]]
) -> None:
    """Whatever share of its allowance a transaction uses, and however long it and the pause after it take."""
    world = World()
    pacer = world.pacer(Limits(rows_per_second=per_second))
    sent: list[tuple[float, int]] = []
    for part, seconds in transactions:
        allowed = pacer.before(an_entry())
        assert allowed.rows == per_second and allowed.bytes is None, "a second's worth"
        rows = max(1, int(part * allowed.rows))
        sent.append((world.now, rows))
        world.now += seconds
        pacer.sent(rows, 0)
    for first, (start, _) in enumerate(sent):
        total = 0
        for end, rows in sent[first:]:
            total += rows
            assert total <= per_second * (end - start) + per_second + 1e-6


@given(st.lists(st.integers(1, 3_000_000), min_size=2, max_size=30))
def test_bytes_are_paid_for_even_where_one_record_is_larger_than_the_limit(sizes: list[int]) -> None:
    world = World()
    pacer = world.pacer(Limits(bytes_per_second=1_000_000))
    start = world.now
    for size in sizes:
        assert pacer.before(an_entry()).bytes == 1_000_000
        pacer.sent(1, size)
    pacer.before(an_entry())
    assert world.now - start >= sum(sizes) / 1_000_000 - 1e-6


def test_a_limit_that_is_kept_anyway_costs_nothing(world: World) -> None:
    pacer = world.pacer(Limits(rows_per_second=100))
    for _ in range(5):
        pacer.before(an_entry())
        before = world.now
        world.now += 1.0
        pacer.sent(100, 1)
        pacer.before(an_entry())
        assert world.now == before + 1.0
    assert dict(pacer.waited) == {} and world.said == []


def test_a_slow_run_says_so_once_for_each_window(world: World) -> None:
    pacer = world.pacer(Limits(rows_per_second=5_000, bytes_per_second=100_000))
    for done in (0, 5_000, 10_000):
        pacer.before(an_entry(done, bytes_done=done * 50))
        pacer.sent(5_000, 250_000)
    assert world.said == [
        "2013-01-01: limited to 5,000 rows/s and 100,000 bytes/s: 995,000 records to go, about 8 min 18 s"
    ]
    assert pacer.waited == {"rate": 5.0}


def test_a_transaction_is_no_longer_than_transactions_may_be(world: World) -> None:
    pacer = Pacer(Limits(1_000, 7_000), groups=lambda: world, transaction_seconds=0.5)
    assert pacer.before(an_entry()) == (500, 3_500)
    assert world.pacer(Limits(1, 1)).before(an_entry()) == (1, 1)


BILLING = limits(lag={"billing": (50_000, 10_000)})


def test_a_group_behind_pauses_until_it_has_caught_up_well(world: World) -> None:
    world.behind(50_001)
    course = iter([50_001, 30_000, 10_001, 10_000, 49_999])
    world.each_second = lambda: world.behind(next(course)) if world.now % 1 == 0 else None
    pacer, start = world.pacer(BILLING), world.now
    allowed = pacer.before(an_entry())
    assert world.now - start == 4.0, "not at 30,000, which is below the threshold that paused it"
    assert allowed.rows == 40_000
    assert world.said == [
        "2013-01-01: paused: consumer group billing is 50,001 records behind (pauses above 50,000, goes on at 10,000)",
        "2013-01-01: goes on after 4 s",
    ]
    assert pacer.waited == {"consumer_lag": 4.0}
    world.behind(49_999)
    world.now += 1
    assert pacer.before(an_entry()).rows == 2_500, "below the threshold it goes on, in small steps"
    assert pacer.waited == {"consumer_lag": 4.0}


@given(st.lists(st.tuples(st.integers(0, 200_000), st.floats(0.001, 3)), min_size=1, max_size=60))
def test_no_group_is_ever_sent_more_than_a_twentieth_beyond_its_threshold(
    steps: list[tuple[int, float]],
) -> None:
    """However fast the consumer reads, and whenever the publisher's transactions happen."""
    world = World()
    pacer, behind = world.pacer(BILLING), 0
    world.behind(0)

    def reads() -> None:  # so that a pause ends
        nonlocal behind
        behind = max(0, behind - 20_000)
        world.behind(behind)

    world.each_second = reads
    for read, seconds in steps:
        allowed = pacer.before(an_entry()).rows
        assert allowed is not None and allowed > 0
        behind += allowed
        assert behind <= 50_000 + 2_500
        pacer.sent(allowed, 0)
        behind = max(0, behind - read)
        world.behind(behind)
        world.now += seconds


def test_brokers_are_asked_once_a_second_at_most(world: World) -> None:
    world.behind(0)
    pacer = world.pacer(BILLING)
    for _ in range(1_000):
        pacer.before(an_entry())
        pacer.sent(1_000, 0)
        world.now += 0.01
    gaps = [later - earlier for earlier, later in zip(world.asked_at, world.asked_at[1:], strict=False)]
    assert min(gaps) >= 1.0 - 1e-6


def test_every_thirty_seconds_of_a_pause_it_is_said_again(world: World) -> None:
    world.behind(60_000)
    start = world.now

    def moves() -> None:
        seconds = int(world.now - start)
        world.behind(60_000 - seconds if seconds < 100 else 0, committed=seconds)

    world.each_second = moves
    world.pacer(BILLING).before(an_entry())
    assert [line.partition("is ")[2].partition(" records")[0] for line in world.said[:-1]] == [
        "60,000", "59,970", "59,940", "59,910",
    ]  # fmt: skip
    assert world.said[1].endswith("(for 30 s)") and world.said[-1] == "2013-01-01: goes on after 1 min 40 s"


def test_the_group_that_is_behind_is_named_and_all_must_have_caught_up(world: World) -> None:
    world.behind(0)
    world.behind(100, "search")

    def catches_up() -> None:
        if world.now >= 1_005:
            world.behind(5, "search")

    world.each_second = catches_up
    pacer = world.pacer(limits(lag={"billing": 50_000, "search": (99, 5)}))
    assert pacer.before(an_entry()).rows == 94, "the one with the least room says how much"
    assert world.now == 1_005
    assert "group search is 100 records behind" in world.said[0] and "billing" not in world.said[0]


def test_what_no_consumer_can_read_holds_nobody_back(world: World) -> None:
    """After an abort, a group is before 200,000 records that it will never get."""
    world.behind(200_000)
    world.empty = True
    start = world.now
    world.pacer(BILLING).before(an_entry())
    assert 10 <= world.now - start <= 12


def test_a_group_without_a_commit_counts_as_behind_by_everything_and_is_named(world: World) -> None:
    pacer = world.pacer(limits(lag={"biling": 100}))
    world.groups["biling"] = GroupLag("biling", 0, {}, {0: 0})
    pacer.before(an_entry())
    assert world.said == [], "nor is anything to be said of an empty topic"
    world.groups["biling"] = GroupLag("biling", 70, {}, {0: 70})
    for _ in range(3):
        world.now += 1
        assert pacer.before(an_entry()).rows == 30
    assert world.said == [
        f"2013-01-01: consumer group biling has committed no offset of {TOPIC}; it counts as behind by all of its 70 "
        "records. Did you mean 'billing'?"
    ]


def test_a_group_that_may_not_be_read_ends_the_run(world: World) -> None:
    world.fault = KafkaRefused("consumer group billing", "the login may not")
    with pytest.raises(KafkaRefused):
        world.pacer(BILLING).before(an_entry())


def test_brokers_that_do_not_answer_pause_it_and_end_it_after_a_minute(world: World) -> None:
    world.behind(0)
    world.fault = KafkaUnavailable("consumer group billing", "Kafka did not answer")

    def recovers() -> None:
        if world.now >= 1_020:
            world.fault = None

    world.each_second = recovers
    pacer = world.pacer(BILLING)
    pacer.before(an_entry())
    assert world.now >= 1_020 and "Kafka did not answer" in world.said[0]
    world.each_second = lambda: None
    world.fault = KafkaUnavailable("consumer group billing", "Kafka did not answer")
    start = world.now
    world.now += 1
    with pytest.raises(KafkaUnavailable):
        pacer.before(an_entry())
    assert 60 <= world.now - start <= 65


def test_a_shadow_topic_has_no_groups_to_wait_for(world: World) -> None:
    world.behind(1_000_000)
    pacer = world.pacer(limits(rows_per_second=10, lag={"billing": 5}))
    assert pacer.before(an_entry(topic="tests.shadow.v1", shadow_of=TOPIC)).rows == 10
    assert world.asked_at == []


def test_a_paused_run_waits_for_its_operator_also_where_limits_would_let_it_go(world: World) -> None:
    world.behind(60_000)

    def day() -> None:
        world.paused = 1_003 <= world.now < 1_065
        if world.now >= 1_005:
            world.behind(0)

    world.each_second = day
    world.pacer(BILLING).before(an_entry())
    assert world.now == 1_065
    assert [line.partition(": ")[2].partition(" (")[0] for line in world.said] == [
        "paused: consumer group billing is 60,000 records behind",
        *["paused by operator anna; `sluice resume 01234567` lets it go on"] * 3,
        "goes on after 1 min 5 s",
    ]


@pytest.mark.parametrize("while_paused", [False, True])
def test_a_cancelled_run_says_how_far_it_came(world: World, while_paused: bool) -> None:
    def cancels() -> None:
        world.cancelled = "anna"

    if while_paused:
        world.paused, world.each_second = True, cancels
    else:
        cancels()
    with pytest.raises(
        Cancelled, match=r"cancelled by operator anna: 7 of 9 records of 2013-01-01 are committed"
    ):
        world.pacer(Limits()).before(an_entry(7, 9))


def test_between_windows_the_operator_is_heard_too(world: World) -> None:
    world.paused = True

    def resumes() -> None:
        world.paused = world.now < 1_010

    world.each_second = resumes
    pacer = world.pacer(Limits(lag={"billing": LagLimit(5, 1)}))
    pacer.between("2013-01-02", "nothing of 2013-01-02 was begun")
    assert world.now == 1_010 and world.asked_at == []
    world.cancelled = "anna"
    with pytest.raises(Cancelled, match="nothing of 2013-01-02 was begun"):
        pacer.between("2013-01-02", "nothing of 2013-01-02 was begun")
