"""The rules, with facts made by hand:
each test changes one fact, and one finding reports it with its figure."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import avro.schema
import pytest

from pipelines.authoring.agreements.topic_settings import TopicSettings
from pipelines.preflight.facts import ContractState, Disk, History, LargestRecord, Moved  # type: ignore[attr-defined]
from pipelines.preflight.finding import Finding, failures_of, refusal
from pipelines.preflight.fitness import judge
from pipelines.preflight.rules.contract import make_compatible
from resources.errors import SluiceError
from resources.kafka.errors import KafkaUnavailable
from resources.kafka.topics.topics import Topic
from resources.registry.compatibility import LEVELS, problems

if TYPE_CHECKING:
    from tests.pipelines.preflight.conftest import Case

LIMITLESS = {"retention.ms": "-1"}


def test_where_all_is_well_nothing_is_said_to_be_wrong(case: "Case") -> None:
    findings = judge(case.facts)
    assert {finding.level for finding in findings} == {"ok"}
    assert {finding.subject for finding in findings} >= {
        "compatibility", "topic", "partitions", "replication", "retention", "timestamps", "cleanup", "record size",
        "ledger", "ledger replicas", "rights", "ledger rights", "transactions", "snapshot room", "temporary room",
    }  # fmt: skip


def _failed(finding: Finding, *told: str) -> None:
    assert finding.level == "failed", finding
    for part in told:
        assert part in finding.told
    assert finding.next_step


def _warned(finding: Finding, *told: str) -> None:
    assert finding.level == "warning", finding
    for part in told:
        assert part in finding.told
    assert finding.next_step


# The topic


def test_a_missing_topic_fails_unless_publishing_may_create_it(case: "Case") -> None:
    gone = case.topic(presence="missing", topic=None)
    finding = gone.finding("topic")
    _failed(finding, "does not exist")
    assert "--create --topic flights.flight-departed.v1 --partitions 3" in (finding.next_step or "")
    assert gone.settings(create_topics=True).finding("topic").level == "ok"
    assert "with 3 partitions" in gone.settings(create_topics=True).finding("topic").told


def test_a_topic_that_would_be_created_is_judged_by_the_brokers_defaults(case: "Case") -> None:
    made = case.topic(presence="missing").settings(create_topics=True).event(record_timestamp="event_time")
    _failed(made.finding("retention"), "168 h")
    assert made.findings("partitions") == []
    unseen = case.topic(presence="missing", topic=Topic(case.facts.topic, 3, 1, {})).settings(
        create_topics=True
    )
    assert unseen.findings("retention") == [], "nothing hangs on it"
    unknown = unseen.event(record_timestamp="event_time").finding("retention")
    assert unknown.level == "unknown" and "--config retention.ms=-1" in (unknown.next_step or "")


def test_keys_that_would_move_are_told_with_both_places(case: "Case") -> None:
    moved = Moved("2013-01-31", frozenset({0, 1, 2}), frozenset(range(6)))
    grown = case.of(history=History(newest="2013-01-31", moved=moved)).finding("partitions")
    _warned(grown, "6; window 2013-01-31 went to partitions 0-2", "to partitions 0-5 now")
    shrunk = Moved("2013-01-31", frozenset({0, 7}), frozenset(range(6)))
    _warned(case.of(history=History(moved=shrunk)).finding("partitions"), "partitions 0, 7", "made anew")


# Replication


def test_one_replica_on_several_brokers_is_warned_of_and_on_one_broker_is_not(case: "Case") -> None:
    alone = case.topic(replicas=1, in_sync=(1,) * 6, config={"min.insync.replicas": "1"})
    _warned(alone.finding("replication"), "1 replica on 3 brokers", "lost")
    assert alone.cluster(brokers=1).finding("replication").level == "ok"


def test_acks_that_can_be_met_by_the_leader_alone_are_warned_of(case: "Case") -> None:
    weak = case.topic(config={"min.insync.replicas": "1"}).finding("replication")
    _warned(weak, "min.insync.replicas 1")
    assert "min.insync.replicas=2" in (weak.next_step or "")


def test_more_in_sync_replicas_wanted_than_there_are_is_warned_of(case: "Case") -> None:
    odd = case.topic(config={"min.insync.replicas": "4"}).finding("replication")
    _warned(odd, "min.insync.replicas 4, more than there are replicas", "counts it as 3")


@pytest.mark.parametrize(
    ("in_sync", "level", "told"),
    [
        ((3, 3, 2, 3, 3, 3), "warning", "1 of 6 partitions have only 2 in sync"),
        ((1, 1, 3, 3, 3, 3), "failed", "2 of 6 partitions have 1 in sync and need 2"),
    ],
)
def test_replicas_behind_are_counted(case: "Case", in_sync: tuple[int, ...], level: str, told: str) -> None:
    finding = case.topic(in_sync=in_sync).finding("replication")
    assert finding.level == level and told in finding.told


def test_a_partition_without_a_leader_fails(case: "Case") -> None:
    _failed(case.topic(leaderless=2).finding("replication"), "2 of 6 partitions have no leader")


def test_an_election_that_may_lose_records_is_warned_of(case: "Case") -> None:
    risky = case.topic(config={"unclean.leader.election.enable": "true"}).findings("replication")
    assert [finding.level for finding in risky] == ["ok", "warning"]


# Retention and timestamps


def test_event_times_older_than_the_retention_fail_with_the_windows_that_fit(case: "Case") -> None:
    """On 1 March, 45 days reach back to 15 January."""
    old = case.event(record_timestamp="event_time").topic(config={"retention.ms": str(45 * 86_400_000)})
    finding = old.finding("retention")
    _failed(finding, "after 45 days", "up to 59 days ago", "14 of 31 windows would be deleted at once")
    assert "publish from 2013-01-15 on" in (finding.next_step or "")
    newer = old.of(windows=old.facts.event.windows.parse("2013-01-15..2013-02-27"))
    assert newer.finding("retention").level == "ok"


@pytest.mark.parametrize(
    "config",
    [
        LIMITLESS,
        {"cleanup.policy": "compact"},
        # In that case the records get the publish time, whatever timestamp they had.
        {"message.timestamp.type": "LogAppendTime"},
    ],
    ids=str,
)
def test_event_times_are_safe_where_nothing_is_deleted_by_them(case: "Case", config: dict[str, str]) -> None:
    assert case.event(record_timestamp="event_time").topic(config=config).finding("retention").level == "ok"


def test_publish_times_are_not_held_against_the_retention(case: "Case") -> None:
    assert case.finding("retention").told == "records are kept 168 h from when they are published"


def test_a_size_limit_is_held_against_what_windows_took_before(case: "Case") -> None:
    limited = case.topic(config={"retention.bytes": "1000000"})
    assert limited.finding("size limit").level == "ok"
    history = History(bytes_per_window=250_000.0)
    _warned(
        limited.of(history=history).finding("size limit"),
        "6.0 MB in all",
        "31 windows of 250 kB come to 7.8 MB",
    )
    assert limited.of(history=replace(history, bytes_per_window=1000.0)).finding("size limit").level == "ok"


def test_brokers_that_write_their_own_time_are_warned_of_only_where_it_matters(case: "Case") -> None:
    appending = case.topic(config={"message.timestamp.type": "LogAppendTime"})
    assert appending.finding("timestamps").level == "ok"
    _warned(appending.event(record_timestamp="event_time").finding("timestamps"), "LogAppendTime")


@pytest.mark.parametrize("name", ["message.timestamp.before.max.ms", "message.timestamp.difference.max.ms"])
def test_timestamps_that_the_brokers_refuse_fail_with_both_figures(case: "Case", name: str) -> None:
    refusing = case.event(record_timestamp="event_time").topic(config={**LIMITLESS, name: "86400000"})
    _failed(refusing.finding("timestamps"), f"{name}=86400000", "more than 24 h older", "59 days older")
    assert refusing.event(record_timestamp="publish_time").finding("timestamps").level == "ok"


def test_timestamps_in_the_future_fail_too(case: "Case") -> None:
    early = (
        case.event(record_timestamp="event_time")
        .topic(config=LIMITLESS)
        .of(now=case.facts.windows[-1].end - timedelta(hours=3))
    )
    _failed(early.finding("timestamps"), "message.timestamp.after.max.ms=3600000", "3 h later")


# Cleanup and keys


def test_compaction_of_events_that_are_no_state_says_what_consumers_lose(case: "Case") -> None:
    for policy in ("compact", "compact,delete"):
        finding = case.topic(config={"cleanup.policy": policy}).finding("cleanup")
        _warned(finding, f"cleanup.policy={policy}", "only the newest is kept", "keys are never null")


def test_tombstones_want_a_compacted_topic(case: "Case") -> None:
    state = case.event(tombstones=True)
    _warned(state.finding("cleanup"), "cleanup.policy=delete", "tombstones")
    compacted = state.topic(config={"cleanup.policy": "compact"}).finding("cleanup")
    assert compacted.level == "ok" and "tombstones kept 24 h" in compacted.told


def test_the_average_before_compression_is_not_held_against_the_limit_after_it(case: "Case") -> None:
    large = case.topic(config={"max.message.bytes": "2000"})
    assert "2,000" in large.finding("record size").told
    # What was published is small enough after compression;
    # before compression only the client's limit applies.
    published = large.of(history=History(bytes_per_record=5000.0)).finding("record size")
    assert published.level == "ok" and "5,000 on average before compression" in published.told
    beyond = large.of(history=History(bytes_per_record=40e6)).finding("record size")
    _warned(beyond, "the client takes at most 33,554,432")
    plain = replace(case.facts.settings, kafka={**case.facts.settings.kafka, "compression.type": "none"})
    followed = large.of(settings=plain, history=History(bytes_per_record=5000.0)).finding("record size")
    _warned(followed, "the client takes at most 2,000")
    assert "--alter" in (followed.next_step or ""), "the client's limit follows the topic's"


def test_a_record_of_the_few_rows_is_held_against_the_limit(case: "Case") -> None:
    large = case.topic(config={"max.message.bytes": "2000"})
    incompressible = large.of(largest=LargestRecord("2013-01-01", 5000, 4000)).finding("record size")
    _failed(incompressible, "5,000 bytes", "4,000 after it")
    assert "--alter" in (incompressible.next_step or "")
    small = large.of(largest=LargestRecord("2013-01-01", 5000, 400)).finding("record size")
    assert small.level == "ok" and "400 after it" in small.told, "the brokers judge what is compressed"
    beyond = large.of(largest=LargestRecord("2013-01-01", 40_000_000, 400)).finding("record size")
    _failed(beyond, "the client takes at most 33,554,432 before compression")
    assert "SLUICE_KAFKA_MESSAGE_MAX_BYTES" in (beyond.next_step or "")


@pytest.mark.parametrize("presence", ["there", "missing"])
def test_without_the_limit_a_record_is_held_against_kafkas_default(case: "Case", presence: str) -> None:
    blind = case.topic(topic=Topic(case.facts.topic, 6, 3, {}), presence=presence)
    finding = blind.of(largest=LargestRecord("2013-01-01", 1_900_000, 1_800_000)).finding("record size")
    _warned(finding, "1,900,000 bytes", "1,048,588")
    command = "--alter" if presence == "there" else "--create"
    assert command in (finding.next_step or "") and "max.message.bytes=3800000" in (finding.next_step or "")
    for smaller in (
        LargestRecord("2013-01-01", 1_000_000, 900_000),
        LargestRecord("2013-01-01", 1_900_000, 9_000),
    ):
        assert not blind.of(largest=smaller).findings("record size")


def test_settings_that_may_not_be_read_are_unknown_and_name_the_right(case: "Case") -> None:
    topic = Topic(case.facts.topic, 6, 3, {})
    blind = case.topic(topic=topic)
    finding = blind.finding("topic settings")
    assert finding.level == "unknown" and "DescribeConfigs" in (finding.next_step or "")
    assert all(
        not blind.findings(subject) for subject in ("retention", "timestamps", "cleanup", "record size")
    )
    assert blind.finding("replication").level == "ok", "replicas need no such right"


# The ledger


def test_a_ledger_of_another_size_fails(case: "Case") -> None:
    wrong = case.topic(ledger=True, partitions=12).finding("ledger")
    _failed(wrong, "12 partitions, and the settings say 16")
    assert "SLUICE_LEDGER_PARTITIONS=12" in (wrong.next_step or "")


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_a_ledger_that_forgets_fails(case: "Case", policy: str) -> None:
    _failed(case.topic(ledger=True, config={"cleanup.policy": policy}).finding("ledger"), "published twice")


def test_a_missing_topic_is_created_as_the_event_declares_it(case: "Case") -> None:
    declared = TopicSettings(partitions=12, retention_ms=1_000, cleanup="compact,delete")
    gone = case.topic(presence="missing", topic=None).event(topic_settings=declared)
    command = gone.finding("topic").next_step
    assert command and "--partitions 12" in command
    assert "--config cleanup.policy=compact,delete --config retention.ms=1000" in command
    made = gone.settings(create_topics=True).finding("topic")
    assert "12 partitions, cleanup.policy=compact,delete, retention.ms=1000" in made.told


def test_a_ledger_that_is_missing_fails_unless_publishing_may_create_it(case: "Case") -> None:
    gone = case.topic(ledger=True, presence="missing", topic=None)
    _failed(gone.finding("ledger"), "does not exist")
    assert gone.settings(create_topics=True).finding("ledger").level == "ok"


def test_a_ledger_that_cannot_be_written_fails(case: "Case") -> None:
    _failed(case.topic(ledger=True, in_sync=(1,) * 16).finding("ledger replicas"), "16 of 16 partitions")


# Rights


def test_rights_that_are_missing_fail_with_the_command(case: "Case") -> None:
    reading = frozenset({"Read", "Describe"})
    finding = case.topic(rights=reading).finding("rights")
    _failed(finding, "lacks Write", "it has: Read")
    assert "kafka-acls.sh" in (finding.next_step or "") and "--operation Write" in (finding.next_step or "")
    _failed(
        case.topic(ledger=True, rights=frozenset({"Describe"})).finding("ledger rights"), "Read and Write"
    )
    _failed(case.cluster(may_read_in_group=False).finding("group"), "sluice-reads-without-a-group")


def test_brokers_that_tell_no_rights_leave_them_unknown(case: "Case") -> None:
    assert case.topic(rights=None).finding("rights").level == "unknown"
    assert case.topic(rights=None).settings(embedded=True).findings("rights") == []


def test_a_transactional_id_is_spoken_of_only_where_acls_are_in_force(case: "Case") -> None:
    assert case.findings("transactional id") == []
    secured = case.cluster(config={"authorizer.class.name": "org.example.Authorizer"})
    assert secured.finding("transactional id").level == "unknown"
    assert "'sluice|'" in (secured.finding("transactional id").next_step or "")
    unseen = case.cluster(config={})
    assert unseen.findings("transactional id") == [], "a login that may do everything"
    assert unseen.topic(rights=frozenset({"Write", "Read"})).finding("transactional id").level == "unknown"


def test_a_transaction_longer_than_the_brokers_allow_fails(case: "Case") -> None:
    short = case.cluster(config={"transaction.max.timeout.ms": "30000"}).finding("transactions")
    _failed(short, "45 s", "more than 30 s")
    assert "SLUICE_KAFKA_TRANSACTION_TIMEOUT_MS=30000" in (short.next_step or "")
    assert case.cluster(config={}).finding("transactions").level == "unknown"


# The contract


def test_an_unregistered_contract_stops_a_run_and_only_warns_in_a_check(case: "Case") -> None:
    new = case.of(contract=ContractState(None, first_of_subject=True))
    _warned(new.finding("compatibility"), "first of its subject")
    _failed(new.of(publishing=True).finding("compatibility"), "not registered")
    assert new.settings(register_contracts=True).of(publishing=True).finding("compatibility").level == "ok"


def test_an_incompatible_contract_fails_with_the_reasons(case: "Case") -> None:
    refused = case.of(contract=ContractState(None, ["field a: no", "field b: no"]))
    _failed(refused.finding("compatibility"), "field a: no; field b: no")


def _unfinished(case: "Case", **changes: object) -> "Case":
    contract = case.facts.event.contract
    asked = [replace(contract.type.fields[0], doc="TODO: what this is."), *contract.type.fields[1:]]
    return case.event(contract=replace(contract, type=replace(contract.type, fields=tuple(asked))), **changes)


def test_a_contract_that_says_todo_stops_a_run_whether_it_is_registered_or_not(case: "Case") -> None:
    assert case.of(publishing=True).findings("TODO") == []
    for state in (ContractState(1), ContractState(None, first_of_subject=True)):
        drafted = _unfinished(case).of(contract=state)
        _warned(drafted.finding("TODO"), "flight_departed.avsc still says TODO of event_id")
        _failed(drafted.of(publishing=True).finding("TODO"), "still says TODO of event_id")
        _failed(drafted.settings(embedded=True).of(publishing=True).finding("TODO"), "event_id")


def test_the_embedded_registry_takes_a_contract_that_says_todo(case: "Case") -> None:
    own = _unfinished(case).settings(embedded_registry_url="http://registry:8081").of(publishing=True)
    _warned(own.finding("TODO"), "event_id")


def test_a_declaration_that_says_todo_stops_nothing(case: "Case") -> None:
    drafted = case.event(description="TODO: what happened.", owner="team:TODO").of(publishing=True)
    _warned(
        drafted.finding("TODO"), "the description and the owner of flights/flight_departed still say TODO"
    )


# The disk


def _history(**more: object) -> History:
    known = History(
        snapshot_bytes=2e9,
        largest_snapshot_bytes=3 * 10**9,
        largest_apart_bytes=3 * 10**9,
        largest_rows=10**6,
    )
    return replace(known, **more)  # type: ignore[arg-type]


def test_room_is_held_against_windows_published_before(case: "Case") -> None:
    """31 windows of 2 GB, one of them in progress: 65 GB."""
    known = case.of(history=_history())
    assert known.of(disk=Disk("/s", 66 * 10**9, "/t", 10**12)).finding("snapshot room").level == "ok"
    _warned(
        known.of(disk=Disk("/s", 64 * 10**9, "/t", 10**12)).finding("snapshot room"),
        "64 GB free at /s", "31 new windows take about 65 GB", "not all",
    )  # fmt: skip
    _failed(known.of(disk=Disk("/s", 10**9, "/t", 10**12)).finding("snapshot room"), "not even the largest")
    half = known.of(history=_history(stored=20), disk=Disk("/s", 64 * 10**9, "/t", 10**12))
    assert half.finding("snapshot room").level == "ok", "what is stored takes no new room"


def test_what_may_or_may_not_be_stored_once_is_an_upper_bound_and_fails_nothing(case: "Case") -> None:
    """31 windows of at most 2 GB, and one in progress of 3 GB as stored and at most 6 GB."""
    known = case.of(history=_history(largest_apart_bytes=6 * 10**9, at_most=True))
    assert known.of(disk=Disk("/s", 69 * 10**9, "/t", 10**12)).finding("snapshot room").level == "ok"
    _warned(
        known.of(disk=Disk("/s", 4 * 10**9, "/t", 10**12)).finding("snapshot room"),
        "31 new windows take up to 68 GB", "not all",
    )  # fmt: skip
    _failed(
        known.of(disk=Disk("/s", 2 * 10**9, "/t", 10**12)).finding("snapshot room"), "not even the largest"
    )


def test_the_temporary_folder_is_held_against_the_largest_window(case: "Case") -> None:
    """Three times 3 GB spilled, and 160 bytes for each of a million rows."""
    known = case.of(history=_history())
    _failed(known.of(disk=Disk("/s", 10**12, "/t", 9 * 10**9)).finding("temporary room"), "about 9.2 GB")
    assert known.of(disk=Disk("/s", 10**12, "/t", 10 * 10**9)).finding("temporary room").level == "ok"
    together = known.of(disk=Disk("/s", 70 * 10**9, "/t", 70 * 10**9, shared=True))
    _warned(together.finding("snapshot room"), "not all")
    assert together.findings("temporary room") == []


def test_without_a_history_little_room_is_warned_of_and_a_url_is_unknown(case: "Case") -> None:
    _warned(case.of(disk=Disk("/s", 10**8, "/t", 10**12)).finding("snapshot room"), "100 MB free")
    away = case.of(disk=Disk("s3://data/snapshots", None, "/t", 10**12))
    assert away.finding("snapshot room").level == "unknown"


# Together


def test_one_thing_that_is_away_leaves_the_others_their_turn(case: "Case") -> None:
    away = case.of(
        cluster=KafkaUnavailable("Kafka kafka-1:9092", "did not answer"),
        disk=Disk("/s", 10**8, "/t", 10**12),
        contract=SluiceError("registry", "said no"),
    )
    levels = {finding.subject: finding.level for finding in judge(away.facts)}
    assert levels == {
        "compatibility": "failed", "Kafka": "failed", "snapshot room": "warning", "temporary room": "ok",
    }  # fmt: skip


def test_a_refusal_tells_everything_that_failed_each_with_its_next_step(case: "Case") -> None:
    twice = case.topic(leaderless=1, rights=frozenset({"Read"}))
    error = refusal("flights/flight_departed on t", judge(twice.facts))
    assert "2 things must hold before the first byte" in str(error)
    assert "replication: " in str(error) and "no leader" in str(error)
    assert "rights: this login lacks Write" in str(error) and str(error).count("next: ") == 2
    again = failures_of("preflight", error)
    assert [finding.next_step is not None for finding in again] == [True, True]
    only = refusal("flights/flight_departed on t", judge(case.topic(leaderless=1).facts))
    assert str(only).startswith("flights/flight_departed on t: replication: ")


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        (
            "the new schema cannot read data of version 1 (level BACKWARD): field 'b': it is missing from the data and has no default",
            "give the new field a default",
        ),
        (
            "version 1 cannot read data of the new schema (level FORWARD): field 'b': it is missing from the data and has no default",
            "keep the field",
        ),
        (
            "the new schema cannot read data of version 1 (level FULL): field 'b': int cannot hold long",
            "keep the field's type",
        ),
        (
            "the new schema cannot read data of version 1 (level FULL): field 'e': enum E has no default and lacks X",
            "keep the enum's symbols",
        ),
        (
            "version 1 cannot read data of the new schema (level FULL): field 'e': enum E has no default and lacks X",
            "add no symbol to the enum",
        ),
    ],
)
def test_what_to_do_about_an_incompatible_contract_is_what_its_reasons_ask_for(
    reason: str, step: str
) -> None:
    told = make_compatible([reason, reason])
    assert told == f"{step}; or publish a new version of the topic (….v2)"


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        # As Confluent's registry words them.
        ("{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'x' at path '/fields/3' in the new schema has no default value and is missing in the old schema'}", "give the new field a default"),
        ("{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'x' at path '/fields/3' in the old schema has no default value and is missing in the new schema'}", "keep the field"),
        ("{errorType:'TYPE_MISMATCH', description:'The type (path '/fields/2/type') of a field in the new schema does not match with the old schema'}", "keep the field's type"),
        ("{errorType:'MISSING_ENUM_SYMBOLS', description:'The new schema is missing enum symbols '[B]' at path '/fields/1/type/symbols' in the old schema'}", "keep the enum's symbols"),
        ("{errorType:'MISSING_ENUM_SYMBOLS', description:'The old schema is missing enum symbols '[C]' at path '/fields/1/type/symbols' in the new schema'}", "add no symbol to the enum"),
        ("{errorType:'MISSING_UNION_BRANCH', description:'The new schema is missing a type inside a union field at path '/fields/4/type/1' in the old schema'}", "keep the field's type"),
        # A field whose name looks like another kind of change.
        ("the new schema cannot read data of version 1 (level BACKWARD): field 'enum_x': it is missing from the data and has no default", "give the new field a default"),
        ("version 1 cannot read data of the new schema (level FORWARD): record 'a.B' became 'a.C' without an alias", "keep the type's name"),
        ("READER_FIELD_MISSING", "take back what the reasons name"),
    ],
)  # fmt: skip
def test_reasons_of_other_registries_and_odd_names_have_their_step(reason: str, step: str) -> None:
    assert (
        make_compatible([reason, "a note of the level"])
        == f"{step}; or publish a new version of the topic (….v2)"
    )


_RECORD: dict[str, Any] = {"type": "record", "name": "R", "namespace": "n"}
_BASE = [
    {"name": "a", "type": "int"},
    {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"]}},
]
# What is changed, the fields before and after, and what makes the change compatible if readers of the new
# schema, or of the old one, must read the other's data; None: they can read it.
_CHANGES: dict[str, tuple[list[Any], list[Any], str | None, str | None]] = {
    "a field more": (_BASE, [*_BASE, {"name": "b", "type": "int"}], "give the new field a default", None),
    "a field more with a default": (_BASE, [*_BASE, {"name": "b", "type": "int", "default": 1}], None, None),
    "a field less": ([*_BASE, {"name": "b", "type": "int"}], _BASE, None, "keep the field"),
    "a wider type": (_BASE, [{"name": "a", "type": "long"}, _BASE[1]], None, "keep the field's type"),
    "a narrower type": ([{"name": "a", "type": "long"}, _BASE[1]], _BASE, "keep the field's type", None),
    "null allowed": (_BASE, [{"name": "a", "type": ["null", "int"]}, _BASE[1]], None, "keep the field's type"),
    "a symbol more": (_BASE, [_BASE[0], {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y", "Z"]}}], None, "add no symbol to the enum"),
    "a symbol less": (_BASE, [_BASE[0], {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X"]}}], "keep the enum's symbols", None),
}  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", _CHANGES)
def test_only_what_the_level_demands_is_asked_for(level: str, name: str) -> None:
    before, after, backward, forward = _CHANGES[name]
    old, new = (avro.schema.parse(json.dumps({**_RECORD, "fields": fields})) for fields in (before, after))
    demanded = [
        step
        for step, levels in ((backward, ("BACKWARD", "FULL")), (forward, ("FORWARD", "FULL")))
        if step and level.startswith(levels)
    ]
    reasons = problems(level, new, old, "version 1")
    assert bool(reasons) == bool(demanded)
    assert all(f"(level {level})" in reason for reason in reasons)
    if demanded:
        assert (
            make_compatible(reasons) == f"{'; '.join(demanded)}; or publish a new version of the topic (….v2)"
        )
