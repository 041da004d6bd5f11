"""Reads and writes the journal: each happening once, and unreadable records by name."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pipelines.journal.entry import JournalDamaged, JournalRecord, read_record
from resources.kafka.topics.journal_topic import JournalTopic
from resources.settings import Settings

# The limit for one event. The newest are kept.
_MOST_RECORDS = 10_000
_MOST_BYTES = 50_000_000
_MOST_DAMAGED = 20


@dataclass
class EventJournal:
    """One event's records, oldest first, each happening once. `left_out`: how many more records exist, all
    older than these. `damaged`: how many records cannot be read; `errors` has the first of them."""

    records: list[JournalRecord] = field(default_factory=list)
    left_out: int = 0
    damaged: int = 0
    errors: list[JournalDamaged] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """The ids of the records."""
        return {one.id for one in self.records}


class _Gathering:
    """Gathers an event's records while they are read, in bounded memory."""

    def __init__(self) -> None:
        self.found = EventJournal()
        self._kept: deque[tuple[int, JournalRecord]] = deque()
        self._ids: set[str] = set()
        self._bytes = 0

    def damaged(self, error: JournalDamaged) -> None:
        self.found.damaged += 1
        if len(self.found.errors) < _MOST_DAMAGED:
            self.found.errors.append(error)

    def add(self, record: JournalRecord, size: int) -> None:
        if record.id in self._ids:
            return  # a retry wrote it again
        self._ids.add(record.id)
        self._kept.append((size, record))
        self._bytes += size
        while len(self._kept) > _MOST_RECORDS or self._bytes > _MOST_BYTES:
            dropped, oldest = self._kept.popleft()
            self._bytes -= dropped
            self._ids.discard(oldest.id)
            self.found.left_out += 1

    def done(self) -> EventJournal:
        self.found.records = [record for _, record in self._kept]
        return self.found


class Journal:
    """The journal of an installation. It keeps no client open. Not safe for use by several threads."""

    def __init__(self, settings: Settings) -> None:
        self._topic = JournalTopic(settings)

    def write(self, records: Sequence[JournalRecord]) -> None:
        """Append records; after this returns, they are on the topic. Raises SluiceError: then they may or may
        not be on the topic, and it is safe to write the same records again."""
        self._topic.append([(record.topic, record.to_json()) for record in records])

    def write_missing(
        self, records: Sequence[JournalRecord], *, writing: Callable[[], None] = lambda: None
    ) -> int:
        """Append those records whose happening is not in the journal yet; returns how many. `writing` is called
        before, if there are any."""
        known = self.read({record.topic for record in records})
        missing = [record for record in records if record.id not in known[record.topic].ids]
        if missing:
            writing()
            self.write(missing)
        return len(missing)

    def read(self, topics: Iterable[str]) -> dict[str, EventJournal]:
        """The records of these events, by topic.
        Reads only the Kafka partitions that have records of these topics."""
        gathered = {topic: _Gathering() for topic in topics}
        for entry in self._topic.read(gathered):
            one = gathered[entry.key]
            try:
                one.add(read_record(entry), len(entry.value or b""))
            except JournalDamaged as error:
                one.damaged(error)
        return {topic: one.done() for topic, one in gathered.items()}

    def topics_where(self, matches: Callable[[JournalRecord], bool]) -> set[str]:
        """The topics of all events that have a matching record. Reads the whole journal, record by record."""
        return {record.topic for record in self._all() if matches(record)}

    def _all(self) -> Iterator[JournalRecord]:
        for entry in self._topic.read():
            try:
                yield read_record(entry)
            except JournalDamaged:
                continue
