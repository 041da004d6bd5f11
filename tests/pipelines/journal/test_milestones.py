"""Milestones of a publication: written beside it, and never a problem for it.
Also what the journal requires of its topic."""

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from pipelines.journal.decisions import NotRecorded, record_decision
from pipelines.journal.entry import JournalRecord, journal_record
from pipelines.journal.journal import Journal
from pipelines.journal.kinds import Checked, Registered, Waived
from pipelines.journal.milestones import milestones_at_end, passed_check
from resources.kafka.topics.journal_topic import JournalTopic, journal_topic
from resources.kafka.topics.ledger_topic import ledger_partition
from tests.pipelines.publishing.conftest import World

ROWS = [("a", 1, 1), ("b", 2, 2)]


def kinds(world: World) -> list[str]:
    return [one.kind for one in Journal(world.settings()).read([world.topic])[world.topic].records]


def compacted_journal(world: World) -> None:
    """A topic with the journal's name that would lose records."""
    settings = world.settings()
    name = journal_topic(settings)
    wanted = NewTopic(name, settings.ledger_partitions, 1, config={"cleanup.policy": "compact"})
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    admin.create_topics([wanted])[name].result()


def test_a_contract_that_publishing_registers_is_recorded_once(embedded_world: World) -> None:
    world = embedded_world
    world.deliver(ROWS, requested_by="schedule daily")
    world.deliver([*ROWS, ("c", 3, 3)])
    (one,) = Journal(world.settings()).read([world.topic])[world.topic].records
    details = one.details
    assert isinstance(details, Registered)
    assert (details.subject, details.during) == (f"{world.topic}-value", "publish")
    assert details.schema_id > 0 and details.contract == world.event.contract.fingerprint
    assert (one.by, one.event) == ("schedule daily", "tests/happened")
    assert not [told for told in world.said if "journal" in told]


def test_a_journal_that_cannot_be_written_stops_no_publication(embedded_world: World) -> None:
    world = embedded_world
    compacted_journal(world)
    assert world.deliver(ROWS).published == 2
    (told,) = [text for text in world.said if "journal" in text]
    assert "1 record was not written (registered" in told and "cleanup.policy=compact" in told
    assert len(world.seen()) == 2


def test_a_journal_that_does_not_answer_delays_no_publication(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, answered = embedded_world, threading.Event()
    monkeypatch.setattr("pipelines.journal.milestones._LAST_SECONDS", 0.05)
    monkeypatch.setattr(Journal, "write", lambda *_: answered.wait(60))
    try:
        assert world.deliver(ROWS).published == 2
        (told,) = [text for text in world.said if "journal" in text]
        assert "Kafka has not answered" in told
    finally:
        answered.set()


def test_a_defect_of_the_journal_stops_no_publication(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(Journal, "write", write)
    assert embedded_world.deliver(ROWS).published == 2
    assert any("RuntimeError: odd" in text for text in embedded_world.said)


def test_a_check_is_recorded_once_for_each_version(embedded_world: World) -> None:
    world, said, written = embedded_world, list[str](), list[int]()
    for number, event in enumerate(
        (world.event, world.event, world.define("return rows.head(1)"), world.event)
    ):
        with milestones_at_end(
            world.settings(), warn=said.append, writing=partial(written.append, number)
        ) as milestones:
            milestones.append(passed_check(event, by="me"))
    assert written == [0, 2]
    entries = list(JournalTopic(world.settings()).read([world.topic]))
    assert len(entries) == 2 == len(set(kinds_and_versions(world))) and not said


def kinds_and_versions(world: World) -> list[str]:
    records = Journal(world.settings()).read([world.topic])[world.topic].records
    return [one.details.code_version for one in records if isinstance(one.details, Checked)]


def test_what_was_done_before_a_failure_is_recorded_and_a_journal_s_failure_is_a_warning(
    embedded_world: World,
) -> None:
    world, said = embedded_world, list[str]()
    with (
        pytest.raises(RuntimeError, match="stopped"),
        milestones_at_end(world.settings(), warn=said.append) as milestones,
    ):
        milestones.append(passed_check(world.event, by="me"))
        raise RuntimeError("stopped")
    assert kinds(world) == ["checked"] and not said
    other = world.settings(ledger_topic=f"{world.name}.other", create_topics=False)
    with milestones_at_end(other, warn=said.append) as milestones:
        milestones.append(passed_check(world.event, by="me"))
    assert len(said) == 1 and "kafka-topics.sh" in said[0]


def test_a_decision_without_its_record_is_refused(embedded_world: World) -> None:
    world = embedded_world
    compacted_journal(world)
    waived = journal_record(world.topic, Waived("names"), event="e", by="me", reason="old name")
    with pytest.raises(NotRecorded, match="nothing was changed") as error:
        record_decision(world.settings(), [waived])
    assert "kafka-configs.sh" in (error.value.next_step or "")


def test_repetitions_are_dropped_and_what_is_damaged_is_counted(embedded_world: World) -> None:
    world = embedded_world
    settings, journal = world.settings(), Journal(world.settings())
    one = journal_record(world.topic, Checked("a" * 16, "b" * 64), event="e", by="me")
    two = journal_record(world.topic, Checked("c" * 16, "b" * 64), event="e", by="me")
    journal.write([one, two, one])
    journal.write([one])
    odd = Producer({"bootstrap.servers": world.bootstrap})
    for value in (b"odd", b"\xff", None):
        partition = ledger_partition(world.topic, settings.ledger_partitions)
        odd.produce(journal_topic(settings), value, world.topic.encode(), partition=partition)
    odd.flush(30)
    found = journal.read([world.topic, "nothing.v1"])
    assert found[world.topic].records == [one, two] and found["nothing.v1"].records == []
    assert found[world.topic].damaged == 3 == len(found[world.topic].errors)
    assert "offset 4" in str(found[world.topic].errors[0])
    assert journal.write_missing([one, two]) == 0
    assert journal.topics_where(lambda record: record.event == "e") == {world.topic}


@pytest.mark.parametrize(("limit", "value"), [("_MOST_RECORDS", 3), ("_MOST_BYTES", 900)])
def test_the_newest_of_many_records_are_kept(
    limit: str, value: int, embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = embedded_world
    monkeypatch.setattr(f"pipelines.journal.journal.{limit}", value)
    made: Sequence[JournalRecord] = [
        journal_record(world.topic, Checked(f"{n:016x}", "b" * 64), event="e", by="me") for n in range(10)
    ]
    Journal(world.settings()).write(made)
    found: Any = Journal(world.settings()).read([world.topic])[world.topic]
    assert 0 < len(found.records) <= 3 and found.records == made[-len(found.records) :]
    assert found.left_out == 10 - len(found.records)
