"""Step 2: sourced rows pass through the transform and the contract;
what does not fit is kept as dead letters."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.encoding import RecordEncoder, RecordJudge
from pipelines.ledger.entry import now
from pipelines.stages.dead_letters import Integers, LetterWriter, RetriedRows
from pipelines.transform import LETTERS_SCHEMA, Reason, TransformedBatch, Transformer, same_buffers
from resources.errors import SluiceError
from resources.platform import Platform
from resources.process.memory import give_back
from resources.snapshots import Snapshot, SnapshotWriter
from resources.wording import counted

# Chosen rows are collected until this many can be judged together:
# encoding costs more per batch than per row.
_RECORDS_AT_ONCE = 64


@dataclass(frozen=True)
class RetryOutcome:
    """The result of a retry for the source rows of earlier dead letters. `rows`: rows of the snapshot
    (ascending) that were made from them. `left_out`: how many of them gave neither a row nor another
    letter."""

    rows: Integers
    left_out: int


@dataclass(frozen=True)
class Transformed:
    """A window's second snapshot, and whether it may be published.

    `dead` counts every row that did not fit, `reasons` counts them by reason class; `letters` holds all of
    them, `sample` a few for people. `dropped`: rows that the transform left out. `facts`: what the store
    keeps about the snapshot. `again`: the result for the earlier dead letters that were given; None if none
    were given, or if the transform lost the index, so that it is not known. `judged`: rows that the
    independent judge compared with their source and with their record.
    """

    snapshot: Snapshot
    rows_in: int
    dead: int
    dropped: int
    reasons: Mapping[str, int]
    letters: Snapshot
    sample: tuple[Mapping[str, Any], ...]
    passed: bool
    verdict: str
    facts: Mapping[str, Any]
    again: RetryOutcome | None = None
    judged: int = 0


class Blocked(SluiceError):
    """The window's rows do not fit the contract, and nothing of it may be published. `transformed` is given
    if this run tried the rows."""

    def __init__(
        self, where: str, problem: str, *, next_step: str, transformed: Transformed | None = None
    ) -> None:
        self.transformed = transformed
        super().__init__(where, problem, next_step=next_step)


def transform_window(event: Event, window: Window, platform: Platform, *, run_id: str) -> Transformed:
    """Transform and conform the window's `sourced` snapshot, and record whether the result may be published.

    Raises ConformError and TransformFailed for mistakes of the module, SluiceError if the sourced snapshot is
    missing.
    """
    source = platform.snapshots.current(event.full_name, window.key, "sourced")
    if source is None:
        raise SluiceError(
            f"{event.full_name} {window.key}",
            "has no sourced snapshot",
            next_step="materialize sourced first",
        )
    done = try_rows(event, window, platform, source, run_id=run_id)
    give_back(source.rows)
    make_current(event, window, platform, done)
    return done


def try_rows(
    event: Event,
    window: Window,
    platform: Platform,
    source: Snapshot,
    *,
    run_id: str,
    tried: RetriedRows | None = None,
) -> Transformed:
    """Pass `source` through the transform and the contract. The result is stored; it is not yet the window's
    current snapshot.

    `tried`: dead letters of an earlier try of the same rows.
    """
    store = platform.snapshots
    # The file may have been changed since the earlier step wrote it.
    store.verify(source)
    with closing(
        TransformPass(event, window, platform, store.schema(source), run_id=run_id, tried=tried)
    ) as trying:
        for batch in store.read(source, batch_rows=platform.settings.batch_rows):
            trying.take(batch)
            if trying.waits:
                break
        return trying.finish(source)


class TransformPass:
    """Passes source rows through the transform and the contract into a snapshot and its dead letters.

    Rows that the transform leaves unchanged are not written: if all are unchanged, the snapshot is the
    source's, byte for byte. The first changed batch after unwritten rows must wait for the source's snapshot,
    which holds those rows; then `waits` is true. From then on nothing is taken, and `finish` reads the rest.

    Close it after use; what is not finished by then is deleted. `schema` is that of the source rows.
    """

    def __init__(
        self,
        event: Event,
        window: Window,
        platform: Platform,
        schema: pa.Schema,
        *,
        run_id: str,
        tried: RetriedRows | None = None,
    ) -> None:
        self._event, self._schema, self._run_id = event, schema, run_id
        self._window, self._platform = window, platform
        self._transformer = transformer_of(event, window)
        self._row, self._dropped, self._judged = 0, 0, 0
        self._records: tuple[RecordEncoder, RecordJudge] | None = None
        self._chosen: list[pa.RecordBatch] = []
        self._numbers: list[int] = []
        self._again = _Following(tried) if tried is not None else None
        self._held: list[pa.RecordBatch] = []
        self._rows = rows_schema(event)
        self._rows_out = 0
        self._out: SnapshotWriter | None = None
        self._waiting: TransformedBatch | None = None
        with ExitStack() as opened:
            self._dead = opened.enter_context(self._writer("dead", LETTERS_SCHEMA))
            self._opened = opened
            if not schema.equals(self._rows, check_metadata=True):
                self._open()
            self._opened = opened.pop_all()
        self._letters = LetterWriter(
            self._dead,
            event=event.full_name,
            window=window.key,
            run_id=run_id,
            most_whole=platform.settings.max_dead_letters,
            tried=tried,
        )

    @property
    def waits(self) -> bool:
        """Whether the batch that was taken last waits for the source's snapshot."""
        return self._waiting is not None

    def take(self, batch: pa.RecordBatch, chosen: Sequence[int] | None = None) -> None:
        """Take the next rows, in the batches in which the source snapshot is read. `chosen`: those that were
        chosen to be judged, if that is known."""
        if self._event.whole_window:
            self._held.append(batch)
        elif self._waiting is None:
            self._apply(batch, chosen)

    def _apply(self, batch: pa.RecordBatch, chosen: Sequence[int] | None = None) -> None:
        done = self._transformer.apply(batch, self._row, chosen)
        self._judge_records(done)
        if self._out is None and not _untouched(done, batch):
            if self._row:
                self._waiting = done
                return
            self._open()
        self._keep(done)

    def _judge_records(self, done: TransformedBatch) -> None:
        """Keep the rows that were judged, a few for each batch, to judge their records too."""
        if done.judged:
            self._chosen.append(done.rows.take(pa.array(done.judged)))
            self._numbers += [self._rows_out + place for place in done.judged]
            self._judged += len(done.judged)
        if len(self._numbers) >= _RECORDS_AT_ONCE:
            self._judge_chosen()

    def _judge_chosen(self) -> None:
        """Encode the rows that were kept, and judge their records,
        long before the first byte is published."""
        if not self._numbers:
            return
        if self._records is None:
            event = self._event
            encoder = RecordEncoder(
                event.contract, schema_id=0, topic=event.topic, key=event.key, event_id=event.event_id
            )
            where = f"{event.full_name} {self._window.key}"
            self._records = encoder, RecordJudge(encoder, event_time=event.event_time, where=where)
        encoder, judge = self._records
        columns = [
            pa.concat_arrays(parts) for parts in zip(*(rows.columns for rows in self._chosen), strict=True)
        ]
        rows = pa.RecordBatch.from_arrays(columns, schema=self._chosen[0].schema)
        judge.judge(rows, range(rows.num_rows), encoder.encode(rows), numbers=self._numbers)
        self._chosen.clear()
        self._numbers.clear()

    def _keep(self, done: TransformedBatch) -> None:
        if self._again is not None:
            self._again.follow(done, first_row=self._row, first_out=self._rows_out)
        self._row += done.rows_in
        self._rows_out += done.rows.num_rows
        self._dropped += done.rows_dropped
        if self._out is not None:
            self._out.write(done.rows)
        self._letters.write(done.dead)

    def _open(self) -> SnapshotWriter:
        self._out = self._opened.enter_context(self._writer("transformed", self._rows))
        return self._out

    def _writer(self, stage: str, schema: pa.Schema) -> SnapshotWriter:
        return self._platform.snapshots.writer(self._event.full_name, self._window.key, stage, schema)

    def _catch_up(self, source: Snapshot, waiting: TransformedBatch) -> None:
        """Write the unchanged rows from the source's snapshot,
        then the rows that wait, then take the rest."""
        store, batch_rows = self._platform.snapshots, self._platform.settings.batch_rows
        self._waiting = None
        # The file may have been changed since it was written.
        store.verify(source)
        out, missing = self._open(), self._row
        for batch in store.read(source, batch_rows=batch_rows):
            if missing <= 0:
                break
            out.write(batch.slice(0, missing))
            missing -= batch.num_rows
        self._keep(waiting)
        for batch in store.read(source, batch_rows=batch_rows, from_row=self._row):
            self._apply(batch)

    def finish(self, source: Snapshot) -> Transformed:
        """Seal the snapshot and its dead letters.
        All rows of `source` were taken, or the rest waits to be read from it."""
        event, letters = self._event, self._letters
        if self._waiting is not None:
            self._catch_up(source, self._waiting)
        if event.whole_window:
            table = pa.Table.from_batches(self._held, self._schema).combine_chunks()
            self._held.clear()
            batches = table.to_batches() or [pa.RecordBatch.from_pylist([], schema=self._schema)]
            if len(batches) > 1 and self._out is None:  # over 2 GiB of text; a later batch could not wait
                self._open()
            for batch in batches:
                self._apply(batch)
        self._judge_chosen()
        passed, verdict = verdict_of(event, rows=self._row, dead=letters.dead, reasons=letters.reasons)
        facts = {
            "code_version": event.code_version,
            "contract": event.contract.fingerprint,
            "source": source.sha256,
            "rows_in": self._row,
            "dead": letters.dead,
            "dropped": self._dropped,
            "judged": self._judged,
            "run_id": self._run_id,
            "written_at": now(),
        }
        if self._out is not None:
            snapshot = self._out.finish(facts, make_current=False)
        else:
            store = self._platform.snapshots
            snapshot = store.share(source, event.full_name, self._window.key, "transformed", facts)
        stored = finish_letters(letters, self._dead, snapshot, {**facts, "passed": passed})
        return Transformed(
            snapshot,
            self._row,
            letters.dead,
            self._dropped,
            dict(letters.reasons),
            stored,
            tuple(letters.sample),
            passed,
            verdict,
            {**facts, "passed": passed, "reason": verdict, "letters": stored.sha256},
            self._again.found() if self._again is not None else None,
            judged=self._judged,
        )

    def close(self) -> None:
        """Delete what is not sealed."""
        self._opened.close()


def _untouched(done: TransformedBatch, batch: pa.RecordBatch) -> bool:
    return not done.dead.num_rows and not done.rows_dropped and same_buffers(done.rows, batch)


class _Following:
    """Follows the source rows of dead letters through the batches of a retry."""

    def __init__(self, tried: RetriedRows) -> None:
        self._tried = tried
        self._rows: list[Integers] = [np.array([], np.int64)]
        self._met = 0
        self._lost = tried.unknown > 0

    def follow(self, done: TransformedBatch, *, first_row: int, first_out: int) -> None:
        tried = self._tried
        low, high = np.searchsorted(tried.rows, [first_row, first_row + done.rows_in])
        if low == high:
            return
        letters = done.dead.column("source_row")
        if done.source_rows is None or letters.null_count:
            self._lost = True
            return
        from_letters = tried.among(done.source_rows)
        self._rows.append(first_out + np.flatnonzero(from_letters))
        dead = letters.to_numpy()
        met = np.concatenate([done.source_rows[from_letters], dead[tried.among(dead)]])
        self._met += len(np.unique(met))

    def found(self) -> RetryOutcome | None:
        if self._lost:
            return None
        return RetryOutcome(np.concatenate(self._rows), len(self._tried.rows) - self._met)


def finish_letters(
    letters: LetterWriter, out: SnapshotWriter, snapshot: Snapshot, facts: Mapping[str, Any]
) -> Snapshot:
    """Seal the letters of `snapshot`, with the counts that lists of letters show."""
    return out.finish(
        {
            "transformed": snapshot.sha256,
            "event": letters.event,
            "window": letters.window,
            "reasons": dict(letters.reasons),
            **{name: facts[name] for name in ("dead", "rows_in", "passed", "run_id", "written_at")},
        },
        make_current=False,
    )


def make_current(event: Event, window: Window, platform: Platform, done: Transformed) -> None:
    """Make the result the window's newest, with its verdict and its dead letters."""
    store, name = platform.snapshots, event.full_name
    # The verdict is written before the pointer: rows that were valid once and are blocked now have the same
    # hash as then, and a run that is killed between the two writes must not leave the old verdict in force.
    store.set_validation(name, window.key, done.snapshot.sha256, done.facts)
    # The window's dead letters are always those of its current snapshot, even if there are none.
    store.set_current(name, window.key, "dead", done.letters)
    store.set_current(name, window.key, "transformed", done.snapshot)


def blocked(event: Event, window: Window, done: Transformed) -> Blocked:
    """The error for the operator of a window that must not be published."""
    return Blocked(
        f"{event.full_name} {window.key}",
        f"blocked: {told_of(done)}",
        next_step=f"sluice dead-letters {event.full_name} {window.key} shows them; "
        f"fix {event.module_path.name} or the data, and materialize the window again, or redrive it; nothing was published",
        transformed=done,
    )


def told_of(done: Transformed) -> str:
    """The verdict with the first dead letter, if there is one."""
    if not done.sample:
        return done.verdict
    letter = done.sample[0]
    if letter["reason"] == Reason.TRANSFORM_RAISED:
        if set(done.reasons) == {Reason.TRANSFORM_RAISED} and done.dead == done.rows_in:
            return f"the transform raises on every row: {letter['detail']}"
        return f"{done.verdict}; first: row {letter['source_row']}: the transform raises {letter['detail']}"
    return (
        f"{done.verdict}; first: row {letter['source_row']}, field {letter['field']}: {letter['detail']} "
        f"(value {letter['value']})"
    )


def transformer_of(
    event: Event, window: Window, *, outcome: str = "nothing was published", judged: bool = True
) -> Transformer:
    """The event's transformer for one window. `outcome`: the words for what happens to a row that is judged
    wrong; `judged`: whether rows are judged."""
    return Transformer(
        event.contract,
        transform=event.transform,
        key=event.key,
        event_time=event.event_time,
        event_id=event.event_id,
        window_start=window.start,
        window_end=window.end,
        whole_window=event.whole_window,
        record_timestamp=event.record_timestamp,
        where=f"{event.full_name} {window.key}",
        outcome=outcome,
        judged=judged,
    )


def rows_schema(event: Event) -> pa.Schema:
    """The Arrow schema of the event's transformed snapshots."""
    contract = event.contract.without(event.event_id) if event.event_id else event.contract
    # The key field belongs to an event although it is no column of its own:
    # another key field gives another snapshot.
    return contract.arrow_schema.with_metadata({"sluice.key": event.key})


def verdict_of(event: Event, *, rows: int, dead: int, reasons: Mapping[str, int]) -> tuple[bool, str]:
    """Whether the event's policy lets the window be published with `dead` of `rows`
    rows left out, and why."""
    if not dead:
        return True, "every row fits the contract" if rows else "the window has no rows"
    listed = ", ".join(
        f"{reason} {count:,}" for reason, count in sorted(reasons.items(), key=lambda r: -r[1])
    )
    told = f"{dead:,} of {counted(rows, 'row does', 'rows do')} not fit the contract ({listed})"
    if event.dead_letters == "block":
        return False, f"{told}; dead_letters='block' allows none"
    # A transform may make more rows than it was given, and more dead ones.
    share = dead / max(rows, dead)
    allowed = f"dead_letters={event.dead_letters} allows {event.dead_letters:.2%}, this is {share:.2%}"
    return share <= event.dead_letters, f"{told}; {allowed}"
