"""Step 2: sourced rows pass through the transform and the contract; what does not fit is kept as dead letters."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.transform import DEAD_LETTER_SCHEMA, Transformer
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot


@dataclass(frozen=True)
class Transformed:
    """A window's second snapshot and whether it may be published.

    `dead` counts every row that did not fit, `reasons` by reason class; `letters` holds the first of them
    (at most the setting max_dead_letters), `sample` a few for people. `dropped`: rows the transform left out.
    """

    snapshot: Snapshot
    rows_in: int
    dead: int
    dropped: int
    reasons: Mapping[str, int]
    letters: Snapshot | None
    sample: tuple[Mapping[str, Any], ...]
    passed: bool
    verdict: str


def transform_window(event: Event, window: Window, platform: Platform, *, run_id: str) -> Transformed:
    """Transform and conform the window's `sourced` snapshot, and record whether the result may be published.

    Raises ConformError and TransformFailed for mistakes of the module, SluiceError where sourced is missing.
    """
    store, settings = platform.snapshots, platform.settings
    source = store.current(event.full_name, window.key, "sourced")
    if source is None:
        raise SluiceError(
            f"{event.full_name} {window.key}",
            "has no sourced snapshot",
            next_step="materialize sourced first",
        )
    # The file may have been altered since the step before wrote it.
    store.verify(source)
    contract = event.contract.without(event.event_id) if event.event_id else event.contract
    # The key is part of an event though it is no column of its own: another key, another snapshot.
    rows_schema = contract.arrow_schema.with_metadata({"sluice.key": event.key})
    transformer = Transformer(
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
    reasons: Counter[str] = Counter()
    dead_rows, dropped, row, kept = 0, 0, 0, 0
    sample: list[Mapping[str, Any]] = []
    with (
        store.writer(event.full_name, window.key, "transformed", rows_schema) as out,
        store.writer(event.full_name, window.key, "dead", DEAD_LETTER_SCHEMA) as letters,
    ):
        for batch in _batches(event, platform, source):
            done = transformer.apply(batch, row)
            row += batch.num_rows
            dropped += done.rows_dropped
            out.write(done.rows)
            if done.dead.num_rows:
                dead_rows += done.dead.num_rows
                reasons.update(done.dead.column("reason").to_pylist())
                sample += done.dead.slice(0, max(0, 5 - len(sample))).to_pylist()
                keep = done.dead.slice(0, max(0, settings.max_dead_letters - kept))
                kept += keep.num_rows
                letters.write(keep)
        passed, verdict = _verdict(event, rows=row, dead=dead_rows, reasons=reasons)
        facts = {
            "code_version": event.code_version,
            "contract": event.contract.fingerprint,
            "source": source.sha256,
            "rows_in": row,
            "dead": dead_rows,
            "dropped": dropped,
            "run_id": run_id,
            "written_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        snapshot = out.finish(facts, make_current=False)
        stored = letters.finish(
            {"transformed": snapshot.sha256, "reasons": dict(reasons), "dead": dead_rows}, make_current=False
        )
    # The verdict before the pointer: rows that were fine once, and are blocked now, have the hash of then, and a
    # run killed between the two would leave the old verdict standing.
    store.set_validation(
        event.full_name, window.key, snapshot.sha256, {**facts, "passed": passed, "reason": verdict}
    )
    # The window's dead letters are always those of its current snapshot, also when there are none.
    store.set_current(event.full_name, window.key, "dead", stored)
    store.set_current(event.full_name, window.key, "transformed", snapshot)
    return Transformed(
        snapshot,
        row,
        dead_rows,
        dropped,
        dict(reasons),
        stored if dead_rows else None,
        tuple(sample),
        passed,
        verdict,
    )


def _batches(event: Event, platform: Platform, source: Snapshot) -> Iterator[pa.RecordBatch]:
    store = platform.snapshots
    batches = store.read(source, batch_rows=platform.settings.batch_rows)
    if not event.whole_window:
        yield from batches
        return
    table = pa.Table.from_batches(list(batches), store.schema(source)).combine_chunks()
    yield from table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]


def _verdict(event: Event, *, rows: int, dead: int, reasons: Mapping[str, int]) -> tuple[bool, str]:
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
