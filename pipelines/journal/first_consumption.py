"""When a declared consumer first read an event:
rules about the ledger's offsets and a group's committed offsets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipelines.journal.entry import JournalRecord
from pipelines.journal.kinds import FirstConsumption
from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.history import generations
from pipelines.ledger.topic_identity import remade
from resources.kafka.topics.watch import TopicNow


@dataclass(frozen=True)
class FirstRecords:
    """Where the event's records begin on the current topic: Kafka partition -> offset of the first record.
    `generation` is the earliest one that the ledger knows there, last written at `written_at`."""

    offsets: Mapping[int, int]
    generation: str
    written_at: str


def first_records(
    entries: Iterable[LedgerEntry], now: TopicNow, ends: Mapping[int, int]
) -> FirstRecords | None:
    """Where the records begin; None if the ledger knows no record on the current topic. `ends`: the end
    offsets of the topic's Kafka partitions; if the brokers give no topic ids, they show whether the topic was
    made again.

    Each partition has its own beginning: the lowest offset of any generation. The reason: if several windows
    are published in parallel, the first generation does not have the lowest offset in every partition.
    """
    offsets: dict[int, int] = {}
    earliest: LedgerEntry | None = None
    for entry in entries:
        if not _is_on(entry, now, ends):
            continue
        for one in generations(entry):
            for p, (first, _) in one.offsets.items():
                offsets[int(p)] = min(first, offsets.get(int(p), first))
            if one.offsets and (earliest is None or _instant(one.written_at) < _instant(earliest.written_at)):
                earliest = one
    if earliest is None:
        return None
    name = f"{earliest.window} generation {earliest.generation} run {earliest.run_id}"
    return FirstRecords(offsets, name[:300], earliest.written_at)


def _is_on(entry: LedgerEntry, now: TopicNow, ends: Mapping[int, int]) -> bool:
    if entry.topic_id and now.topic_id:
        return entry.topic_id == now.topic_id
    known = {p: ends.get(p, 0) for p in range(now.partitions)}
    return remade(entry, topic_id=now.topic_id, partitions=now.partitions, ends=known) is None


def consumption(
    service: str, group: str, committed: Mapping[int, int], first: FirstRecords, now: TopicNow
) -> FirstConsumption | None:
    """The group's first consumption;
    None if its committed offset is after the first record in no Kafka partition.

    A committed offset is the offset of the next record to read: if it equals the first record's offset, the
    group has not read that record.
    """
    for p, offset in sorted(committed.items()):
        if p in first.offsets and offset > first.offsets[p]:
            return FirstConsumption(
                service, group, p, offset, first.offsets[p], now.topic_id, first.generation
            )
    return None


def is_recorded(
    records: Sequence[JournalRecord], service: str, now: TopicNow, first: FirstRecords | None
) -> bool:
    """Whether the journal has the service's first consumption of the current topic.

    If the brokers give no topic ids, `first` decides: a consumption that was recorded before everything on
    the current topic belongs to an earlier topic of that name.
    """
    for one in records:
        details = one.details
        if not isinstance(details, FirstConsumption) or details.service != service:
            continue
        if details.topic_id and now.topic_id:
            if details.topic_id == now.topic_id:
                return True
        elif first is not None and _instant(one.at) >= _instant(first.written_at):
            return True
    return False


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
