"""Compares generations of one window with the records of its topic."""

from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

from pipelines.authoring.event import Event
from pipelines.contract import Contract
from pipelines.independent_judge.errors import Misjudged
from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.stored_rows import contract_of, stamp_field
from pipelines.reconciling.attribution import Attribution
from pipelines.reconciling.comparison import Comparison, LogRecord
from pipelines.reconciling.expected import Records, expected_records, state_records
from pipelines.reconciling.log import Committed, LogReader
from pipelines.reconciling.records.content import Checksum
from pipelines.reconciling.records.pieces import Bounds, Piece, between, pieces_of
from pipelines.reconciling.records.placement import Sent
from pipelines.reconciling.records.schema_ids import OneSchemaId
from pipelines.reconciling.records.stamps import Stamps
from pipelines.reconciling.result import Example, Kind, Reconciliation
from pipelines.reconciling.stored_judge import StoredJudge
from pipelines.reconciling.sums import checksum_of_both
from resources.kafka.topics.topics import Topic
from resources.platform import Platform
from resources.wording import counted

# The most examples of each kind.
_EXAMPLES = 5
# With at most this many offsets, all records may belong to the window.
_OFFSETS_A_ROW, _OFFSETS_AT_LEAST = 1.1, 1_000
# The most records that are decoded one by one, to distinguish an altered record from a missing one.
_STRANGERS = 10_000


class WindowComparison:
    """Compares what `generations` of a window, oldest first, should have put on `topic` with what is there.

    With `whole` they are all generations that the ledger knows, and the state that the topic has by the
    newest one is compared too.
    """

    def __init__(
        self,
        event: Event,
        platform: Platform,
        log: LogReader,
        topic: Topic,
        generations: Sequence[LedgerEntry],
        comparison: Comparison,
        *,
        whole: bool,
    ) -> None:
        self._event, self._platform, self._log, self._topic = event, platform, log, topic
        self._entry, self._comparison, self._whole = generations[-1], comparison, whole
        # One schema id for each contract.
        # Otherwise equal records would differ if the contract was registered again between them.
        ids = {entry.contract: entry.schema_id for entry in generations}
        self._contracts: dict[str, Contract] = {
            entry.contract: contract_of(event, platform, entry) for entry in generations
        }
        self._generations = [entry.advanced(schema_id=ids[entry.contract]) for entry in generations]
        self._pieces = pieces_of(generations)
        self._sent: list[Sent] = []
        self._expired_rows = 0
        self._bytes = 0
        self._judged = 0

    def reconcile(self) -> Reconciliation:
        """Read everything and return the result."""
        why = None
        try:
            if self._whole:
                # Without this, only the topic and the stored rows are compared,
                # and they agree on a value that was made wrong.
                self._judged, why = StoredJudge(self._event, self._platform, self._entry).judge()
            agreed = self._by_sums()
            found = self._stamped(self._compared()) if agreed is None else self._agreed(agreed)
        except Misjudged as wrong:
            found = replace(
                self._blank(), verdict="differs", wrong=f"{wrong.problem}; next: {wrong.next_step}"
            )
        return replace(found, judged=self._judged, not_judged=why)

    def _stamped(self, so_far: Reconciliation) -> Reconciliation:
        """`so_far`, with the check that the records carry their event times."""
        compared = {
            entry.generation: entry.record_timestamp == "event_time"
            for entry in self._generations
            if stamp_field(self._event, entry) is not None
        }
        if not compared:
            return so_far
        found = [
            replace(one, promised=compared[one.generation])
            for one in self._comparison.stamps()
            if one.generation in compared
        ]
        told = tuple(filter(None, map(Stamps.told, found)))
        wrong = {one.generation: one.altered for one in found if one.altered}
        examples = [
            Example("altered", _text(standing.key), standing.kafka_partition, standing.offset)
            for generation in wrong
            for standing in self._comparison.some_other_stamps(generation, _EXAMPLES)
        ]
        return replace(
            so_far,
            verdict="differs" if wrong else so_far.verdict,
            altered=so_far.altered + sum(wrong.values()),
            examples=(*so_far.examples, *examples[:_EXAMPLES]),
            notes=(*so_far.notes, *told),
        )

    def _by_sums(self) -> Checksum | None:
        """The checksum of both sides if they are equal; None if the records must be compared one by one."""
        bounds = self._bounds()
        if self._state_is_known() or any(piece.kept(bounds) != piece for piece in self._pieces):
            return None
        rows = sum(entry.rows_done - entry.displaced for entry in self._generations)
        # So many offsets are more than transaction markers:
        # others' records are among them, so the sums differ.
        if sum(piece.end - piece.first for piece in self._pieces) > rows * _OFFSETS_A_ROW + _OFFSETS_AT_LEAST:
            return None

        def expected() -> Generator[Records, None, None]:
            for entry in self._generations:
                yield from self._expected(entry)

        def found() -> Generator[Committed, None, None]:
            for _, records in self._found(self._pieces):
                yield records

        in_thread = rows > self._platform.settings.batch_rows
        return checksum_of_both(expected, found(), in_thread=in_thread)

    def _compared_of(self, entry: LedgerEntry, records: Committed) -> Committed:
        """The records of the entry's generation, without timestamps if none were promised."""
        return records if stamp_field(self._event, entry) else replace(records, stamps=None)

    def _agreed(self, checksum: Checksum) -> Reconciliation:
        return replace(
            self._blank(),
            verdict="agrees",
            expected=checksum.records,
            found=checksum.records,
            checksum_expected=str(checksum),
            checksum_found=str(checksum),
            bytes_read=self._bytes,
        )

    def _compared(self) -> Reconciliation:
        comparison = self._comparison
        self._bytes = 0
        self._expect()
        bounds = self._bounds()
        self._kept = [piece.kept(bounds) for piece in self._pieces]
        for entry, records in self._found(self._kept):
            comparison.add_found(records, generation=entry.generation)
        never_sent, keys = comparison.never_sent(_EXAMPLES)
        plain = replace(
            self._blank(),
            verdict="differs" if never_sent else "agrees",
            expected=comparison.expected.records + never_sent,
            found=comparison.in_range.records,
            missing=never_sent,
            examples=tuple(Example("missing", _text(key), None, None) for key in keys),
            notes=(*self._general_notes(), *_never_sent_told(never_sent)),
            checksum_expected=str(comparison.expected),
            checksum_found=str(comparison.in_range),
        )
        # Usually nobody else wrote between the window's records, and equal sums suffice.
        if comparison.equal:
            return replace(plain, bytes_read=self._bytes)
        own, duplicated = comparison.compare()
        plain = replace(
            plain,
            found=own.records,
            checksum_found=str(own),
            others=comparison.in_range.records - own.records,
        )
        return self._accounted(plain, duplicated, bounds)

    def _blank(self) -> Reconciliation:
        return Reconciliation(
            self._event.full_name,
            self._entry.window,
            "agrees",
            generation=self._entry.generation,
            generations=len(self._generations),
            complete=self._entry.complete,
            notes=self._general_notes(),
        )

    def _expected(self, entry: LedgerEntry) -> Iterator[Records]:
        return expected_records(self._event, self._platform, entry, self._contracts[entry.contract])

    def _expect(self) -> None:
        comparison = self._comparison
        kept_ms = int(self._topic.config.get("delete.retention.ms", "86400000"))
        for entry in self._generations:
            first = comparison.expected.records
            for records in self._expected(entry):
                comparison.add_expected(records)
            self._sent.append(Sent(first, comparison.expected.records, frozenset(map(int, entry.offsets))))
            age = datetime.now(UTC) - datetime.fromisoformat(entry.written_at)
            if age.total_seconds() * 1000 > kept_ms:
                self._expired_rows = comparison.expected.records
        if self._state_is_known():
            entry = self._generations[-1]
            for records in state_records(self._event, self._platform, entry, self._contracts[entry.contract]):
                comparison.add_state(records)

    def _state_is_known(self) -> bool:
        # The state of a first generation is the generation itself. A shadow topic holds only what was
        # requested, and stale records were left out.
        return (
            self._whole
            and 1 < len(self._generations) == self._entry.generation
            and self._entry.complete
            and self._entry.shadow_of is None
            and not any(entry.stale or entry.displaced for entry in self._generations)
        )

    def _bounds(self) -> Bounds:
        wanted = {piece.kafka_partition for piece in self._pieces}
        # A topic that was created again may have fewer kafka_partitions.
        there = [p for p in wanted if p < self._topic.partitions]
        return dict.fromkeys(wanted, (0, 0)) | self._log.bounds(self._entry.topic, there)

    def _found(self, pieces: Sequence[Piece]) -> Iterator[tuple[LedgerEntry, Committed]]:
        """The committed records of `pieces`, each with the entry of its generation,
        all with one schema id."""
        for entry in self._generations:
            schema_ids = OneSchemaId(self._platform, self._contracts[entry.contract], entry.schema_id)
            for records in self._log.read(self._entry.topic, _ranges(pieces, entry)):
                self._bytes += records.total_bytes
                own = self._compared_of(entry, records)
                yield entry, replace(own, values=schema_ids.apply(own.values))

    def _accounted(self, so_far: Reconciliation, duplicated: int, bounds: Bounds) -> Reconciliation:
        comparison = self._comparison
        deleted, compacted, altered = 0, 0, list[LogRecord]()
        if comparison.absent:
            # Altered records come first:
            # an altered record would otherwise count as a newer record of its key.
            altered = self._altered()
            comparison.locate(self._sent, self._topic.partitions)
            deleted = self._deleted()
        if comparison.absent and self._topic.compacted:
            compacted = self._compacted(bounds)
        absent = comparison.absent
        differs = absent or so_far.missing or altered or duplicated
        return replace(
            so_far,
            verdict="differs" if differs else "reduced" if deleted or compacted else "agrees",
            missing=so_far.missing + absent,
            altered=len(altered),
            duplicated=duplicated,
            deleted_by_policy=deleted,
            compacted=compacted,
            others=so_far.others - len(altered),
            examples=(*so_far.examples, *self._examples(altered)),
            notes=(*so_far.notes, *(self._notes(bounds, compacted) if absent else ())),
            bytes_read=self._bytes,
        )

    def _deleted(self) -> int:
        # Read again: retention may have removed more while the pieces were read.
        now = self._bounds()
        deleted: dict[int, int] = {}
        for piece in self._pieces:
            deleted[piece.kafka_partition] = deleted.get(piece.kafka_partition, 0) + piece.deleted(now)
        deleted = {p: offsets for p, offsets in deleted.items() if offsets}
        return self._comparison.take_deleted(deleted) if deleted else 0

    def _compacted(self, bounds: Bounds) -> int:
        for ranges in between(self._pieces, bounds):
            for records in self._log.read(self._entry.topic, ranges):
                self._bytes += records.total_bytes
                self._comparison.add_later(records)
        return self._comparison.take_compacted(self._kept, expired_rows=self._expired_rows)

    def _altered(self) -> list[LogRecord]:
        """The records that replace absent ones: same key, of this window, another content."""
        strangers = self._comparison.strangers(_STRANGERS)
        attribution = Attribution(self._event, self._platform, self._entry)
        own = attribution.own(self._log, strangers)
        return self._comparison.take_altered(standing for standing in strangers if standing in own)

    def _examples(self, altered: list[LogRecord]) -> tuple[Example, ...]:
        absent = self._comparison.some_absent(_EXAMPLES)
        examples = [Example("missing", _text(key), p, None) for key, p in absent]
        kinds: list[tuple[Kind, list[LogRecord]]] = [
            ("altered", altered[:_EXAMPLES]),
            ("duplicated", self._comparison.some_surplus(_EXAMPLES)),
        ]
        for kind, standings in kinds:
            examples += [Example(kind, _text(s.key), s.kafka_partition, s.offset) for s in standings]
        return tuple(examples)

    def _general_notes(self) -> tuple[str, ...]:
        read = {entry.generation for entry in self._generations}
        unread = _between(read, self._entry.generation)
        notes = []
        if self._whole and unread:
            why = "which the ledger, the snapshot store or the topic has no more"
            notes.append(f"not read: {_generations_told(unread)}, {why}")
        for entry in self._generations:
            if entry.displaced:
                told = f"the first {entry.displaced:,} of {counted(entry.rows_done, 'record')} of generation {entry.generation}"
                notes.append(f"not read: {told}, whose offsets are not known")
            if self._event.record_timestamp == "event_time" and entry.record_timestamp == "publish_time":
                notes.append(
                    f'generation {entry.generation} was published before record_timestamp="event_time" was declared: its '
                    "record timestamps are not compared"
                )
        return tuple(notes)

    def _notes(self, bounds: Bounds, compacted: int) -> tuple[str, ...]:
        notes = []
        ends = {
            p: max(last for g in self._generations for q, (_, last) in g.offsets.items() if int(q) == p)
            for p in bounds
        }
        short = sorted(p for p, last in ends.items() if bounds[p][1] <= last)
        if short:
            notes.append(
                f"partition {', '.join(map(str, short))} ends before the offsets the ledger names: the topic was made "
                "anew or its log was cut"
            )
        if compacted:
            notes.append(
                "where compaction removed records, a missing one is told by too few offsets, and may be a neighbour of "
                "the one named"
            )
        return tuple(notes)


def _ranges(pieces: Sequence[Piece], entry: LedgerEntry) -> dict[int, tuple[int, int]]:
    """The offsets of each kafka_partition that hold the generation of `entry`."""
    own = [piece for piece in pieces if piece.generation == entry.generation]
    return {piece.kafka_partition: (piece.first, piece.end) for piece in own}


def _never_sent_told(records: int) -> tuple[str, ...]:
    if not records:
        return ()
    return (f"{records:,} of the missing are in the window's snapshot and in no generation of it",)


def _between(read: Collection[int], newest: int) -> list[tuple[int, int]]:
    """The generations up to `newest` that are not among `read`, as first and last of each unbroken run."""
    bounds = [0, *sorted(read), newest]
    return [(one + 1, other - 1) for one, other in pairwise(bounds) if other - one > 1]


def _generations_told(runs: Sequence[tuple[int, int]]) -> str:
    told = ", ".join(f"{first} to {last}" if last > first else f"{first}" for first, last in runs)
    return f"generation{'s' if len(runs) > 1 or runs[0][0] < runs[0][1] else ''} {told}"


def _text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
