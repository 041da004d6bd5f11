"""Step 2: sourced rows pass through the transform and the contract; what does not fit is kept as dead letters."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.steps.letters import Integers, LetterWriter, Tried
from pipelines.transform import LETTERS_SCHEMA, TransformedBatch, Transformer
from resources.errors import SluiceError
from resources.memory import give_back
from resources.platform import Platform
from resources.snapshots import Snapshot, SnapshotWriter


@dataclass(frozen=True)
class Again:
    """What became of the source rows of earlier dead letters: `rows` of the snapshot (ascending) came of them, and
    of `left_out` of them came neither a row nor another letter."""

    rows: Integers
    left_out: int


@dataclass(frozen=True)
class Transformed:
    """A window's second snapshot and whether it may be published.

    `dead` counts every row that did not fit, `reasons` by reason class; `letters` holds them all, `sample` a few for
    people. `dropped`: rows the transform left out. `facts` is what the store notes of it. `again`: what became of
    the earlier dead letters that were told; None where the transform lost the index, so that this is not known.
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
    again: Again | None = None


class Blocked(SluiceError):
    """The window's rows do not fit the contract and nothing of it may be published. `transformed` where the rows
    were tried by this run."""

    def __init__(
        self, where: str, problem: str, *, next_step: str, transformed: Transformed | None = None
    ) -> None:
        self.transformed = transformed
        super().__init__(where, problem, next_step=next_step)


def transform_window(event: Event, window: Window, platform: Platform, *, run_id: str) -> Transformed:
    """Transform and conform the window's `sourced` snapshot, and record whether the result may be published.

    Raises ConformError and TransformFailed for mistakes of the module, SluiceError where sourced is missing.
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
    tried: Tried | None = None,
) -> Transformed:
    """`source` through the transform and the contract, stored and not yet the window's current snapshot.

    `tried`: dead letters of an earlier try of the same rows.
    """
    store = platform.snapshots
    # The file may have been altered since the step before wrote it.
    store.verify(source)
    with closing(Trying(event, window, platform, store.schema(source), run_id=run_id, tried=tried)) as trying:
        for batch in store.read(source, batch_rows=platform.settings.batch_rows):
            trying.take(batch)
        return trying.finish(source)


class Trying:
    """Source rows on their way through the transform and the contract into a snapshot and its dead letters.

    To be closed; what was not finished by then is gone. `schema` is that of the source rows.
    """

    def __init__(
        self,
        event: Event,
        window: Window,
        platform: Platform,
        schema: pa.Schema,
        *,
        run_id: str,
        tried: Tried | None = None,
    ) -> None:
        self._event, self._schema, self._run_id = event, schema, run_id
        self._transformer = Transformer(
            event.contract,
            transform=event.transform,
            key=event.key,
            event_time=event.event_time,
            event_id=event.event_id,
            window_start=window.start,
            window_end=window.end,
            whole_window=event.whole_window,
            where=f"{event.full_name} {window.key}",
        )
        self._row, self._dropped = 0, 0
        self._again = _Following(tried) if tried is not None else None
        self._held: list[pa.RecordBatch] = []
        store = platform.snapshots
        with ExitStack() as opened:
            self._out = opened.enter_context(
                store.writer(event.full_name, window.key, "transformed", rows_schema(event))
            )
            self._dead = opened.enter_context(
                store.writer(event.full_name, window.key, "dead", LETTERS_SCHEMA)
            )
            self._opened = opened.pop_all()
        self._letters = LetterWriter(
            self._dead,
            event=event.full_name,
            window=window.key,
            run_id=run_id,
            most_whole=platform.settings.max_dead_letters,
            tried=tried,
        )

    def take(self, batch: pa.RecordBatch) -> None:
        """The next rows, in the batches in which the source snapshot is read."""
        if self._event.whole_window:
            self._held.append(batch)
        else:
            self._apply(batch)

    def _apply(self, batch: pa.RecordBatch) -> None:
        done = self._transformer.apply(batch, self._row)
        if self._again is not None:
            self._again.follow(done, first_row=self._row, first_out=self._out.rows)
        self._row += batch.num_rows
        self._dropped += done.rows_dropped
        self._out.write(done.rows)
        self._letters.write(done.dead)

    def finish(self, source: Snapshot) -> Transformed:
        """All rows of `source` were taken: seal what came of them."""
        event, letters = self._event, self._letters
        if event.whole_window:
            table = pa.Table.from_batches(self._held, self._schema).combine_chunks()
            self._held.clear()
            for batch in table.to_batches() or [pa.RecordBatch.from_pylist([], schema=self._schema)]:
                self._apply(batch)
        passed, verdict = verdict_of(event, rows=self._row, dead=letters.dead, reasons=letters.reasons)
        facts = {
            "code_version": event.code_version,
            "contract": event.contract.fingerprint,
            "source": source.sha256,
            "rows_in": self._row,
            "dead": letters.dead,
            "dropped": self._dropped,
            "run_id": self._run_id,
            "written_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        snapshot = self._out.finish(facts, make_current=False)
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
        )

    def close(self) -> None:
        """Remove what is not sealed."""
        self._opened.close()


class _Following:
    """Follows the source rows of dead letters through the batches of another try."""

    def __init__(self, tried: Tried) -> None:
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

    def found(self) -> Again | None:
        if self._lost:
            return None
        return Again(np.concatenate(self._rows), len(self._tried.rows) - self._met)


def finish_letters(
    letters: LetterWriter, out: SnapshotWriter, snapshot: Snapshot, facts: Mapping[str, Any]
) -> Snapshot:
    """Seal the letters of `snapshot`, with the counts that lists of them are made of."""
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
    # The verdict before the pointer: rows that were fine once, and are blocked now, have the hash of then, and a
    # run killed between the two would leave the old verdict standing.
    store.set_validation(name, window.key, done.snapshot.sha256, done.facts)
    # The window's dead letters are always those of its current snapshot, also when there are none.
    store.set_current(name, window.key, "dead", done.letters)
    store.set_current(name, window.key, "transformed", done.snapshot)


def blocked(event: Event, window: Window, platform: Platform, done: Transformed) -> Blocked:
    """What the operator of a window that must not be published is told."""
    letter = done.sample[0] if done.sample else None
    first = (
        f"; first: row {letter['source_row']}, field {letter['field']}: {letter['detail']} (value {letter['value']})"
        if letter
        else ""
    )
    return Blocked(
        f"{event.full_name} {window.key}",
        f"blocked: {done.verdict}{first}",
        next_step=f"read {platform.snapshots.url(done.letters)}, mend {event.module_path.name} or the data, and "
        "materialize the window again, or redrive it; nothing was published",
        transformed=done,
    )


def rows_schema(event: Event) -> pa.Schema:
    """Arrow schema of the event's transformed snapshots."""
    contract = event.contract.without(event.event_id) if event.event_id else event.contract
    # The key is part of an event though it is no column of its own: another key, another snapshot.
    return contract.arrow_schema.with_metadata({"sluice.key": event.key})


def verdict_of(event: Event, *, rows: int, dead: int, reasons: Mapping[str, int]) -> tuple[bool, str]:
    """Whether the event's policy lets the window be published with `dead` of `rows` rows left out, and why."""
    if not dead:
        return True, "every row fits the contract"
    listed = ", ".join(
        f"{reason} {count:,}" for reason, count in sorted(reasons.items(), key=lambda r: -r[1])
    )
    told = f"{dead:,} of {rows:,} rows do not fit the contract ({listed})"
    if event.dead_letters == "block":
        return False, f"{told}; dead_letters='block' allows none"
    # A transform may make more rows of a window than it was given, and more of them dead.
    share = dead / max(rows, dead)
    allowed = f"dead_letters={event.dead_letters} allows {event.dead_letters:.2%}, this is {share:.2%}"
    return share <= event.dead_letters, f"{told}; {allowed}"
