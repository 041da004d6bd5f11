"""The sensor on real brokers: a service's group joins, reads and commits, and the next tick records it,
once."""

import time

import dagster as dg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pipelines.journal.entry import JournalRecord, read_record
from pipelines.journal.journal import Journal
from pipelines.journal.kinds import FirstConsumption
from pipelines.orchestration.definitions.consumption_sensor import build_consumption_sensors
from pipelines.publishing.request import Replay
from resources.kafka.topics.journal_topic import JournalTopic, journal_topic
from tests.pipelines.journal.conftest import consume
from tests.pipelines.publishing.conftest import World

ROWS = [(f"k{n}", n, n) for n in range(20)]


class Ticks:
    """The sensor of one installation, tick by tick, with the cursor that Dagster keeps for it."""

    def __init__(
        self, world: World, monkeypatch: pytest.MonkeyPatch, toml: str = "", *services: str, **environ: str
    ) -> None:
        self.world, self.cursor = world, ""
        file = world.folder / "sluice.toml"
        file.write_text(toml)
        for name, value in {**world.environ, "SLUICE_TOML": str(file), **environ}.items():
            monkeypatch.setenv(name, value)
        event = world.define(more=f"consumers={[*services] or ['billing']!r},")
        (self.sensor,) = build_consumption_sensors([event])

    def tick(self) -> str:
        """The message of the sensor."""
        context = dg.build_sensor_context(cursor=self.cursor or None)
        told = self.sensor(context)
        self.cursor = context.cursor or ""
        assert isinstance(told, dg.SkipReason)
        return str(told.skip_message)

    def recorded(self) -> list[FirstConsumption]:
        """First consumptions in the journal, each as often as it was written."""
        entries = JournalTopic(self.world.settings()).read([self.world.topic])
        records = [read_record(one) for one in entries]
        return [one.details for one in records if isinstance(one.details, FirstConsumption)]


def commit_at(world: World, group: str, offsets: dict[int, int]) -> None:
    """Set a group's offsets while it has no members, as `kafka-consumer-groups.sh --reset-offsets` does."""
    consumer = Consumer(
        {"bootstrap.servers": world.bootstrap, "group.id": group, "enable.auto.commit": False}
    )
    try:
        consumer.commit(
            offsets=[TopicPartition(world.topic, p, offset) for p, offset in offsets.items()],
            asynchronous=False,
        )
    finally:
        consumer.close()


@pytest.mark.parametrize("which", ["world", pytest.param("embedded_world")])
def test_a_group_that_joins_and_commits_is_recorded_once(
    which: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    world: World = request.getfixturevalue(which)
    group = f"{world.name}-billing"
    ticks = Ticks(world, monkeypatch, f'[consumers]\nbilling = ["{group}-other", "{group}"]\n')
    assert "not read yet" in ticks.tick(), "there is no topic yet"
    world.deliver(ROWS)
    assert "1 declared consumer has not read yet" in ticks.tick() and ticks.recorded() == []
    consume(world, group, 5)
    told = ticks.tick()
    assert "first consumption by billing" in told, told
    (found,) = ticks.recorded()
    firsts = {p: min(one.offset for one in world.seen() if one.kafka_partition == p) for p in (0, 1, 2)}
    assert (found.service, found.group) == ("billing", group)
    assert found.first == firsts[found.kafka_partition] < found.committed
    # Once: with the cursor, without it, after more was read, and after the group was reset to the beginning.
    ticks.tick()
    ticks.cursor = ""
    ticks.tick()
    commit_at(world, group, {one.kafka_partition: one.offset + 1 for one in world.seen()})
    ticks.cursor = ""
    ticks.tick()
    commit_at(world, group, dict.fromkeys(range(3), 0))
    ticks.cursor = ""
    ticks.tick()
    assert ticks.recorded() == [found]


def test_offsets_before_the_first_record_do_not_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(world, monkeypatch)
    world.create_topic(1)
    foreign = Producer({"bootstrap.servers": world.bootstrap})
    for _ in range(5):
        foreign.produce(world.topic, b"of somebody else")
    foreign.flush(30)
    commit_at(world, "billing", {0: 5})
    world.deliver(ROWS)
    assert "not read yet" in ticks.tick() and ticks.recorded() == []
    commit_at(world, "billing", {0: 6})
    assert "first consumption by billing" in ticks.tick()
    (found,) = ticks.recorded()
    assert (found.group, found.first, found.committed) == ("billing", 5, 6)


def test_a_topic_made_again_is_read_for_the_first_time_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(world, monkeypatch)
    world.deliver(ROWS)
    commit_at(world, "billing", {0: 3})
    ticks.tick()
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    admin.delete_topics([world.topic])[world.topic].result()
    while world.topic in admin.list_topics(timeout=30).topics:
        time.sleep(0.05)
    assert ticks.tick() == "1 declared consumer has not read yet"
    world.create_topic(3)
    ticks.tick()
    world.publish(replay=Replay("again"), reason="the topic was made again", run_id="again")
    assert "not read yet" in ticks.tick()
    commit_at(world, "billing", {0: 3})  # the same offset as on the topic before
    assert "first consumption by billing" in ticks.tick()
    first, second = ticks.recorded()
    assert first.topic_id != second.topic_id and first.service == second.service


def test_each_service_of_each_event_is_recorded_by_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = ("billing", "tracking", "nobody")
    ticks = Ticks(world, monkeypatch, '[consumers]\ntracking = "t-1"\n', *services)
    world.deliver(ROWS)
    consume(world, "billing", 1)
    told = ticks.tick()
    assert "by billing" in told and "2 declared consumers have not read yet" in told
    consume(world, "t-1", 1)
    assert "1 declared consumer has not read yet" in ticks.tick()
    assert [one.service for one in ticks.recorded()] == ["billing", "tracking"]


def test_brokers_that_are_down_are_a_reason_and_no_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.kafka.topics.watch._SECONDS", 1)
    ticks = Ticks(world, monkeypatch, SLUICE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    told = ticks.tick()
    assert told.startswith("not looked: ") and ticks.cursor == ""


def test_a_journal_that_cannot_be_written_is_a_reason_and_the_next_tick_records(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(world, monkeypatch, SLUICE_CREATE_TOPICS="false")
    world.deliver(ROWS)
    name = journal_topic(world.settings())
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    admin.delete_topics([name])[name].result()
    while name in admin.list_topics(timeout=30).topics:
        time.sleep(0.05)
    consume(world, "billing", 5)
    told = ticks.tick()
    assert told.startswith("not looked: ") and "journal" in told and ticks.cursor == ""
    monkeypatch.setenv("SLUICE_CREATE_TOPICS", "true")
    assert "first consumption by billing" in ticks.tick() and len(ticks.recorded()) == 1


def test_an_installation_without_declared_consumers_has_no_sensor(world: World) -> None:
    assert build_consumption_sensors([world.event]) == []


def test_every_record_names_the_sensor_and_the_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(world, monkeypatch)
    world.deliver(ROWS)
    consume(world, "billing", 1)
    ticks.tick()
    found = Journal(world.settings()).read([world.topic])[world.topic].records
    (one,) = [record for record in found if record.kind == "first_consumption"]
    assert isinstance(one, JournalRecord)
    assert (one.by, one.event, one.topic) == ("sensor first_consumption", "tests/happened", world.topic)
