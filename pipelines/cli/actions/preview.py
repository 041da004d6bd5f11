"""One window of an event as it would be published, made in a temporary folder that is then deleted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.encoding import decode_record
from pipelines.event_check.sample import limited_query
from pipelines.preflight.provisioning import subject_of
from pipelines.publishing.stored_rows import new_encoder
from pipelines.stages.source import source_window
from pipelines.stages.transform import transform_window
from pipelines.transform.row_json import plain_values
from resources.errors import SluiceError
from resources.platform import Platform


@dataclass(frozen=True)
class Preview:
    """`rows_in` source rows became `events`; `source` and `dead` hold at most `shown` of each as plain
    values. `passed`: whether a run would publish them, and `verdict` why. `bytes` are the sizes of all
    values, without the keys. `id_note` says why `schema_id` is 0, if it is 0."""

    rows_in: int
    source: list[dict[str, Any]]
    events: list[tuple[str, dict[str, Any]]]
    event_count: int
    bytes: list[int]
    dead_count: int
    dead_reasons: Mapping[str, int]
    dead: list[Mapping[str, Any]]
    dropped: int
    passed: bool
    verdict: str
    schema_id: int
    id_note: str | None


def preview(event: Event, window: Window, platform: Platform, *, rows: int, shown: int) -> Preview:
    """Takes at most `rows` rows of the window through every step except the last. Leaves no file behind."""
    with platform.aside() as aside:
        # The warehouse applies the limit, so that a large window costs no more than a small one.
        limited = replace(event, source=limited_query(event.source, rows))
        sourced = source_window(limited, window, aside, run_id="preview", read=lambda _: aside.let_writers())
        done = transform_window(limited, window, aside, run_id="preview")
        source = _source_rows(aside.snapshots.read(sourced, batch_rows=shown or 1), shown)
        batches = list(aside.snapshots.read(done.snapshot, batch_rows=platform.settings.batch_rows))
    schema_id, note = _schema_id(event, platform)
    return Preview(
        rows_in=done.rows_in,
        source=source,
        events=_events(event, batches, schema_id, shown),
        event_count=done.snapshot.rows,
        bytes=_sizes(event, batches, schema_id),
        dead_count=done.dead,
        dead_reasons=done.reasons,
        dead=list(done.sample),
        dropped=done.dropped,
        passed=done.passed,
        verdict=done.verdict,
        schema_id=schema_id,
        id_note=note,
    )


def _source_rows(batches: Iterable[pa.RecordBatch], most: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for batch in batches:
        columns = [plain_values(column) for column in batch.slice(0, most - len(found)).columns]
        found += [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
        if len(found) >= most:
            break
    return found


def _schema_id(event: Event, platform: Platform) -> tuple[int, str | None]:
    subject = subject_of(event.topic)
    try:
        known = platform.registry.lookup(subject, event.contract.text)
    except SluiceError as error:
        return 0, f"the registry could not be asked ({error.problem}), so schema id 0 stands for the real one"
    if known is None:
        return (
            0,
            f"this contract is not registered under {subject} yet, so schema id 0 stands for the real one",
        )
    return known, None


def _events(
    event: Event, batches: list[pa.RecordBatch], schema_id: int, shown: int
) -> list[tuple[str, dict[str, Any]]]:
    encoder = new_encoder(event, schema_id)
    found: list[tuple[str, dict[str, Any]]] = []
    for batch in batches:
        encoded = encoder.encode(batch.slice(0, shown - len(found)))
        for key, value in zip(encoded.keys, encoded.values, strict=True):
            decoded = decode_record(value.as_py(), lambda _: event.contract.text)
            found.append((key.as_py().decode("utf-8", "backslashreplace"), decoded))
        if len(found) >= shown:
            break
    return found


def _sizes(event: Event, batches: list[pa.RecordBatch], schema_id: int) -> list[int]:
    import pyarrow.compute as pc

    encoder = new_encoder(event, schema_id)
    return [size for batch in batches for size in pc.binary_length(encoder.encode(batch).values).to_pylist()]
