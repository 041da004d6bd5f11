"""The judge: a plain consumer that knows nothing of Sluice, and what it must find.

librdkafka reads committed records, fastavro decodes them with the schema from the registry, the ledger is
JSON. No code for publishing or reconciling is used.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from confluent_kafka import TopicPartition

from tests.acceptance.outsiders import Outsider, Received

_SECONDS = 60.0
Entry = Mapping[str, Any]
Content = tuple[str, datetime, int]


class HeldBack(AssertionError):
    """A read_committed consumer cannot reach the end of a topic: an open transaction blocks it."""


@dataclass(frozen=True)
class Asked:
    """One state of a window that launches had to publish;
    `certain`: a launch of it succeeded before the next state was requested."""

    rows: Sequence[Content]
    certain: bool = True


class Witness:
    """A service that consumes one topic, and also the ledger."""

    def __init__(self, bootstrap: str, registry_url: str, topic: str, ledger: str) -> None:
        self._outsider = Outsider(bootstrap, registry_url)
        self.topic, self.ledger = topic, ledger

    def records(self, since: Mapping[int, int] | None = None) -> list[Received]:
        """Committed records of the topic up to its end, by partition and offset. Raises HeldBack."""
        return self._settled(self.topic, since or {}, self._outsider._decoded)

    def visible(self, since: Mapping[int, int] | None = None) -> list[Received]:
        """Committed records that can be read now, even if others after them are blocked."""
        return self._outsider.read(self.topic, since or {})

    def entries(self) -> dict[str, Entry]:
        """The newest ledger entry of each window of the topic."""

        def taken(message: Any) -> tuple[str, Any]:
            return message.key().decode(), message.value()

        newest = dict(self._settled(self.ledger, {}, taken))
        prefix = f"{self.topic}|"
        return {
            key.removeprefix(prefix): json.loads(v) for key, v in newest.items() if key.startswith(prefix)
        }

    def ends(self) -> dict[int, int]:
        """The current end offsets of the topic's partitions, including open transactions."""
        return self._outsider.ends(self.topic)

    def written(self) -> int:
        """Offsets used on the topic so far:
        by records, including those of open and aborted transactions, and by markers."""
        return sum(self.ends().values())

    def _settled(self, topic: str, since: Mapping[int, int], take: Any) -> list[Any]:
        ends = self._outsider.ends(topic)
        waiting = {p: end for p, end in ends.items() if end > since.get(p, 0)}
        consumer = self._outsider._consumer()
        found: list[Any] = []
        try:
            consumer.assign([TopicPartition(topic, p, since.get(p, 0)) for p in waiting])
            deadline = time.monotonic() + _SECONDS
            while waiting:
                if time.monotonic() > deadline:
                    raise HeldBack(
                        f"{topic}: partitions {sorted(waiting)} end at {waiting}, and are held back"
                    )
                message = consumer.poll(0.5)
                if message is None:
                    continue
                p = message.partition()
                if message.error() is None:
                    found.append((p, message.offset(), take(message)))
                    reached = message.offset() + 1
                else:
                    assert message.error().name() == "_PARTITION_EOF", message.error()
                    reached = message.offset()  # type: ignore[assignment]
                if p in waiting and reached >= waiting[p]:
                    del waiting[p]
        finally:
            consumer.close()
        return [taken for _, _, taken in sorted(found, key=lambda record: record[:2])]


def by_window(records: Iterable[Received]) -> dict[str, list[Received]]:
    """Records by the window that their key names."""
    found: dict[str, list[Received]] = defaultdict(list)
    for record in records:
        found[(record.key or b"").decode().partition("-")[0]].append(record)
    return dict(found)


def judge(asked: Sequence[Asked], records: Sequence[Received], entry: Entry | None) -> list[str]:
    """What is wrong with one window:
    its records on the topic and its ledger entry, after the last launch succeeded.

    Each row of the last state once; nothing that was never requested; nothing twice; each key in event-time
    order within a generation, in one partition; a tombstone after each key that vanished, and for no other
    key; the ledger's counts and offsets equal to those of the topic.
    """
    published = [record for record in records if record.value is not None]
    found = Counter(content(record) for record in published)
    problems = [f"{times} times on the topic: {_told(row)}" for row, times in found.items() if times > 1]
    known = {row for state in asked for row in state.rows}
    problems += [f"on the topic and never asked for: {_told(row)}" for row in found if row not in known]
    certain = [state for state in asked[:-1] if state.certain]
    must = {row for state in [*certain, asked[-1]] for row in state.rows}
    missing = sorted(must - set(found))
    problems += [f"missing: {_told(row)}" for row in missing[:5]]
    if len(missing) > 5:
        problems.append(f"and {len(missing) - 5} more are missing")
    problems += _order(records) + _in_force(asked, records)
    return problems + ledger_problems(records, entry)


def content(record: Received) -> Content:
    """The row in a record."""
    assert record.value is not None
    return (record.value["id"], record.value["happened_at"], record.value["amount"])


def generation_of(record: Received) -> int:
    """The publication that a record belongs to, according to its headers."""
    return int(record.headers.get("sluice_generation", b"1"))


def _told(row: Content) -> str:
    key, happened_at, amount = row
    return f"{key} at {happened_at:%Y-%m-%d %H:%M:%S}, {amount}"


def _order(records: Sequence[Received]) -> list[str]:
    problems = []
    places: dict[bytes, set[int]] = defaultdict(set)
    before: dict[tuple[bytes, int], datetime] = {}
    newest: dict[bytes, int] = {}
    for record in records:  # by partition and offset
        key, generation = record.key or b"", generation_of(record)
        places[key].add(record.kafka_partition)
        if record.value is not None:
            if record.value["id"].encode() != key:
                problems.append(f"key {key!r} carries the row of {record.value['id']}")
            at = record.value["happened_at"]
            if before.get((key, generation), at) > at:
                problems.append(f"out of order: {_told(content(record))} at offset {record.offset}")
            before[key, generation] = at
        if newest.get(key, generation) > generation:
            problems.append(f"a record of generation {generation} of {key!r} stands behind a later one's")
        newest[key] = max(generation, newest.get(key, generation))
    problems += [f"key {key!r} is in partitions {sorted(ps)}" for key, ps in places.items() if len(ps) > 1]
    return problems


def _in_force(asked: Sequence[Asked], records: Sequence[Received]) -> list[str]:
    """The records after the tombstones: for a consumer that keeps the newest state of each key."""
    live: dict[str, set[Content]] = defaultdict(set)
    tombstones: Counter[str] = Counter()
    for record in records:
        key = (record.key or b"").decode()
        if record.value is None:
            tombstones[key] += 1
            live[key].clear()
        else:
            live[key].add(content(record))
    wanted: dict[str, set[Content]] = defaultdict(set)
    for row in asked[-1].rows:
        wanted[row[0]].add((row[0], row[1], row[2]))
    problems = [
        f"key {key} is in force without {len(rows - live[key])} of its rows"
        for key, rows in wanted.items()
        if rows - live[key]
    ]
    problems += [
        f"key {key} vanished and has no tombstone" for key in live if live[key] and key not in wanted
    ]
    vanished: Counter[str] = Counter()
    keys = [{row[0] for row in state.rows} for state in asked]
    for earlier, later in pairwise(keys):
        vanished.update(earlier - later)
    sure = all(state.certain for state in asked)
    for key in tombstones.keys() | (vanished.keys() if sure else set()):
        wrong = tombstones[key] != vanished[key] if sure else tombstones[key] > vanished[key]
        if wrong:
            problems.append(f"key {key} has {tombstones[key]} tombstones, {vanished[key]} are due")
    return problems


def ledger_problems(records: Sequence[Received], entry: Entry | None) -> list[str]:
    """Where a window's ledger entry, including its earlier generations, differs from its records."""
    if entry is None:
        return ["the ledger does not know the window"]
    problems = []
    if entry["status"] != "published" or entry["rows_done"] != entry["rows_total"]:
        problems.append(
            f"the ledger says {entry['status']}, {entry['rows_done']} of {entry['rows_total']} records"
        )
    found: dict[int, list[Received]] = defaultdict(list)
    for record in records:
        found[generation_of(record)].append(record)
    for told in [*entry.get("earlier", ()), entry]:
        own = found.pop(told["generation"], [])
        spans = _spans(own)
        offsets = {p: (first, last) for p, (first, last) in told["offsets"].items()}
        if len(own) != told["rows_done"]:
            problems.append(
                f"the ledger says {told['rows_done']} records in generation {told['generation']}, on the topic are {len(own)}"
            )
        if spans != offsets:
            problems.append(
                f"the ledger names offsets {offsets} of generation {told['generation']}, its records stand at {spans}"
            )
    return problems + [
        f"generation {g} is on the topic, and the ledger does not know it" for g in sorted(found)
    ]


def _spans(records: Iterable[Received]) -> dict[str, tuple[int, int]]:
    """First and last offset of the records in each partition."""
    spans: dict[str, tuple[int, int]] = {}
    for record in records:
        first, last = spans.get(str(record.kafka_partition), (record.offset, record.offset))
        spans[str(record.kafka_partition)] = (min(first, record.offset), max(last, record.offset))
    return spans
