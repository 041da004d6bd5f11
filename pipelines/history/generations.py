"""The generations that the ledger knows, condensed: one line for a backfill, however many windows and runs it
took."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipelines.history.happening import Happening, instant
from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.history import generations
from resources.wording import counted

# Longer than the time between two daily runs of a schedule.
_GAP = timedelta(hours=36)
_RUNS_NAMED = 3


@dataclass(frozen=True)
class _Sort:
    """What the generations of one line have in common."""

    kind: str
    complete: bool
    event: str
    topic: str
    code_version: str
    contract: str
    schema_id: int


@dataclass(frozen=True)
class _Request:
    """What the ledger says about a generation only as long as it is the newest of its window."""

    by: str | None = None
    reason: str | None = None
    selection: str | None = None


@dataclass
class _Batch:
    """Generations of one sort: at first those of one run,
    later also those of the runs before and after it."""

    at: datetime
    until: datetime
    first_window: str
    last_window: str
    windows: int = 0
    events: int = 0
    rows_total: int = 0
    generations: set[int] = field(default_factory=set)
    runs: list[str] = field(default_factory=list)
    run_count: int = 1

    def take(self, other: "_Batch") -> None:
        self.at, self.until = min(self.at, other.at), max(self.until, other.until)
        self.first_window = min(self.first_window, other.first_window)
        self.last_window = max(self.last_window, other.last_window)
        self.windows += other.windows
        self.events += other.events
        self.rows_total += other.rows_total
        self.generations |= other.generations
        self.runs = [*self.runs, *other.runs][:_RUNS_NAMED]
        self.run_count += other.run_count


class Generations:
    """Takes ledger entries one by one. It keeps one batch for each run, not the entries."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._batches: dict[tuple[_Sort, str], _Batch] = {}
        self._requests: dict[str, _Request] = {}

    def add(self, entry: LedgerEntry) -> None:
        """Count every generation of the window that the entry remembers."""
        for one in generations(entry):
            sort = _Sort(
                one.kind, one.complete, one.event, one.topic, one.code_version, one.contract, one.schema_id
            )
            at = instant(one.written_at)
            new = _Batch(
                at, at, one.window, one.window, 1, one.rows_done, one.rows_total, {one.generation}, [one.run_id]
            )  # fmt: skip
            known = self._batches.setdefault((sort, one.run_id), new)
            if known is not new:
                known.take(new)
                known.runs, known.run_count = [one.run_id], 1
        # The entry does not keep who requested earlier generations and why;
        # another window of the same run may have it.
        self._requests[entry.run_id] = _Request(entry.requested_by, entry.reason, entry.selection)

    def happenings(self) -> Iterable[Happening]:
        """A line for each period in which generations of one sort, and of one request, were published."""
        groups: dict[tuple[_Sort, _Request], list[_Batch]] = defaultdict(list)
        for (sort, run_id), batch in self._batches.items():
            groups[sort, self._requests.get(run_id, _Request())].append(batch)
        for (sort, request), batches in groups.items():
            for batch in _condensed(sorted(batches, key=lambda one: one.at)):
                yield self._happening(sort, request, batch)

    def _happening(self, sort: _Sort, request: _Request, batch: _Batch) -> Happening:
        newest = max(batch.generations)
        parts = [
            f"{batch.events:,} of {counted(batch.rows_total, 'event')}, interrupted"
            if not sort.complete
            else counted(batch.events, "event")
        ]
        if batch.generations != {1}:
            oldest = min(batch.generations)
            parts.append(f"generation {newest}" if oldest == newest else f"generations {oldest} to {newest}")
        if sort.topic != self._topic:
            parts.append(f"to {sort.topic}")
        if request.selection:
            parts.append(request.selection)
        parts.append(f"code version {sort.code_version[:12]}")
        runs = ", ".join(run[:8] for run in batch.runs)
        parts.append(
            f"run {runs}" if batch.run_count == 1 else f"{batch.run_count:,} runs, first {batch.runs[0][:8]}"
        )
        return Happening(
            batch.at,
            sort.kind,
            "ledger",
            ", ".join(parts),
            by=request.by or None,
            reason=request.reason or None,
            until=batch.until if batch.until > batch.at else None,
            windows=batch.windows,
            first_window=batch.first_window,
            last_window=batch.last_window,
            facts={
                "complete": sort.complete,
                "events": batch.events,
                "event": sort.event,
                "topic": sort.topic,
                "generations": [*sorted(batch.generations)],
                "code_version": sort.code_version,
                "contract": sort.contract,
                "schema_id": sort.schema_id,
                "selection": request.selection,
                "runs": list(batch.runs),
                "run_count": batch.run_count,
            },
        )


def _condensed(batches: list[_Batch]) -> Iterable[_Batch]:
    """Joins batches of one sort and request, in time order, if the next one follows soon."""
    if not batches:
        return
    current = batches[0]
    for batch in batches[1:]:
        if batch.at - current.until <= _GAP:
            current.take(batch)
        else:
            yield current
            current = batch
    yield current
