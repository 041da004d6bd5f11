"""Checks whether declared consumers have read their events, and records the first time.
One check here is called a look."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256

from pipelines.authoring.event import Event
from pipelines.journal.entry import JournalRecord, journal_record
from pipelines.journal.first_consumption import FirstRecords, consumption, first_records, is_recorded
from pipelines.journal.journal import Journal
from pipelines.journal.kinds import FirstConsumption
from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.listing import read_topics
from resources.errors import SluiceError, TransientError
from resources.kafka.reading.lag import GroupHidden, GroupReader
from resources.kafka.topics.watch import TopicNow
from resources.platform import Platform
from resources.settings import Settings
from resources.wording import counted

# Dagster ends a sensor's tick after 60 s.
_ASK_SECONDS, _GROUPS_SECONDS, _LEDGER_SECONDS = 5.0, 20.0, 10.0
# A group is compared with the ledger again only after this time if its committed offsets have not moved, or if
# the last comparison did not depend on them.
_AGAIN_SECONDS = 600.0
_MOST_SHOWN = 3


@dataclass(frozen=True)
class DeclaredConsumer:
    """A service that an event declares, with its consumer groups."""

    event: str
    topic: str
    service: str
    groups: tuple[str, ...]

    @property
    def key(self) -> str:
        """Identifies the declared consumer in an installation."""
        return f"{self.topic}|{self.service}"


@dataclass
class Memory:
    """What earlier looks found. A look without it has the same result, but sends more requests.

    `done`: declared consumer -> the id of the topic whose first consumption is recorded. `looked`: declared
    consumer -> when its committed offsets were last compared with the ledger, and a digest of them, or of the
    topic alone if no other offsets would have had another result.
    `next_group`: the first group of the next look, if one look has not enough time for all.
    """

    done: dict[str, str] = field(default_factory=dict)
    looked: dict[str, tuple[float, str]] = field(default_factory=dict)
    next_group: str = ""

    def to_json(self) -> str:
        """For a sensor's cursor."""
        return json.dumps(
            {"done": self.done, "looked": self.looked, "next_group": self.next_group}, sort_keys=True
        )

    @classmethod
    def from_json(cls, text: str | None) -> "Memory":
        """Reads a cursor; empty if the cursor has another form."""
        try:
            raw = json.loads(text or "{}")
            done = {str(key): str(value) for key, value in raw.get("done", {}).items()}
            looked = {
                str(key): (float(at), str(digest)) for key, (at, digest) in raw.get("looked", {}).items()
            }
            return cls(done, looked, str(raw.get("next_group", "")))
        except (ValueError, TypeError, AttributeError):
            return cls()


@dataclass(frozen=True)
class Looked:
    """What a look found: first consumptions, now in the journal; and what could not be queried."""

    recorded: tuple[JournalRecord, ...]
    waiting: int
    problems: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{one.topic}: first consumption {one.summary}" for one in self.recorded[:_MOST_SHOWN]]
        if len(self.recorded) > _MOST_SHOWN:
            parts.append(f"and {len(self.recorded) - _MOST_SHOWN:,} more first consumptions")
        if self.waiting:
            parts.append(
                f"{counted(self.waiting, 'declared consumer has', 'declared consumers have')} not read yet"
            )
        parts += [f"not asked: {problem}" for problem in self.problems[:_MOST_SHOWN]]
        if len(self.problems) > _MOST_SHOWN:
            parts.append(f"and {len(self.problems) - _MOST_SHOWN:,} more problems")
        return "; ".join(parts) or "the first consumption of every declared consumer is recorded"


class ConsumptionWatch:
    """One look. `now`: seconds of any clock that continues between looks."""

    def __init__(
        self,
        platform: Platform,
        consumers: Sequence[DeclaredConsumer],
        memory: Memory,
        *,
        by: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._platform, self._consumers, self._memory, self._by, self._now = (
            platform, consumers, memory, by, now,
        )  # fmt: skip
        self._problems: list[str] = []

    def look(self) -> Looked:
        """Query the brokers, record first consumptions, and note in the memory what was found. Raises
        SluiceError if Kafka or the journal cannot be reached: the next look then finds the same."""
        self._forget()
        topics = self._topics()
        pending = [one for one in self._consumers if one.topic in topics and not self._is_done(one, topics)]
        recorded: list[JournalRecord] = []
        committed = self._committed(pending, topics)
        changed = [one for one in pending if self._has_moved(one, committed[one.key], topics)]
        if changed:
            recorded = self._record(changed, committed, topics)
        waiting = sum(not self._is_known(one, topics) for one in self._consumers)
        return Looked(tuple(recorded), waiting, tuple(self._problems))

    def _forget(self) -> None:
        keys = {one.key for one in self._consumers}
        self._memory.done = {key: value for key, value in self._memory.done.items() if key in keys}
        self._memory.looked = {key: value for key, value in self._memory.looked.items() if key in keys}

    def _topics(self) -> dict[str, TopicNow]:
        """The events' topics that exist, with one request."""
        names = sorted({one.topic for one in self._consumers})
        watch = self._platform.watch
        try:
            found = watch.ask(*names)()
        except TransientError:
            raise
        except SluiceError:
            found = {}
            for name in names:  # a topic that may not be described must not hide the others
                try:
                    found[name] = watch.now(name)
                except TransientError:
                    raise
                except SluiceError as error:
                    self._problems.append(str(error))
        return {name: now for name, now in found.items() if now.partitions}

    def _is_done(self, one: DeclaredConsumer, topics: Mapping[str, TopicNow]) -> bool:
        known = self._memory.done.get(one.key)
        topic_id = topics[one.topic].topic_id
        # Without an id nothing shows that the topic is still the same.
        return known is not None and topic_id is not None and known == topic_id

    def _is_known(self, one: DeclaredConsumer, topics: Mapping[str, TopicNow]) -> bool:
        """Whether its first consumption is in the journal, as far as this memory shows."""
        known, now = self._memory.done.get(one.key), topics.get(one.topic)
        return known is not None and now is not None and now.topic_id in (None, known)

    def _committed(
        self, pending: Sequence[DeclaredConsumer], topics: Mapping[str, TopicNow]
    ) -> dict[str, dict[str, dict[int, int]]]:
        """Declared consumer -> group -> Kafka partition -> committed offset. One request for each group that exists,
        about all of its topics."""
        found: dict[str, dict[str, dict[int, int]]] = {one.key: {} for one in pending}
        wanted: dict[str, list[DeclaredConsumer]] = defaultdict(list)
        for one in pending:
            for group in one.groups:
                wanted[group].append(one)
        deadline = time.monotonic() + _GROUPS_SECONDS
        with closing(GroupReader(self._platform.settings, seconds=_ASK_SECONDS)) as reader:
            order = self._from_next(sorted(reader.existing(wanted)))
            self._memory.next_group = ""
            for group in order:
                if time.monotonic() > deadline:
                    self._memory.next_group = group
                    self._problems.append(
                        f"consumer group {group} and those behind it: the next look begins there"
                    )
                    break
                places = {one.topic: range(topics[one.topic].partitions) for one in wanted[group]}
                try:
                    committed = reader.committed(group, places)
                except GroupHidden:
                    self._problems.append(
                        f"consumer group {group}: the login has no right to Describe it (docs/operating.md#rights)"
                    )
                    continue
                except SluiceError as error:
                    self._problems.append(str(error))
                    continue
                finally:
                    reader.forget(group)
                for one in wanted[group]:
                    if committed[one.topic]:
                        found[one.key][group] = committed[one.topic]
        return found

    def _from_next(self, groups: list[str]) -> list[str]:
        after = [group for group in groups if group >= self._memory.next_group]
        return [*after, *(group for group in groups if group < self._memory.next_group)]

    def _has_moved(
        self,
        one: DeclaredConsumer,
        committed: Mapping[str, Mapping[int, int]],
        topics: Mapping[str, TopicNow],
    ) -> bool:
        """Whether the groups' committed offsets should be compared with the ledger,
        for which the whole ledger is read."""
        if not committed:
            return False
        # The same offsets mean different records on a topic that was made again.
        topic = topics[one.topic]
        at, before = self._memory.looked.get(one.key, (0.0, ""))
        now = self._now()
        if before in (_digest(topic), _digest(topic, committed)) and 0 <= now - at < _AGAIN_SECONDS:
            return False
        self._memory.looked[one.key] = (now, _digest(topic, committed))
        return True

    def _record(
        self,
        consumers: Sequence[DeclaredConsumer],
        committed: Mapping[str, Mapping[str, Mapping[int, int]]],
        topics: Mapping[str, TopicNow],
    ) -> list[JournalRecord]:
        names = {one.topic for one in consumers}
        journal = Journal(self._platform.settings)
        known = journal.read(names)
        open_ones = [
            one
            for one in consumers
            if not is_recorded(known[one.topic].records, one.service, topics[one.topic], None)
        ]
        firsts = self._firsts({one.topic for one in open_ones}, topics)
        new: list[tuple[DeclaredConsumer, JournalRecord]] = []
        for one in consumers:
            now, first = topics[one.topic], firsts.get(one.topic)
            if one not in open_ones or is_recorded(known[one.topic].records, one.service, now, first):
                self._settle(one, now, done=True)
            elif first is None:
                self._settle(one, now, done=False)
            elif (details := self._consumption(one, committed[one.key], first, now)) is not None:
                new.append((one, journal_record(one.topic, details, event=one.event, by=self._by)))
            else:
                self._memory.done.pop(one.key, None)
        records = [record for _, record in new if record.id not in known[record.topic].ids]
        journal.write(records)
        for one, _ in new:
            self._settle(one, topics[one.topic], done=True)
        return records

    def _consumption(
        self,
        one: DeclaredConsumer,
        committed: Mapping[str, Mapping[int, int]],
        first: FirstRecords,
        now: TopicNow,
    ) -> FirstConsumption | None:
        found = (
            consumption(one.service, group, committed[group], first, now)
            for group in one.groups
            if group in committed
        )
        return next((each for each in found if each), None)

    def _settle(self, one: DeclaredConsumer, now: TopicNow, *, done: bool) -> None:
        """Note a result that does not depend on the committed offsets: while a group commits, they differ at
        every look, and each look would read the whole ledger."""
        if done:
            self._memory.done[one.key] = now.topic_id or ""
        else:
            self._memory.done.pop(one.key, None)
        self._memory.looked[one.key] = (self._memory.looked[one.key][0], _digest(now))

    def _firsts(self, names: set[str], topics: Mapping[str, TopicNow]) -> dict[str, FirstRecords]:
        if not names:
            return {}
        entries: dict[str, list[LedgerEntry]] = defaultdict(list)
        for entry in read_topics(self._platform, names, patience_seconds=_LEDGER_SECONDS).entries:
            entries[entry.topic].append(entry)
        found = {}
        for name, own in entries.items():
            now = topics[name]
            unknown = now.topic_id is None or not all(entry.topic_id for entry in own)
            ends = self._platform.watch.ends(name, range(now.partitions)) if unknown else {}
            if (first := first_records(own, now, ends)) is not None:
                found[name] = first
        return found


def _digest(topic: TopicNow, committed: Mapping[str, Mapping[int, int]] | None = None) -> str:
    text = json.dumps([topic.topic_id, committed], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


def declared_consumers(events: Iterable[Event], settings: Settings) -> list[DeclaredConsumer]:
    """The services that events declare as their consumers,
    with the groups that the settings assign to them."""
    return [
        DeclaredConsumer(event.full_name, event.topic, service, settings.groups_of(service))
        for event in events
        for service in event.consumers
    ]
