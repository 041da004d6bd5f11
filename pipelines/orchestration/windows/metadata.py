"""What an operator reads about each window in the UI after it has run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import dagster as dg
import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.publishing.result import PublishResult
from pipelines.reconciling.records.event_reader import EventReader, printable
from pipelines.stages.transform import Transformed
from resources.errors import SluiceError
from resources.kafka.errors import ClientFault
from resources.kafka.factory import Reader
from resources.platform import Platform
from resources.snapshots import Snapshot

Metadata = dict[str, Any]
_FEW_RECORDS = 1_000


def arrow_columns(schema: pa.Schema) -> dg.TableSchema:
    """An Arrow schema as a Dagster column schema."""
    return dg.TableSchema(columns=[dg.TableColumn(name=field.name, type=str(field.type)) for field in schema])


def of_sourced(snapshot: Snapshot, platform: Platform) -> Metadata:
    """How many rows there are and where;
    how many rows an independent reading judged, and what else to know about them."""
    known = {name: snapshot.facts[name] for name in ("not_judged",) if name in snapshot.facts}
    if told := unsteady(snapshot):
        known["unsteady"] = told
    return {
        **known,
        "rows_judged": snapshot.facts.get("judged", 0),
        "dagster/partition_row_count": snapshot.rows,
        "snapshot_bytes": snapshot.bytes,
        "snapshot": dg.MetadataValue.path(platform.snapshots.url(snapshot)),
        "dagster/column_schema": arrow_columns(platform.snapshots.schema(snapshot)),
    }


def unsteady(snapshot: Snapshot) -> str | None:
    """The warning about a query that gives another answer each time; None if the query does not."""
    columns = snapshot.facts.get("unsteady")
    if not columns:
        return None
    return (
        f"the query answers differently each time it is asked, in column {', '.join(columns)}: each run publishes other "
        "values (float sums, any_value, random, now); see docs/reconciliation.md#the-independent-judge"
    )


def of_transformed(done: Transformed, platform: Platform) -> Metadata:
    """Rows in, out, dead and dropped, and the verdict."""
    metadata: Metadata = {
        "dagster/partition_row_count": done.snapshot.rows,
        "rows_in": done.rows_in,
        "rows_dropped_by_transform": done.dropped,
        "rows_judged": done.judged,
        "verdict": done.verdict,
        "snapshot_bytes": done.snapshot.bytes,
        "snapshot": dg.MetadataValue.path(platform.snapshots.url(done.snapshot)),
    }
    return metadata | of_dead_letters(done, platform)


def of_dead_letters(done: Transformed, platform: Platform) -> Metadata:
    """The number of dead letters, in all and by reason (numbers, which Dagster plots window by window); where
    they are; and the first few as a table."""
    counts: Metadata = {
        "rows_dead": done.dead,
        # A transform may make more rows than it was given.
        "dead_share": done.dead / max(done.rows_in, done.dead, 1),
        **{f"dead_{reason}": count for reason, count in sorted(done.reasons.items())},
    }
    if not done.dead:
        return counts
    names = ("field", "reason", "value", "detail", "source_row", "row")
    return counts | {
        "dead_letters": dg.MetadataValue.path(platform.snapshots.url(done.letters)),
        "dead_letter_reasons": dg.MetadataValue.json(dict(done.reasons)),
        "dead_letter_sample": dg.MetadataValue.table(
            [dg.TableRecord({name: _cell(letter[name]) for name in names}) for letter in done.sample]
        ),
    }


def _cell(value: object) -> str | int:
    return value if isinstance(value, int) else str(value)


Sample = Callable[[], dg.MetadataValue]


def of_published(event: Event, result: PublishResult, dead: int, sample: Sample) -> Metadata:
    """Counts, offsets, schema and speed of what this run did,
    and a few events that were read back from the topic."""
    # A replay may be of one event; the topic holds as many rows of the window as before.
    counted = {} if result.action == "replay" else {"dagster/partition_row_count": result.rows_read}
    metadata: Metadata = {
        **counted,
        "topic": result.topic or event.topic,
        "action": result.action,
        "outcome": result.outcome,
        "because": result.because,
        "generation": result.generation,
        "rows_read": result.rows_read,
        "rows_published": result.published,
        "rows_skipped": result.skipped,
        "rows_dead": dead,
        "rows_gone": result.gone,
        "rows_stale": result.stale,
        "tombstones": result.tombstones,
        "bytes_sent": result.bytes_sent,
        "transactions": result.transactions,
        "schema_id": result.schema_id,
        "snapshot_sha256": result.snapshot,
    }
    if result.published:
        metadata |= {
            "rows_per_second": round(result.rows_per_second),
            "encoding": result.encoding,
            "offsets": dg.MetadataValue.json(
                {
                    str(p): {"first": first, "last": last}
                    for p, (first, last) in sorted(result.offsets.items())
                }
            ),
            "sample": sample(),
        }
    return metadata


def of_waiting(before: Mapping[str, float], after: Mapping[str, float]) -> Metadata:
    """Seconds that a window's publication waited, by cause; empty if it did not wait."""
    waited = {cause: seconds - before.get(cause, 0.0) for cause, seconds in after.items()}
    return {f"seconds_waited_{cause}": round(seconds, 1) for cause, seconds in waited.items() if seconds > 0}


@contextmanager
def sampling(event: Event, result: PublishResult, platform: Platform, most: int = 3) -> Iterator[Sample]:
    """A few of the published events, read back. They are fetched while the block does something else."""
    topic = result.topic or event.topic
    starts = {p: first for p, (first, _) in result.offsets.items()}
    wanted = min(most, result.published)
    reader = EventReader(platform)
    with ExitStack() as opened:
        begun: Reader | None = None
        # For a large window, too much would be fetched that nobody needs.
        if 0 < result.published < _FEW_RECORDS:
            with suppress(SluiceError, ClientFault):
                begun = opened.enter_context(reader.fetching(topic, starts))

        def sample() -> dg.MetadataValue:
            found: list[dict[str, Any]] = []
            try:
                records = (
                    reader.read(topic, starts) if begun is None else reader.fetched(begun, topic, starts)
                )
                with closing(records):
                    for record in records:
                        found.append(printable(record))
                        # Do not read to the end of the topic:
                        # the end is only known when nothing has come for a while.
                        if len(found) >= wanted:
                            break
            except (SluiceError, ClientFault) as error:
                # The window is published. That this login may not read it here does not change that.
                return dg.MetadataValue.text(f"not read back: {error}")
            return dg.MetadataValue.json(found)

        yield sample
