"""Checks that the topic is fit for the event: it exists, is replicated, and keeps what is published."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from pipelines.authoring.event import Event
from pipelines.preflight.amounts import duration, size
from pipelines.preflight.facts import Facts
from pipelines.preflight.finding import Finding
from pipelines.preflight.largest_record import LargestRecord
from resources.kafka.record_sizes import largest_record
from resources.kafka.topics.cluster import ClusterState, TopicState
from resources.kafka.topics.topics import alter_command, create_command
from resources.settings import Settings, variable
from resources.wording import counted, noun

# The limit of brokers and topics that set no other (Kafka, "message.max.bytes").
_KAFKAS_LIMIT = 1_048_588
_CONFIG_RIGHT = "grant DescribeConfigs on the topic to this login (docs/operating.md#rights)"


def topic_findings(facts: Facts) -> Iterator[Finding]:
    """Every finding about the event's topic, except the rights to it."""
    state = facts.target
    yield _presence(facts)
    yield from _remade(facts)
    if state.topic is None:
        return
    if state.presence == "there":
        yield _partitions(facts)
        yield from replication(facts.settings, facts.kafka, state, "replication")
    if not state.config:
        yield from _unread_limit(facts)
        if state.presence == "there":
            yield Finding(
                "topic settings",
                "unknown",
                "this login may not read them, so retention, timestamps, cleanup and record size are not judged",
                _CONFIG_RIGHT,
            )
        elif facts.event.record_timestamp == "event_time":
            yield Finding(
                "retention",
                "unknown",
                "the brokers' default for a new topic may not be read, and this event stamps records with event times",
                create_command(
                    facts.settings,
                    facts.topic,
                    topic_partitions(facts.event, facts.settings),
                    {**topic_config(facts.event), "retention.ms": "-1"},
                ),
            )
        return
    yield from _retention(facts)
    yield from _timestamps(facts)
    yield from _cleanup(facts)
    yield _record_size(facts)


def _remade(facts: Facts) -> Iterator[Finding]:
    """Whether windows were published to an earlier topic of this name that was deleted since."""
    lost = [one for one in facts.history.records if one.remade is not None]
    if lost:
        name, first, last = facts.event.full_name, lost[0].window, lost[-1].window
        which = f"window {first}" if len(lost) == 1 else f"{counted(len(lost), 'window')}, {first} to {last},"
        span = first if first == last else f"{first}..{last}"
        verb = "was" if len(lost) == 1 else "were"
        yield Finding(
            "topic",
            "warning" if facts.replays_whole else "failed",
            f"{facts.topic} was deleted and made again, or its log was cut, since {which} {verb} published: "
            f"{lost[-1].remade}",
            f'sluice replay {name} {span} --reason "the topic was made again" publishes them again, from their stored '
            "snapshots (docs/operating.md#ledger)",
            relaunch=False,
        )
        return
    around = next((one for one in facts.history.around if one.remade is not None), None)
    if around is not None:
        yield Finding(
            "topic",
            "warning",
            f"{facts.topic} was deleted and made again, or its log was cut, since window {around.window} was published: "
            f"{around.remade}",
            f"sluice verify {facts.event.full_name} tells which windows are gone",
        )


def topic_config(event: Event) -> dict[str, str]:
    """The settings that Sluice gives a topic that it creates for the event."""
    default = {"cleanup.policy": "compact"} if event.tombstones else {}
    return {**default, **event.topic_settings.config}


def topic_partitions(event: Event, settings: Settings) -> int:
    """How many partitions Sluice gives a topic that it creates for the event."""
    return event.topic_settings.partitions or settings.topic_partitions


def _declared(event: Event) -> str:
    """The settings that the event declares, as the continuation of a sentence."""
    return "".join(f", {name}={value}" for name, value in event.topic_settings.config.items())


def _presence(facts: Facts) -> Finding:
    state, settings = facts.target, facts.settings
    if state.presence == "there":
        return Finding("topic", "ok", f"{facts.topic} is there")
    command = create_command(
        settings, facts.topic, topic_partitions(facts.event, settings), topic_config(facts.event)
    )
    if state.presence == "hidden":
        return Finding(
            "topic",
            "failed",
            f"{facts.topic} is not there, or this login has no right to it; Kafka does not say which",
            f"grant Write on it (docs/operating.md#rights); if it is missing: {command}",
        )
    if settings.create_topics:
        return Finding(
            "topic",
            "ok",
            f"{facts.topic} is not there yet; publishing creates it with "
            f"{counted(topic_partitions(facts.event, settings), 'partition')}{_declared(facts.event)} and the brokers' defaults",
        )
    return Finding(
        "topic",
        "failed",
        f"{facts.topic} does not exist, and the settings do not allow Sluice to create it",
        f"{command} (or set {variable('create_topics')}=true)",
    )


def _partitions(facts: Facts) -> Finding:
    state, history = facts.target, facts.history
    assert state.topic is not None
    count = state.topic.partitions
    if history.moved is not None:
        moved = history.moved
        verb = "made anew with fewer" if max(moved.named) >= count else "changed in number"
        return Finding(
            "partitions",
            "warning",
            f"{count}; window {moved.window} went to {_places(moved.named)}, and the same keys go to {_places(moved.now)} "
            f"now: the topic's partitions were {verb} since, and the new events of a key may be read before its old ones",
            f"`sluice verify {facts.event.full_name} {moved.window}` tells whether its events are still there; let every "
            "consumer read to the end before publishing, or publish to a new version of the topic (….v2)",
        )
    told = f"{count}"
    if history.newest is not None and not any(one.remade for one in (*history.records, *history.around)):
        told += f"; keys go where those of window {history.newest} went"
    return Finding("partitions", "ok", told)


def _places(kafka_partitions: frozenset[int]) -> str:
    shown = sorted(kafka_partitions)
    if len(shown) > 2 and shown == list(range(shown[0], shown[-1] + 1)):
        return f"partitions {shown[0]}-{shown[-1]}"
    return f"{noun(len(shown), 'partition')} {', '.join(map(str, shown))}"


def replication(
    settings: Settings, cluster: ClusterState, state: TopicState, subject: str
) -> Iterator[Finding]:
    """Whether an acknowledged record of this topic survives the loss of a broker,
    and whether a record can be written now."""
    topic = state.topic
    assert topic is not None
    brokers, replicas = cluster.brokers, topic.replicas
    least_in_sync = min(state.in_sync, default=replicas)
    wanted = state.number("min.insync.replicas")
    # Apache Kafka takes the smaller of the two (`Partition.effectiveMinIsr`). Tested on 4.3.1: a topic with
    # one replica and min.insync.replicas=2 acknowledges records.
    needed = min(wanted or 1, replicas)
    told = f"{counted(replicas, 'replica')} on {counted(brokers, 'broker')}"
    if wanted is not None:
        told += f", min.insync.replicas {wanted}"
    if state.leaderless:
        yield Finding(
            subject,
            "failed",
            f"{told}; {state.leaderless} of {counted(topic.partitions, 'partition has', 'partitions have')} no leader, so nothing can be written to them",
            "bring the missing brokers back (kafka-topics.sh --describe --unavailable-partitions)",
        )
    elif least_in_sync < needed:
        short = sum(one < needed for one in state.in_sync)
        yield Finding(
            subject,
            "failed",
            f"{told}; {short} of {counted(topic.partitions, 'partition has', 'partitions have')} {least_in_sync} in sync and need {needed}: acks=all "
            "cannot be met there",
            "bring the missing brokers back (kafka-topics.sh --describe --under-min-isr-partitions)",
        )
    elif least_in_sync < replicas:
        behind = sum(one < replicas for one in state.in_sync)
        yield Finding(
            subject,
            "warning",
            f"{told}; {behind} of {counted(topic.partitions, 'partition has', 'partitions have')} only {least_in_sync} in sync",
            "look for a broker that is down or behind (kafka-topics.sh --describe --under-replicated-partitions)",
        )
    elif replicas == 1 and brokers > 1:
        yield Finding(
            subject,
            "warning",
            f"{told}: what lies on a lost broker is lost",
            f"kafka-reassign-partitions.sh, to {min(3, brokers)} replicas",
        )
    elif wanted is not None and wanted > replicas:
        yield Finding(
            subject,
            "warning",
            f"{told}, more than there are replicas: Apache Kafka 4 counts it as {replicas}, other brokers may refuse "
            "every record",
            alter_command(settings, state.name, {"min.insync.replicas": str(replicas)}),
        )
    elif wanted == 1 and replicas > 2:
        yield Finding(
            subject,
            "warning",
            f"{told}: a record that only the leader has counts as acknowledged, and is lost with it",
            alter_command(settings, state.name, {"min.insync.replicas": "2"}),
        )
    else:
        yield Finding(subject, "ok", told)
    if state.config.get("unclean.leader.election.enable") == "true":
        yield Finding(
            subject,
            "warning",
            "unclean.leader.election.enable=true: a replica that lacks acknowledged records may become leader, and "
            "they are lost",
            alter_command(settings, state.name, {"unclean.leader.election.enable": "false"}),
        )


def keeps_event_time(event: Event, config: Mapping[str, str]) -> bool:
    """Whether records on a topic with these settings carry the event time:
    brokers may replace the timestamps."""
    return event.record_timestamp == "event_time" and config.get("message.timestamp.type") != "LogAppendTime"


def _retention(facts: Facts) -> Iterator[Finding]:
    state = facts.target
    assert state.topic is not None
    if not state.topic.deletes:
        yield Finding("retention", "ok", "no record is deleted for its age (cleanup.policy=compact)")
        return
    kept_ms = state.topic.retention_ms
    if kept_ms is not None:
        yield _age(facts, kept_ms)
    kept_bytes = state.number("retention.bytes")
    if kept_bytes is not None and kept_bytes >= 0:
        yield _room_on_topic(facts, kept_bytes)


def _age(facts: Facts, kept_ms: int) -> Finding:
    if kept_ms < 0:
        return Finding("retention", "ok", "records are kept for ever")
    if not keeps_event_time(facts.event, facts.target.config):
        return Finding(
            "retention", "ok", f"records are kept {duration(kept_ms)} from when they are published"
        )
    # Limited to what a date can hold: retention.ms may have up to 64 bits.
    back = min(timedelta(milliseconds=min(kept_ms, 10**14)), facts.now - datetime.min.replace(tzinfo=UTC))
    oldest_kept = facts.now - back
    gone = [window for window in facts.windows if window.start < oldest_kept]
    if not gone:
        return Finding("retention", "ok", f"records are kept {duration(kept_ms)} from their event time")
    first, age_ms = gone[0], (facts.now - gone[0].start).total_seconds() * 1000
    which = (
        f"window {first.key}"
        if len(facts.windows) == 1
        else f"{len(gone):,} of {counted(len(facts.windows), 'window')}"
    )
    mended = alter_command(facts.settings, facts.topic, {"retention.ms": "-1"})
    rest = facts.windows[len(gone)] if len(gone) < len(facts.windows) else None
    return Finding(
        "retention",
        "failed",
        f"records are deleted after {duration(kept_ms)} by their timestamp, and this event stamps them with the event "
        f"time, up to {duration(age_ms)} ago: {which} would be deleted at once",
        f'{mended}, or declare record_timestamp="publish_time"'
        + (f", or publish from {rest.key} on" if rest else ""),
    )


def _room_on_topic(facts: Facts, kept_bytes: int) -> Finding:
    topic = facts.target.topic
    assert topic is not None
    room = kept_bytes * topic.partitions
    told = f"retention.bytes {size(kept_bytes)} a partition, {size(room)} in all"
    per_window = facts.history.bytes_per_window
    if per_window is None:
        return Finding("size limit", "ok", f"{told}; no window is published yet to estimate from")
    wanted = per_window * len(facts.windows)
    told += f"; {counted(len(facts.windows), 'window')} of {size(per_window)} come to {size(wanted)} before compression"
    if wanted <= room:
        return Finding("size limit", "ok", told)
    return Finding(
        "size limit",
        "warning",
        f"{told}: the first may be deleted before they are read",
        alter_command(facts.settings, facts.topic, {"retention.bytes": "-1"})
        + ", or publish fewer windows at a time",
    )


def _timestamps(facts: Facts) -> Iterator[Finding]:
    config, wanted = facts.target.config, facts.event.record_timestamp
    if wanted == "publish_time":
        yield Finding("timestamps", "ok", "the publish time")
        return
    if config.get("message.timestamp.type") == "LogAppendTime":
        yield Finding(
            "timestamps",
            "warning",
            "message.timestamp.type=LogAppendTime: the brokers write the publish time over the event time that "
            'record_timestamp="event_time" asks for',
            alter_command(facts.settings, facts.topic, {"message.timestamp.type": "CreateTime"}),
        )
        return
    told = "the event time"
    if facts.windows:
        # `difference` is the older name, of brokers before 3.6.
        limits = (
            ("message.timestamp.before.max.ms", "older", facts.now - facts.windows[0].start),
            ("message.timestamp.difference.max.ms", "older", facts.now - facts.windows[0].start),
            ("message.timestamp.after.max.ms", "later", facts.windows[-1].end - facts.now),
        )
        for name, side, distance in limits:
            limit, distance_ms = facts.target.number(name), distance.total_seconds() * 1000
            if limit is not None and distance_ms > limit:
                yield Finding(
                    "timestamps",
                    "failed",
                    f"{name}={limit}: the brokers refuse records stamped more than {duration(limit)} {side} than now, "
                    f"and event times are up to {duration(distance_ms)} {side}",
                    alter_command(facts.settings, facts.topic, {name: str(2**63 - 1)})
                    + ', or declare record_timestamp="publish_time"',
                )
                return
    yield Finding("timestamps", "ok", told)


def _cleanup(facts: Facts) -> Iterator[Finding]:
    topic, event = facts.target.topic, facts.event
    assert topic is not None
    policy = topic.config.get("cleanup.policy", "delete")
    keys = f"keys are never null ({event.key} is required by the contract)"
    if topic.compacted and not facts.carries_state:
        yield Finding(
            "cleanup",
            "warning",
            f"cleanup.policy={policy}: of several events with one {event.key} only the newest is kept, and a consumer "
            f"that reads later misses the others; {keys}",
            alter_command(facts.settings, facts.topic, {"cleanup.policy": "delete"})
            + ", unless only the newest event of a key matters: then declare tombstones=True",
        )
    elif event.tombstones and not topic.compacted:
        yield Finding(
            "cleanup",
            "warning",
            f"cleanup.policy={policy}, and this event publishes tombstones: they are delivered, but remove nothing, and "
            f"a new consumer reads every old event of a deleted {event.key} first",
            alter_command(facts.settings, facts.topic, {"cleanup.policy": "compact"}),
        )
    else:
        kept = facts.target.number("delete.retention.ms")
        more = f", tombstones kept {duration(kept)}" if topic.compacted and kept is not None else ""
        yield Finding("cleanup", "ok", f"{policy}{more}; {keys}")


def _record_size(facts: Facts) -> Finding:
    topic, mean = facts.target.topic, facts.history.bytes_per_record
    assert topic is not None
    limit = topic.max_message_bytes
    if limit is None:
        return Finding("record size", "ok", "the brokers name no limit")
    takes = largest_record(facts.settings, limit)
    told, largest = f"at most {limit:,} bytes after compression", facts.largest
    if largest is not None and largest.bytes > min(limit, takes):
        told = f"{told}; {_told_of(largest)}"
        if largest.compressed_bytes > limit:
            return Finding("record size", "failed", told, _larger(facts, largest.bytes))
        if largest.bytes > takes:
            return Finding("record size", "failed", *_beyond_client(facts, told, limit, largest.bytes))
        return Finding("record size", "ok", told)
    if mean is None:
        return Finding("record size", "ok", told)
    told += f"; {mean:,.0f} on average before compression in windows published before"
    if mean > takes:
        # The average does not predict the records to come with certainty.
        return Finding("record size", "warning", *_beyond_client(facts, told, limit, int(mean)))
    return Finding("record size", "ok", told)


def _beyond_client(facts: Facts, told: str, limit: int, wanted: int) -> tuple[str, str]:
    """The message about records of `wanted` bytes that the client refuses before
    compression, and what to do."""
    takes = largest_record(facts.settings, limit)
    told = f"{told}; the client takes at most {takes:,} before compression"
    if takes != limit:
        return told, f"set {variable('kafka.message.max.bytes')}={wanted * 2}, or make the event smaller"
    return told, _larger(facts, wanted)  # the client's limit follows the topic's


def _unread_limit(facts: Facts) -> Iterator[Finding]:
    """A record that the topic refuses if its limit is Kafka's default."""
    largest = facts.largest
    if largest is not None and largest.compressed_bytes > _KAFKAS_LIMIT:
        yield Finding(
            "record size",
            "warning",
            f"{_told_of(largest)}; this login may not read the topic's limit, which is {_KAFKAS_LIMIT:,} bytes by Kafka's "
            "default",
            _larger(facts, largest.bytes),
        )


def _told_of(largest: LargestRecord) -> str:
    return (
        f"window {largest.window} has a record of {largest.bytes:,} bytes (key and value, before compression), "
        f"{largest.compressed_bytes:,} after it"
    )


def _larger(facts: Facts, record_bytes: int) -> str:
    limit = {"max.message.bytes": str(record_bytes * 2)}
    if facts.target.presence == "there":
        return f"{alter_command(facts.settings, facts.topic, limit)}, or make the event smaller"
    config = {**topic_config(facts.event), **limit}
    made = create_command(facts.settings, facts.topic, topic_partitions(facts.event, facts.settings), config)
    return f"{made}, or make the event smaller"
