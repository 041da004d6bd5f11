"""The preflight on a real Apache Kafka: the broker then does what the preflight says."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from pipelines.authoring.agreements.topic_settings import TopicSettings
from pipelines.authoring.windows import Window
from pipelines.preflight.amounts import size
from pipelines.preflight.finding import Finding, PreflightFailed
from pipelines.preflight.fitness import preflight, require_fit
from pipelines.preflight.provisioning import fit_topic, registered_schema_id
from resources.errors import TransientError
from resources.kafka.factory import admin
from resources.kafka.topics.cluster import describe
from resources.kafka.topics.topics import describe_topic
from resources.registry.errors import RegistryUnavailable
from tests.hearing import into
from tests.pipelines.preflight.topics import create_topic, until
from tests.pipelines.publishing.conftest import WINDOW, World

pytestmark = pytest.mark.kafka

ROWS = [(f"k{i}", i % 1000, i) for i in range(200)]
DAY_MS = 86_400_000


def _found(world: World, windows: str = WINDOW, **settings: Any) -> dict[str, Finding]:
    found = preflight(world.event, world.platform(**settings), _windows(world, windows))
    return {finding.subject: finding for finding in found}


def _windows(world: World, text: str) -> Sequence[Window]:
    return world.event.windows.parse(text)


def _require(world: World, said: list[str] | None = None, windows: str = WINDOW, **settings: Any) -> Any:
    tell = into(said if said is not None else [])
    return require_fit(world.event, world.platform(**settings), _windows(world, windows), tell=tell)


def test_a_preflight_creates_and_registers_nothing(world: World) -> None:
    found = _found(world)
    assert {finding.level for finding in found.values()} <= {"ok", "unknown"}, found
    assert "publishing creates it with 3 partitions" in found["topic"].told
    assert "publishing registers it" in found["compatibility"].told
    settings = world.settings()
    assert describe_topic(settings, world.topic) is None
    assert describe_topic(settings, settings.ledger_topic) is None
    assert world.platform().registry.latest(f"{world.topic}-value") is None


def test_everything_that_is_wrong_is_told_at_once(world: World) -> None:
    with pytest.raises(PreflightFailed) as caught:
        _require(world, create_topics=False, register_contracts=False)
    told = str(caught.value)
    assert "3 things must hold" in told
    for part in (
        f"--create --topic {world.topic}",
        f"--create --topic {world.name}.ledger",
        "sluice register tests/",
    ):
        assert part in told


def test_a_fit_topic_is_handed_over_and_not_described_again(world: World) -> None:
    create_topic(world, max_message_bytes="123456")
    registered = registered_schema_id(world.event, world.platform())
    fit = _require(world)
    assert fit.topic is not None and fit.topic.max_message_bytes == 123456
    assert fit.schema_id == registered
    assert fit_topic(world.event, world.platform(), known=fit.topic) is fit.topic


def test_a_topic_that_would_delete_event_times_is_refused_and_one_that_keeps_them_holds_them(
    world: World,
) -> None:
    world.define(more='record_timestamp="event_time",')
    create_topic(world, retention_ms=str(7 * DAY_MS))
    with pytest.raises(PreflightFailed, match=r"after 168 h .*would be deleted at once.*retention\.ms=-1"):
        _require(world)
    world.define(topic=f"{world.name}.kept.v1", more='record_timestamp="event_time",')
    create_topic(world, retention_ms="-1")
    assert _require(world).topic is not None
    world.deliver(ROWS)
    assert world.counted() == Counter(ROWS)


def test_the_default_retention_of_a_topic_to_be_created_is_known_beforehand(world: World) -> None:
    world.define(more='record_timestamp="event_time",')
    assert _found(world)["retention"].level == "failed"
    fit_topic(world.event, world.platform())  # and returns when the topic exists
    assert _found(world)["retention"].level == "failed", "and so it is once the topic is there"


def test_timestamps_that_the_topic_refuses_are_known_beforehand(world: World) -> None:
    world.define(more='record_timestamp="event_time",')
    create_topic(world, retention_ms="-1", message_timestamp_before_max_ms=str(DAY_MS))
    finding = _found(world)["timestamps"]
    assert finding.level == "failed" and f"message.timestamp.before.max.ms={DAY_MS}" in finding.told
    assert _refused(world, datetime.now(UTC) - timedelta(days=2)) == "INVALID_TIMESTAMP"
    assert _refused(world, datetime.now(UTC)) is None


def _refused(world: World, stamp: datetime) -> str | None:
    """The broker's error for one record with this timestamp; None if it accepts it."""
    failed: list[str] = []
    producer = Producer({"bootstrap.servers": world.bootstrap, "acks": "all"})
    producer.produce(
        world.topic,
        b"x",
        b"k",
        timestamp=int(stamp.timestamp() * 1000),
        on_delivery=lambda error, _: failed.append(error.name()) if error else None,
    )
    producer.flush(30)
    return failed[0] if failed else None


def test_brokers_that_stamp_records_themselves_are_warned_of_and_do_so(world: World) -> None:
    world.define(more='record_timestamp="event_time",')
    create_topic(world, message_timestamp_type="LogAppendTime")
    said: list[str] = []
    _require(world, said)
    assert [text for text in said if "LogAppendTime" in text]
    world.deliver(ROWS)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert all(record.timestamp_ms > an_hour_ago.timestamp() * 1000 for record in world.seen())


def test_a_compacted_topic_for_events_that_are_no_state_is_warned_of(world: World) -> None:
    create_topic(world, cleanup_policy="compact")
    said: list[str] = []
    _require(world, said)
    assert [text for text in said if "only the newest is kept" in text and "cleanup.policy=delete" in text]
    world.define(more="tombstones=True,")
    assert _found(world)["cleanup"].level == "ok"


def test_a_topic_is_created_as_its_event_declares_it(world: World) -> None:
    settings = TopicSettings(partitions=5, retention_ms=3_600_000, max_message_bytes=2_000)
    world.event = replace(world.event, topic_settings=settings)
    assert "records are kept 60 min" in _found(world)["retention"].told
    made = fit_topic(world.event, world.platform())
    assert (made.partitions, made.retention_ms, made.max_message_bytes) == (5, 3_600_000, 2_000)


def test_more_replicas_wanted_in_sync_than_there_are_is_warned_of_and_this_broker_takes_it(
    world: World,
) -> None:
    """Apache Kafka 4.3 limits min.insync.replicas to the number of replicas: the warning says so."""
    create_topic(world, min_insync_replicas="2")
    finding = _found(world)["replication"]
    assert finding.level == "warning" and "counts it as 1" in finding.told
    assert _refused(world, datetime.now(UTC)) is None


def test_partitions_added_after_a_publication_are_told_with_the_window(world: World) -> None:
    create_topic(world, 1)
    world.deliver(ROWS)
    assert f"keys go where those of window {WINDOW} went" in _found(world, "2013-01-02")["partitions"].told
    client = AdminClient({"bootstrap.servers": world.bootstrap})
    for done in client.create_partitions([NewPartitions(world.topic, 6)]).values():
        done.result()
    until(lambda: (found := describe_topic(world.settings(), world.topic)) and found.partitions == 6)
    for windows in (WINDOW, "2013-01-02"):
        finding = _found(world, windows)["partitions"]
        assert finding.level == "warning"
        assert f"6; window {WINDOW} went to partition 0" in finding.told


def test_a_topic_made_anew_with_fewer_partitions_is_told(world: World) -> None:
    create_topic(world, 6)
    world.deliver(ROWS)
    client = AdminClient({"bootstrap.servers": world.bootstrap})
    client.delete_topics([world.topic])[world.topic].result()
    until(lambda: describe_topic(world.settings(), world.topic) is None)
    create_topic(world, 2)
    finding = _found(world)["partitions"]
    assert finding.level == "warning" and "made anew with fewer" in finding.told
    assert f"sluice verify tests/happened {WINDOW}" in (finding.next_step or "")


def test_a_ledger_that_is_wrong_fails_before_it_is_opened(world: World) -> None:
    client = AdminClient({"bootstrap.servers": world.bootstrap})
    name = world.settings().ledger_topic
    client.create_topics([NewTopic(name, 5, 1, config={"cleanup.policy": "delete"})])[name].result()
    until(lambda: describe_topic(world.settings(), name))
    assert "5 partitions, and the settings say 2" in _found(world)["ledger"].told
    finding = _found(world, ledger_partitions=5)["ledger"]
    assert finding.level == "failed" and "cleanup.policy=delete" in finding.told
    with pytest.raises(PreflightFailed, match=r"ledger: .*published twice"):
        _require(world, ledger_partitions=5)


def test_a_full_disk_stops_a_run_before_its_first_byte(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.deliver(ROWS)
    assert _found(world)["snapshot room"].level == "ok"
    usage = shutil.disk_usage(world.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(PreflightFailed, match=r"100 B free at .*not even the largest window fits"):
        _require(world)


def test_the_room_is_estimated_from_the_windows_before(world: World) -> None:
    world.deliver(ROWS)
    platform = world.platform()
    stored = [
        platform.snapshots.current("tests/happened", WINDOW, stage) for stage in ("sourced", "transformed")
    ]
    sourced, transformed = (snapshot.bytes for snapshot in stored if snapshot)
    assert sourced == transformed, "the rows that nobody touched are stored once"
    told = _found(world, "2013-01-02..2013-01-11")["snapshot room"].told
    assert f"10 new windows take about {size(11 * sourced)}" in told
    assert f"storing a window anew takes about {size(sourced)}" in _found(world)["snapshot room"].told
    # Whether the next version changes them is not known before it has run.
    world.define("return rows[rows['amount'] > 0]")
    told = _found(world, "2013-01-02..2013-01-11")["snapshot room"].told
    assert f"10 new windows take up to {size(22 * sourced)}" in told
    world.deliver([*ROWS, ("dropped", 1, 0)])
    stored = [
        platform.snapshots.current("tests/happened", WINDOW, stage) for stage in ("sourced", "transformed")
    ]
    both = sum(snapshot.bytes for snapshot in stored if snapshot)
    assert f"storing a window anew takes about {size(both)}" in _found(world)["snapshot room"].told


def test_a_size_limit_is_held_against_the_ledgers_figures(world: World) -> None:
    create_topic(world, retention_bytes="1000")
    assert "no window is published yet" in _found(world)["size limit"].told
    world.deliver(ROWS)
    finding = _found(world, "2013-01-02..2013-01-11")["size limit"]
    assert finding.level == "warning" and "10 windows of" in finding.told


def test_brokers_that_are_away_are_a_passing_fault_for_a_run_and_a_finding_for_a_check(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.kafka.topics.cluster._SECONDS", 1)
    away = {"kafka": {"bootstrap.servers": "127.0.0.1:1"}}
    found = _found(world, **away)  # type: ignore[arg-type]
    assert found["Kafka"].level == "failed"
    assert {"compatibility", "snapshot room"} <= set(found), "the rest is looked at all the same"
    with pytest.raises(TransientError, match="did not answer"):
        _require(world, **away)  # type: ignore[arg-type]


def test_a_registry_that_is_away_hides_nothing_else(world: World) -> None:
    world.environ |= {"SLUICE_REGISTRY_URL": "http://127.0.0.1:1", "SLUICE_REGISTRY_MAX_RETRIES": "0"}
    found = _found(world)
    assert found["compatibility"].level == "failed"
    assert {"topic", "ledger", "snapshot room"} <= set(found)
    with pytest.raises(RegistryUnavailable):
        _require(world)


def test_another_topic_can_be_asked_about(world: World) -> None:
    shadow = f"{world.name}.shadow.v1"
    found = preflight(world.event, world.platform(create_topics=False), _windows(world, WINDOW), topic=shadow)
    assert f"--create --topic {shadow}" in str(next(f.next_step for f in found if f.subject == "topic"))


def test_a_broker_without_acls_is_told_from_one_with(world: World) -> None:
    cluster = describe(world.settings(), [world.topic], client=admin(world.settings()))
    assert cluster.authorizer is False
    assert cluster.brokers == 1 and cluster.may_read_in_group is True
