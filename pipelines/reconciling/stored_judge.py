"""Judges a published window's stored snapshots: what the conformer made of the sourced rows then,
without the warehouse."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.independent_judge.errors import Misjudged, NotJudged
from pipelines.ledger.entry import LedgerEntry
from pipelines.stages.transform import transformer_of
from pipelines.transform import Transformer
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot, SnapshotError

# The most source rows that are judged for an event with a transform,
# because the transform runs again for them.
_MOST_TRANSFORMED = 500_000
_OUTCOME = "the topic holds it: publish the window again, or replay it, with this version"


class StoredJudge:
    """Judges the snapshot that `entry` published, if the event's module is still the one that made it."""

    def __init__(self, event: Event, platform: Platform, entry: LedgerEntry) -> None:
        self._event, self._store, self._entry = event, platform.snapshots, entry
        self._batch_rows = platform.settings.batch_rows
        self._window = event.windows.window(entry.window)

    def judge(self) -> tuple[int, str | None]:
        """How many rows were judged, and why no row was judged, or None. Raises Misjudged."""
        try:
            return self._judged(), None
        except NotJudged as why:
            return 0, str(why)
        except SnapshotError as error:  # the topic is compared with what is stored in any case
            return 0, f"{error.where} {error.problem}"

    def _judged(self) -> int:
        rows, source, dead = self._snapshots()
        limit = source.rows
        if self._event.transform is not None:
            if self._event.whole_window and limit > _MOST_TRANSFORMED:
                raise NotJudged("the transform needs the whole window, and that is large")
            limit = min(limit, _MOST_TRANSFORMED)
        if self._event.transform is None and rows.rows != source.rows - len(dead):
            raise NotJudged("the snapshots were not made of each other")
        judged = first = 0
        transformer = transformer_of(self._event, self._window, outcome=_OUTCOME)
        stored = _Stored(self._store.read(rows, batch_rows=self._batch_rows))
        for batch in self._batches(source):
            if first >= limit:
                break
            try:
                judged += transformer.judge_stored(batch, first, dead, stored.take)
            except Misjudged:
                self._require_steady(transformer, batch, first)
                raise
            except SluiceError as error:  # the transform, which never ran for these rows alone before
                raise NotJudged(error.problem) from None
            first += batch.num_rows
        return judged

    def _snapshots(self) -> tuple[Snapshot, Snapshot, npt.NDArray[np.int64]]:
        """The stored rows, the sourced rows that they were made from,
        and the numbers of those that became dead letters."""
        entry, name = self._entry, self._entry.event
        facts = self._store.validation(name, entry.window, entry.snapshot) or {}
        if (
            facts.get("code_version") != self._event.code_version
            or entry.contract != self._event.contract.fingerprint
        ):
            raise NotJudged("another version of the module made the rows")
        rows = self._store.find(name, entry.window, "transformed", entry.snapshot)
        source = self._store.find(name, entry.window, "sourced", str(facts.get("source")))
        if rows is None or source is None:
            raise NotJudged("the sourced snapshot is not stored any more")
        # Otherwise a damaged value would count as one that the transform made wrong.
        self._store.verify(source)
        if not facts.get("dead"):
            return rows, source, np.array([], np.int64)
        letters = self._store.find(name, entry.window, "dead", str(facts.get("letters")))
        if letters is None:
            raise NotJudged("the dead letters are not stored any more")
        self._store.verify(letters)
        columns = [
            batch.column("source_row") for batch in self._store.read(letters, batch_rows=self._batch_rows)
        ]
        if any(column.null_count for column in columns):
            raise NotJudged("the transform does not keep the frame's index, and some rows are dead letters")
        return rows, source, np.unique(np.concatenate([column.to_numpy() for column in columns]))

    def _batches(self, source: Snapshot) -> Iterator[pa.RecordBatch]:
        batches = self._store.read(source, batch_rows=self._batch_rows)
        if not self._event.whole_window:
            yield from batches
            return
        table = pa.Table.from_batches(list(batches), self._store.schema(source)).combine_chunks()
        whole = table.to_batches()
        if len(whole) > 1:
            raise NotJudged("the transform needs the whole window, and that is large")
        yield from whole

    def _require_steady(self, transformer: Transformer, batch: pa.RecordBatch, first: int) -> None:
        """Raise NotJudged if the transform gives other rows for the same input each time."""
        if self._event.transform is None:
            return
        one, other = (transformer.transformed(batch, first) for _ in range(2))
        if one != other:
            raise NotJudged("the transform makes other rows of the same ones each time")


class _Stored:
    """Stored rows, taken in their order."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._waiting: pa.RecordBatch | None = None

    def take(self, rows: int) -> pa.RecordBatch:
        """The next `rows` rows. Raises NotJudged if there are fewer."""
        parts: list[pa.RecordBatch] = []
        while rows:
            batch = self._waiting if self._waiting is not None else next(self._batches, None)
            if batch is None:
                raise NotJudged("the snapshots were not made of each other")
            parts.append(batch.slice(0, rows))
            rows -= parts[-1].num_rows
            self._waiting = batch.slice(parts[-1].num_rows)
            if not self._waiting.num_rows:
                self._waiting = None
        if len(parts) == 1:
            return parts[0]
        columns = [pa.concat_arrays([part.column(n) for part in parts]) for n in range(parts[0].num_columns)]
        return pa.RecordBatch.from_arrays(columns, schema=parts[0].schema)
