"""How far consumer groups are behind the end of a topic."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)

# mypy cannot see the names that the package exports.
from resources.errors import SluiceError, did_you_mean
from resources.kafka.errors import KafkaRefused, kafka_error
from resources.kafka.factory import admin, consumer
from resources.kafka.reading.offsets import EARLIEST, offsets_of
from resources.kafka.reading.range_reader import ReadStalled, read_until
from resources.settings import Settings

_SECONDS = 10


class GroupHidden(KafkaRefused):
    """The login has no right to see a consumer group."""


@dataclass(frozen=True)
class GroupLag:
    """A group on one topic: `records` is the sum over its partitions of end minus committed offset.

    The end is the last offset that a read_committed consumer can reach. `committed` and `ends` are
    offsets by kafka_partition. A partition without a committed offset is in `ends` only, and all its
    records count. Transaction markers and aborted records have offsets too, so a group that has read
    everything may still have a small lag.
    """

    group: str
    records: int
    committed: Mapping[int, int] = field(default_factory=dict)
    ends: Mapping[int, int] = field(default_factory=dict)


class GroupReader:
    """Reads the offsets of groups; joins no group and commits nothing. Close it after use."""

    def __init__(self, settings: Settings, *, seconds: float = _SECONDS) -> None:
        self._settings, self._seconds = settings, seconds
        self._admin = admin(settings)
        # One consumer for each group, instead of the admin client's list_consumer_group_offsets: in
        # librdkafka 2.16 that function ends the whole process (SIGSEGV) if the brokers answer that the
        # group's coordinator moved or does not exist.
        self._members: dict[str, Consumer] = {}
        self._readable: set[str] = set()

    def close(self) -> None:
        """Free the clients."""
        for member in self._members.values():
            member.close()
        self._members.clear()

    def lag(self, topic: str, group: str) -> GroupLag:
        """How far `group` is behind on `topic`.

        Raises KafkaRefused if the login has no right to do this, KafkaUnavailable if nobody answers.
        """
        kafka_partitions = self._partitions(topic)
        committed = self.committed(group, {topic: kafka_partitions})[topic]
        ends = offsets_of(self._admin, topic, kafka_partitions, committed=True)[0]
        unread = [p for p in kafka_partitions if p not in committed and ends[p] > 0]
        starts = offsets_of(self._admin, topic, unread, (EARLIEST,), committed=True)[0]
        records = sum(max(0, end - committed.get(p, starts.get(p, end))) for p, end in ends.items())
        return GroupLag(group, records, committed, ends)

    def nothing_left(self, topic: str, lag: GroupLag) -> bool:
        """True if a consumer would get no record between the committed offsets and the ends: only transaction
        markers and records of aborted transactions are there."""
        places = {p: lag.committed.get(p, 0) for p, end in lag.ends.items() if lag.committed.get(p, 0) < end}
        reader = consumer(self._settings)
        try:
            reader.begin(topic, places)
            ends = {p: lag.ends[p] for p in places}
            taken = read_until(reader, topic, ends, hidden="", stalled="", patience_seconds=_SECONDS)
            return not any(found.records for found in taken)
        except (ReadStalled, SluiceError):
            return False  # a right or an answer is missing, so nobody can say: there may be a record
        finally:
            reader.close()

    def existing(self, groups: Collection[str]) -> set[str]:
        """The groups among `groups` that may have committed offsets, in one request. A group that was never
        used is not among them. A group for which the brokers give another error is among them."""
        if not groups:
            return set()
        asked = self._admin.describe_consumer_groups(list(groups), request_timeout=self._seconds)
        found = set()
        for group, answer in asked.items():
            try:
                if answer.result().state == ConsumerGroupState.DEAD:
                    continue
                self._readable.add(group)
            except KafkaException as error:
                if kafka_error(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
                    continue
            found.add(group)
        return found

    def similar(self, group: str) -> str:
        """` Did you mean 'x'?` with the nearest name of a group that the login
        can see, or an empty string."""
        try:
            listed = self._admin.list_consumer_groups(request_timeout=self._seconds).result()
        except KafkaException:
            return ""  # only a hint
        return did_you_mean(group, [one.group_id for one in listed.valid if one.group_id != group])

    def _partitions(self, topic: str) -> list[int]:
        # Not list_topics(name): a broker with auto.create.topics.enable would create the
        # topic because of that request.
        try:
            described = self._admin.describe_topics(TopicCollection([topic]), request_timeout=self._seconds)
            return sorted(partition.id for partition in described[topic].result().partitions)
        except KafkaException as error:
            raise self._admin.explained(f"topic {topic}", error) from None

    def committed(self, group: str, places: Mapping[str, Iterable[int]]) -> dict[str, dict[int, int]]:
        """The offsets that `group` has committed for Kafka partitions of these topics, by topic, in one
        request. A partition without a committed offset is left out. Raises as `lag`."""
        if group not in self._members:
            if group not in self._readable:
                self._assert_readable(group)
            # Never subscribed, so it does not join the group; reading committed
            # offsets does not change a group.
            self._members[group] = consumer(self._settings, **{"group.id": group})
        try:
            found = self._members[group].committed(
                [TopicPartition(topic, p) for topic, partitions in places.items() for p in partitions],
                self._seconds,
            )
        except KafkaException as error:
            # A right that was taken away looks like a coordinator that cannot be found.
            self._assert_readable(group)
            raise self._unreadable(group, error) from None
        committed: dict[str, dict[int, int]] = {topic: {} for topic in places}
        for partition in found:
            if partition.error is not None:
                raise self._unreadable(group, partition.error)
            if partition.offset >= 0:  # a partition without a commit has -1001
                committed[partition.topic][partition.partition] = partition.offset
        return committed

    def forget(self, group: str) -> None:
        """Free the client that reads the offsets of this group."""
        if (member := self._members.pop(group, None)) is not None:
            member.close()

    def _assert_readable(self, group: str) -> None:
        try:
            self._admin.describe_consumer_groups([group], request_timeout=self._seconds)[group].result()
        except KafkaException as error:
            # Any other error (nobody has used the group yet, its coordinator is being created) is
            # reported by the request itself.
            if kafka_error(error).code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                raise self._unreadable(group, error) from None

    def _unreadable(self, group: str, error: KafkaException | KafkaError) -> Exception:
        inner = kafka_error(error)
        if inner.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
            return self._admin.explained(f"consumer group {group}", inner)
        return GroupHidden(
            f"consumer group {group}",
            "the login may not see how far it is behind, and publishing must not outrun it",
            allowed="Describe on the group (docs/operating.md#rights)",
            next_step=f"kafka-acls.sh --bootstrap-server {self._settings.bootstrap_servers} --add --allow-principal "
            f"User:… --operation Describe --group {group}; or lift the limit for this run (docs/limits.md)",
        )
