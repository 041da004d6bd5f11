"""Compares what a window should have put on its topic with the committed records that are there."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from pipelines.authoring.event import Event
from pipelines.contract import Contract
from pipelines.publishing.entry import LedgerEntry, ledger_key, read_entry
from pipelines.reconciling.attribution import Attribution
from pipelines.reconciling.comparison import Comparison, Standing
from pipelines.reconciling.expected import CannotReconcile, contract_of, expected_records
from pipelines.reconciling.log import LogReader
from pipelines.reconciling.result import Example, Kind, Reconciliation
from pipelines.reconciling.schema_ids import OneSchemaId
from resources.kafka.topics import Topic, describe_topic
from resources.platform import Platform

# Named, of each kind.
_EXAMPLES = 5
# Looked at one by one, to tell an altered record from a missing one.
_STRANGERS = 10_000

Ranges = Mapping[int, tuple[int, int]]


class Reconciler:
    """Reconciles windows of one event, with one consumer for all of them. Use as a context manager."""

    def __init__(self, event: Event, platform: Platform) -> None:
        self._event, self._platform = event, platform
        self._topics: dict[str, Topic] = {}

    @cached_property
    def _log(self) -> LogReader:
        return LogReader(self._platform.settings)

    def reconcile(self, window: str, *, entry: LedgerEntry | None = None) -> Reconciliation:
        """The newest generation of `window`, by `entry` or the ledger, against the topic.

        Raises CannotReconcile where what should be there is not known (a snapshot or the topic is gone), and
        PassingFault. Writes nothing.
        """
        started = time.monotonic()
        key = ledger_key(self._event.topic, window)
        entry = entry or read_entry(key, self._platform.ledger.latest(key))
        if entry is None:
            return Reconciliation(self._event.full_name, window, "unpublished")
        topic = self._topic(entry.topic)
        with (
            tempfile.TemporaryDirectory(prefix="sluice-reconcile-") as folder,
            Comparison(Path(folder), self._platform.settings.memory_limit) as comparison,
        ):
            found = _Window(self._event, self._platform, self._log, topic, entry, comparison).reconcile()
        return replace(found, seconds=time.monotonic() - started)

    def _topic(self, name: str) -> Topic:
        if name not in self._topics:
            found = describe_topic(self._platform.settings, name)
            if found is None:
                raise CannotReconcile(f"topic {name}", "is gone, and with it every record of this window")
            self._topics[name] = found
        return self._topics[name]

    def close(self) -> None:
        """Free the consumer."""
        if "_log" in self.__dict__:
            self.__dict__.pop("_log").close()

    def __enter__(self) -> "Reconciler":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def reconcile_window(
    event: Event, window_key: str, platform: Platform, *, entry: LedgerEntry | None = None
) -> Reconciliation:
    """One window; for several, a Reconciler keeps its consumer."""
    with Reconciler(event, platform) as reconciler:
        return reconciler.reconcile(window_key, entry=entry)


class _Window:
    def __init__(
        self,
        event: Event,
        platform: Platform,
        log: LogReader,
        topic: Topic,
        entry: LedgerEntry,
        comparison: Comparison,
    ) -> None:
        self._event, self._platform, self._log, self._topic = event, platform, log, topic
        self._entry, self._comparison = entry, comparison
        self._contract: Contract = contract_of(event, platform, entry)
        self._spans = {int(p): (first, last + 1) for p, (first, last) in entry.offsets.items()}
        self._bytes = 0

    def reconcile(self) -> Reconciliation:
        comparison, entry = self._comparison, self._entry
        for records in expected_records(self._event, self._platform, entry, self._contract):
            comparison.add_expected(records)
        ranges, ends = self._kept(self._bounds())
        self._read(ranges)
        plain = Reconciliation(
            self._event.full_name,
            entry.window,
            "agrees",
            generation=entry.generation,
            complete=entry.complete,
            expected=comparison.expected.records,
            found=comparison.in_range.records,
            checksum_expected=str(comparison.expected),
            checksum_found=str(comparison.in_range),
        )
        # Nobody else wrote between the window's records: most often so, and the sums say it all.
        if comparison.equal:
            return replace(plain, bytes_read=self._bytes)
        own, duplicated = comparison.compare()
        plain = replace(
            plain,
            found=own.records,
            checksum_found=str(own),
            others=comparison.in_range.records - own.records,
        )
        return self._accounted(plain, duplicated, ends)

    def _bounds(self) -> dict[int, tuple[int, int]]:
        # A topic made anew may have fewer kafka_partitions.
        there = [p for p in self._spans if p < self._topic.partitions]
        return dict.fromkeys(self._spans, (0, 0)) | self._log.bounds(self._entry.topic, there)

    def _kept(self, bounds: Ranges) -> tuple[Ranges, dict[int, int]]:
        """What is left of the window's ranges, and where each log ends."""
        ranges = {
            p: (max(first, bounds[p][0]), min(end, bounds[p][1])) for p, (first, end) in self._spans.items()
        }
        return ranges, {p: end for p, (_, end) in bounds.items()}

    def _read(self, ranges: Ranges) -> None:
        schema_ids = OneSchemaId(self._platform, self._contract, self._entry.schema_id)
        for records in self._log.read(self._entry.topic, ranges):
            self._bytes += records.total_bytes
            self._comparison.add_found(replace(records, values=schema_ids.apply(records.values)))

    def _accounted(self, so_far: Reconciliation, duplicated: int, ends: Mapping[int, int]) -> Reconciliation:
        comparison = self._comparison
        count, deleted, compacted, altered = self._topic.partitions, 0, 0, list[Standing]()
        if comparison.absent:
            # First, for an altered record would pass for a newer one of its key.
            altered = self._altered()
            count = comparison.kafka_partitions_then(count)
            deleted = self._deleted(count)
        if comparison.absent and self._topic.compacted:
            compacted = self._compacted(count, ends)
        missing = comparison.absent
        differs = missing or altered or duplicated
        return replace(
            so_far,
            verdict="differs" if differs else "reduced" if deleted or compacted else "agrees",
            missing=missing,
            altered=len(altered),
            duplicated=duplicated,
            deleted_by_policy=deleted,
            compacted=compacted,
            others=so_far.others - len(altered),
            examples=self._examples(altered, count),
            notes=self._notes(ends) if missing else (),
            bytes_read=self._bytes,
        )

    def _deleted(self, count: int) -> int:
        # Asked again: retention may have gone on while the ranges were read.
        now = self._bounds()
        deleted = {
            p: min(now[p][0], end) - first for p, (first, end) in self._spans.items() if now[p][0] > first
        }
        return self._comparison.take_deleted(deleted, count) if deleted else 0

    def _compacted(self, count: int, ends: Mapping[int, int]) -> int:
        behind = {p: (end, ends[p]) for p, (_, end) in self._spans.items()}
        for records in self._log.read(self._entry.topic, behind):
            self._bytes += records.total_bytes
            self._comparison.add_later(records)
        kept_ms = int(self._topic.config.get("delete.retention.ms", "86400000"))
        written = datetime.fromisoformat(self._entry.written_at)
        age_ms = (datetime.now(UTC) - written).total_seconds() * 1000
        return self._comparison.take_compacted(count, expired_tombstones=age_ms > kept_ms)

    def _altered(self) -> list[Standing]:
        """The records that stand in the place of absent ones: same key, of this window, another content."""
        strangers = self._comparison.strangers(_STRANGERS)
        attribution = Attribution(self._event, self._platform, self._entry)
        own = attribution.own(self._log, strangers)
        return self._comparison.take_altered(standing for standing in strangers if standing in own)

    def _examples(self, altered: list[Standing], count: int) -> tuple[Example, ...]:
        absent = self._comparison.some_absent(_EXAMPLES)
        examples = [Example("missing", _text(key), place % count, None) for key, place in absent]
        kinds: list[tuple[Kind, list[Standing]]] = [
            ("altered", altered[:_EXAMPLES]),
            ("duplicated", self._comparison.some_surplus(_EXAMPLES)),
        ]
        for kind, standings in kinds:
            examples += [Example(kind, _text(s.key), s.kafka_partition, s.offset) for s in standings]
        return tuple(examples)

    def _notes(self, ends: Mapping[int, int]) -> tuple[str, ...]:
        notes = []
        short = [p for p, (_, end) in self._spans.items() if ends[p] < end]
        if short:
            notes.append(
                f"partition {', '.join(map(str, short))} ends before the offsets the ledger names: the topic was made "
                "anew or its log was cut"
            )
        if self._entry.code_version != self._event.code_version:
            notes.append(
                "another version of the module published it; where its key or event_id was another field, verify "
                "with that version"
            )
        return tuple(notes)


def _text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
