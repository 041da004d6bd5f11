"""What a few real rows show of an event, as findings. Every one says what it rests on."""

from collections.abc import Generator, Iterator, Mapping, Sequence

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.preflight.facts import LargestRecord
from pipelines.preflight.finding import Finding, failures_of
from pipelines.publishing.stored import new_encoder
from pipelines.rehearsal.answers import ROWS, answers
from pipelines.rehearsal.empty_frame import RaisedOnEmpty, require_columns
from pipelines.rehearsal.outcome import EVENTS, Difference
from pipelines.rehearsal.row_by_row import RowByRow, Way, row_by_row
from pipelines.rehearsal.sample import Sample, rows_of, samples_of
from pipelines.steps.transformed import Transformed, told_of, transform_window
from pipelines.transform import ConformError, TransformFailed
from resources.errors import SluiceError
from resources.platform import Platform
from resources.warehouse import TookTooLong

_ROWS_ALONE = (
    "a transform is called once per batch, so its events must not depend on the other rows of a frame: write this in "
    "the SQL, or declare whole_window=True"
)
# How the same rows were transformed otherwise, and what to do where it makes a difference.
_WAYS: Mapping[Way, tuple[str, str]] = {
    "halves": ("when the transform gets halves of the same {rows}", _ROWS_ALONE),
    "single rows": ("when the transform gets single rows of the same {rows}", _ROWS_ALONE),
    "another place": (
        "when the same {rows} have another place in their window",
        "the index is the number of a row in its window, and a late row changes it: take a number from the SQL",
    ),
    "other rows before": (
        "when a fresh copy of the module got other rows before the same {rows}",
        "a run may begin with any row and in any process: a transform remembers nothing of earlier calls, and its "
        "module holds constants only",
    ),
}
# For all questions to the warehouse together.
SECONDS = 10.0
_MOST_NAMED = 10


def rehearse(
    event: Event, platform: Platform, windows: Sequence[Window]
) -> Generator[Finding, None, LargestRecord | None]:
    """Try `event` with a few rows of one of `windows` (in time order), and return the largest record that came of
    them. Nothing of it stays."""
    records: list[LargestRecord | None] = []
    subject, left_out = "rows", "not tried"
    with platform.aside() as aside:
        try:
            with aside.warehouse(event.warehouse).within(SECONDS):
                samples = samples_of(event, aside, windows)
                sample = next(samples, None)
                if sample is None:
                    yield from _without_rows(event, aside, windows)
                    return None
                # First of all: what a transform remembers of its calls must not be there yet.
                compared = _compared(event, sample, aside)
                records.append((yield from _fitting(event, sample, aside)))
                if compared is not None:
                    yield from _row_by_row(event, sample, compared)
                subject = "repeatable"
                yield from _repeatable(event, sample, aside)
                subject, left_out = "rows", "no other window was tried"
                for other in samples:
                    records.append((yield from _fitting(event, other, aside)))
        except TookTooLong as error:
            yield Finding(subject, "unknown", f"{left_out}: {error.problem}", error.next_step)
        except SluiceError as error:
            yield from failures_of(subject, error)
    return max((one for one in records if one is not None), key=lambda one: one.bytes, default=None)


def _without_rows(event: Event, aside: Platform, windows: Sequence[Window]) -> Iterator[Finding]:
    """Without a row only names, and types that say something, can be compared with the contract."""
    if not windows:
        told = "no window is complete yet, so no row was read"
    elif len(windows) == 1:
        told = f"window {windows[0].key} has no rows"
    else:
        told = f"none of the windows {windows[0].key} to {windows[-1].key} has rows"
    warehouse = aside.warehouse(event.warehouse)
    window = windows[0] if windows else event.windows.containing(event.windows.start)
    bounds = {"window_start": window.start, "window_end": window.end}
    schema = warehouse.describe(event.source.bound(warehouse.parameter_style).sql, bounds)
    try:
        require_columns(event, schema, event.full_name)
        told += "; the columns fit the contract"
    except RaisedOnEmpty as error:
        told += f"; without rows the transform raises {error}, which says nothing of a run: it gets no empty frame"
    yield Finding(
        "rows",
        "warning" if windows else "unknown",
        told,
        f"sluice check {event.name} WINDOW tries a window that has rows" if windows else None,
    )


def _fitting(event: Event, sample: Sample, aside: Platform) -> Generator[Finding, None, LargestRecord | None]:
    done = transform_window(event, sample.window, aside, run_id="check")
    read = _read(sample)
    if done.dead:
        yield Finding(
            "rows",
            "warning" if done.passed else "failed",
            f"{event.full_name} {sample.window.key}: {'' if done.passed else 'blocked: '}{told_of(done)}; of {read}",
            f"mend {event.module_path.name} or the data; sluice preview {event.name} {sample.window.key} shows more",
        )
    else:
        yield Finding("rows", "ok", f"{read} fit the contract")
    if done.dropped:
        yield Finding(
            "rows",
            "warning",
            f"the transform leaves out {done.dropped:,} of {done.rows_in:,} rows: they are never published",
            "leave them out in the query, so that a reviewer sees it",
        )
    return (yield from _encoded(event, sample, done, aside))


def _encoded(
    event: Event, sample: Sample, done: Transformed, aside: Platform
) -> Generator[Finding, None, LargestRecord | None]:
    batches = aside.snapshots.read(done.snapshot, batch_rows=aside.settings.batch_rows)
    encoder = new_encoder(event, 0)
    encoded = [encoder.encode(batch, with_ids=True) for batch in batches]
    ids = [text for batch in encoded if batch.event_ids is not None for text in batch.event_ids.to_pylist()]
    if twice := len(ids) - len(set(ids)):
        yield Finding(
            "rows",
            "warning",
            f"{twice:,} of {len(ids):,} events are equal to another one of window {sample.window.key}, in every field",
            "does a join multiply rows? If they are meant, give them a field that tells them apart",
        )
    records = [
        (len(key) + len(value), value)
        for batch in encoded
        for key, value in zip(batch.keys.to_pylist(), batch.values.to_pylist(), strict=True)
    ]
    if not records:
        return None
    largest, value = max(records)
    return LargestRecord(sample.window.key, largest, len(pa.compress(value, "lz4", asbytes=True)))


def _compared(event: Event, sample: Sample, aside: Platform) -> RowByRow | None:
    """None where there is no transform, or where it stops the window: that is said of the window's rows."""
    if event.transform is None:
        return None
    try:
        return row_by_row(event, sample.window, rows_of(sample, aside))
    except (ConformError, TransformFailed):
        return None


def _row_by_row(event: Event, sample: Sample, found: RowByRow) -> Iterator[Finding]:
    rows = f"{sample.sourced.rows:,} row{'s' * (sample.sourced.rows != 1)}"
    for difference in found.again[:_MOST_NAMED]:
        yield Finding(
            "row by row",
            "failed",
            f"{_where(event, sample)}: {_named(difference)} when the transform is called again with the same {rows}",
            "a transform has no clock, no random numbers and no memory of earlier calls; what belongs to the window "
            "comes from the SQL: :window_start",
        )
    for way, difference in found.apart[:_MOST_NAMED]:
        when, step = _WAYS[way]
        yield Finding(
            "row by row",
            "failed",
            f"{_where(event, sample)}: {_named(difference)} {when.format(rows=rows)}",
            step,
        )
    if not found.again and not found.apart:
        parts = "" if event.whole_window else f", as halves, and alone ({found.singles} of them)"
        yield Finding("row by row", "ok", f"{rows} give the same events as one frame, twice{parts}")
    if not found.keeps_index:
        yield Finding(
            "row by row",
            "warning",
            "the transform loses the index of its rows (merge, reset_index): a dead letter cannot name its row, and "
            "cannot be redriven once the window is published",
            'keep it: rows.merge(...).set_index(rows.index) where the merge gives one row each, or rows["x"] = '
            'rows["key"].map(...)',
        )


def _repeatable(event: Event, sample: Sample, aside: Platform) -> Iterator[Finding]:
    found = answers(event, sample, aside)
    for difference in found.again[:_MOST_NAMED]:
        yield Finding(
            "repeatable",
            "failed",
            f"{_where(event, sample)}: {_named(difference)} when the query is asked again",
            "a window must have the same rows whenever it is read, or every run publishes corrections: no now(), no "
            "random(), no LIMIT; decimals where sums are taken; ties broken by ORDER BY",
        )
    for difference in (found.reordered or ())[:_MOST_NAMED]:
        yield Finding(
            "repeatable",
            "failed",
            f"{_where(event, sample)}: {_named(difference)} when the rows of the tables are read in another order, "
            "and a warehouse promises no order",
            "sum decimals in place of floats; give any_value, first, last, list and string_agg an ORDER BY; break the "
            "ties of arg_max, row_number, DISTINCT ON and LIMIT by a unique column",
        )
    if not found.again and not found.reordered:
        rows = f"{found.rows:,} row{'s' * (found.rows != 1)}"
        turned = "" if found.reordered is None else ", also with its tables read in another order"
        yield Finding("repeatable", "ok", f"the query gave the same {rows} twice{turned}")


def _where(event: Event, sample: Sample) -> str:
    return f"{event.full_name} {sample.window.key}"


def _named(difference: Difference) -> str:
    if difference.column == ROWS:
        return f"{ROWS} {difference.told}"
    column = difference.column if difference.column == EVENTS else f"column {difference.column!r}"
    return f"{column} of {difference.place} {difference.told}"


def _read(sample: Sample) -> str:
    rows = sample.sourced.rows
    many = f"all {rows:,} rows" if rows != 1 else "the only row"
    return f"{many if sample.whole else f'the first {rows:,} rows'} of window {sample.window.key}"
