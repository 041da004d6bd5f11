"""What a few real rows show about an event, as findings. Each finding says what it is based on."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.event_check.empty_frame import RaisedOnEmpty, require_columns
from pipelines.event_check.outcome import EVENTS, Difference
from pipelines.event_check.repeatability import ROWS, Answers, answers
from pipelines.event_check.row_by_row import RowByRow, Way, row_by_row
from pipelines.event_check.sample import MOST_ROWS, Sample, samples_of, store
from pipelines.event_check.time_limits import Asking, Calls
from pipelines.preflight.finding import Finding, failures_of
from pipelines.preflight.largest_record import LargestRecord
from pipelines.publishing.stored_rows import new_encoder
from pipelines.stages.transform import Transformed, told_of, transform_window
from pipelines.transform.authors_code import OutOfTime
from resources.errors import SluiceError
from resources.kafka.record_sizes import compresses
from resources.platform import Platform
from resources.warehouse import TookTooLong
from resources.wording import counted

T = TypeVar("T")
_ROWS_ALONE = (
    "a transform is called once per batch, so its events must not depend on the other rows of a frame: write this in "
    "the SQL, or declare whole_window=True"
)
# How the same rows were transformed in another way, and what to do if the result differs.
_WAYS: Mapping[Way, tuple[str, str]] = {
    "few rows": ("when the transform gets only the first of these rows", _ROWS_ALONE),
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
_LEFT_OUT: Mapping[Way, str] = {
    "halves": "halves of these rows",
    "another place": "another place in the window",
    "again": "a second call with the same rows",
    "other rows before": "a fresh copy of the module",
}
_MOST_NAMED = 10


def check_rows(
    event: Event, platform: Platform, windows: Sequence[Window]
) -> Generator[Finding, None, LargestRecord | None]:
    """Check `event` with a few rows of one of `windows` (in time order), and return the largest record of
    these rows. Nothing of it is kept. The queries have one time limit, and the transform has another."""
    records: list[LargestRecord] = []
    calls = Calls()
    subject, left_out, window = "rows", "not tried", None
    with platform.aside() as aside:
        asking = Asking(aside.warehouse(event.warehouse))
        try:
            samples = samples_of(event, aside, windows)
            with asking:
                sample = next(samples, None)
            if sample is None:
                with asking:
                    yield from _without_rows(calls.of(event), aside, windows)
                return None
            window = sample.window.key
            # This is first: the transform must not yet remember anything of earlier calls.
            compared = yield from _in_time(
                event, sample, calls, _transformed(event, sample, aside, calls, records)
            )
            subject = "repeatable"
            with asking:
                found = answers(event, sample, aside)
            yield from _of(sample, _repeatable(event, sample, found))
            subject, left_out, window = "rows", "no other window was tried", None
            # If there was no time for one row, there is no time for another window.
            while compared:
                with asking:
                    sample = next(samples, None)
                if sample is None:
                    break
                fitting = _fitting(calls.of(event), sample.first(compared), aside, records)
                yield from _in_time(event, sample, calls, fitting)
        except TookTooLong as error:
            yield Finding(subject, "unknown", f"{left_out}: {error.problem}", error.next_step, window=window)
        except SluiceError as error:
            yield from (replace(one, window=window) for one in failures_of(subject, error))
    return max(records, key=lambda one: one.bytes, default=None)


def _transformed(
    event: Event, sample: Sample, aside: Platform, calls: Calls, records: list[LargestRecord]
) -> Generator[Finding, None, int]:
    """Checks the transform with the sample. Returns how many rows of another window to check."""
    if event.transform is None:
        yield from _fitting(event, sample, aside, records)
        return MOST_ROWS
    compared = row_by_row(event, sample.window, sample.rows, calls)
    yield from _fitting(compared.repeated, sample.first(compared.rows), aside, records)
    if not compared.stopped:  # otherwise the findings about the window's rows say so
        yield from _row_by_row(event, sample, compared)
    return MOST_ROWS if compared.rows == sample.rows.num_rows else compared.rows


def _in_time(
    event: Event, sample: Sample, calls: Calls, findings: Generator[Finding, None, T]
) -> Generator[Finding, None, T | None]:
    """The findings about a window, or one finding that the transform did not return in time."""
    try:
        return (yield from _of(sample, findings))
    except OutOfTime:
        told = f"the rows of window {sample.window.key} were not tried: {event.module_path.name} did not return in time"
        yield Finding(
            "rows",
            "warning",
            f"{told} (all calls of a transform together get {calls.seconds:g} s in a check)",
            _slow(event),
            window=sample.window.key,
        )
        return None


def _of(sample: Sample, findings: Generator[Finding, None, T]) -> Generator[Finding, None, T]:
    """The findings, with their window."""
    while True:
        try:
            yield replace(next(findings), window=sample.window.key)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def _slow(event: Event) -> str:
    return f"a run calls {event.module_path.name} for every batch of rows, and waits for as long as it takes: make it faster"


def _without_rows(event: Event, aside: Platform, windows: Sequence[Window]) -> Iterator[Finding]:
    """Without rows, only names and the types that cannot change with rows
    can be compared with the contract."""
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
    except OutOfTime:
        told += f"; {event.module_path.name} did not return in time for a frame without rows"
    except RaisedOnEmpty as error:
        told += f"; without rows the transform raises {error}, which says nothing of a run: it gets no empty frame"
    yield Finding(
        "rows",
        "warning" if windows else "unknown",
        told,
        f"sluice check {event.name} WINDOW tries a window that has rows" if windows else None,
    )


def _fitting(
    event: Event, sample: Sample, aside: Platform, records: list[LargestRecord]
) -> Generator[Finding, None, None]:
    """Compares the sample with the contract, as a run does. The largest record is added to `records`."""
    store(sample, event, aside)
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
        yield Finding("rows", "ok", f"{read} fit{'s' * (sample.rows.num_rows == 1)} the contract")
    if done.dropped:
        yield Finding(
            "rows",
            "warning",
            f"the transform leaves out {done.dropped:,} of {counted(done.rows_in, 'row')}: they are never published",
            "leave them out in the query, so that a reviewer sees it",
        )
    yield from _encoded(event, sample, done, aside, records)


def _encoded(
    event: Event, sample: Sample, done: Transformed, aside: Platform, records: list[LargestRecord]
) -> Generator[Finding, None, None]:
    batches = aside.snapshots.read(done.snapshot, batch_rows=aside.settings.batch_rows)
    encoder = new_encoder(event, 0)
    encoded = [encoder.encode(batch, with_ids=True) for batch in batches]
    ids = [text for batch in encoded if batch.event_ids is not None for text in batch.event_ids.to_pylist()]
    if twice := len(ids) - len(set(ids)):
        yield Finding(
            "rows",
            "warning",
            f"{twice:,} of {counted(len(ids), 'event is', 'events are')} equal to another one of window {sample.window.key}, in every field",
            "does a join multiply rows? If they are meant, give them a field that tells them apart",
        )
    sizes = [
        (len(key) + len(value), value)
        for batch in encoded
        for key, value in zip(batch.keys.to_pylist(), batch.values.to_pylist(), strict=True)
    ]
    if sizes:
        largest, value = max(sizes)
        stored = len(pa.compress(value, "lz4", asbytes=True)) if compresses(aside.settings) else largest
        records.append(LargestRecord(sample.window.key, largest, stored))


def _row_by_row(event: Event, sample: Sample, found: RowByRow) -> Generator[Finding, None, None]:
    rows = _many(found.rows)
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
        yield Finding("row by row", "ok", f"{rows} give the same events {_ways(event, found)}")
    if found.not_tried or found.rows < sample.rows.num_rows:
        yield Finding("row by row", "warning", _too_slow(sample, found), _slow(event))
    if not found.keeps_index:
        yield Finding(
            "row by row",
            "warning",
            "the transform loses the index of its rows (merge, reset_index): a dead letter cannot name its row, and "
            "cannot be redriven once the window is published",
            'keep it: rows.merge(...).set_index(rows.index) where the merge gives one row each, or rows["x"] = '
            'rows["key"].map(...)',
        )


def _ways(event: Event, found: RowByRow) -> str:
    ways = ["as one frame" if "again" in found.not_tried else "as one frame, twice"]
    if not event.whole_window:
        ways += [] if "halves" in found.not_tried else ["as halves"]
        ways.append(f"and alone ({found.singles} of them)")
    return ", ".join(ways)


def _too_slow(sample: Sample, found: RowByRow) -> str:
    """What was not tried because the transform is slow."""
    fewer = found.rows < sample.rows.num_rows
    tried = (
        [f"only {_many(found.rows)} of {sample.rows.num_rows:,} {_were(found.rows)} tried"] if fewer else []
    )
    if "single rows" in found.not_tried:
        tried.append(f"only {_many(found.singles)} {_were(found.singles)} tried one by one")
    left_out = [_LEFT_OUT[way] for way in found.not_tried if way in _LEFT_OUT]
    tried += [f"not tried: {', '.join(left_out)}"] if left_out else []
    return f"the transform takes {found.speed}: {'; '.join(tried)}"


def _repeatable(event: Event, sample: Sample, found: Answers) -> Generator[Finding, None, None]:
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
        rows = _many(found.rows)
        turned = "" if found.reordered is None else ", also with its tables read in another order"
        yield Finding("repeatable", "ok", f"the query gave the same {rows} twice{turned}")


def _where(event: Event, sample: Sample) -> str:
    return f"{event.full_name} {sample.window.key}"


def _named(difference: Difference) -> str:
    if difference.column == ROWS:
        return f"{ROWS} {difference.told}"
    column = difference.column if difference.column == EVENTS else f"column {difference.column!r}"
    return f"{column} of {difference.place} {difference.told}"


def _many(rows: int) -> str:
    return counted(rows, "row")


def _were(rows: int) -> str:
    return "was" if rows == 1 else "were"


def _read(sample: Sample) -> str:
    rows = sample.rows.num_rows
    which = "the first" if not sample.whole else "all" if rows != 1 else "the only"
    # A single row is named without its number.
    return f"{which} {_many(rows) if rows != 1 else 'row'} of window {sample.window.key}"
