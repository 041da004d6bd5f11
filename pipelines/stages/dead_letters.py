"""Writes a window's dead letters to the snapshot store, and reads them back when their rows are retried."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.transform import LETTERS_SCHEMA
from resources.snapshots import SnapshotWriter

Integers = npt.NDArray[np.int64]

_SAMPLE = 5


@dataclass(frozen=True)
class RetriedRows:
    """The source rows of some dead letters (ascending, each once), and how often each was tried.

    `unknown`: the number of letters that do not name their row, because the transform lost the frame's index.
    """

    rows: Integers
    attempts: Integers
    unknown: int = 0

    @classmethod
    def of(cls, letters: Iterable[pa.RecordBatch]) -> "RetriedRows":
        """From batches of LETTERS_SCHEMA. Memory is sixteen bytes for each letter, whatever its size."""
        rows: list[Integers] = []
        attempts: list[Integers] = []
        unknown = 0
        for batch in letters:
            known = batch.filter(batch.column("source_row").is_valid())
            unknown += batch.num_rows - known.num_rows
            rows.append(known.column("source_row").to_numpy(zero_copy_only=False))
            attempts.append(known.column("attempts").to_numpy(zero_copy_only=False).astype(np.int64))
        found = np.concatenate([np.array([], np.int64), *rows])
        unique, first = np.unique(found, return_index=True)
        return cls(unique, np.concatenate([np.array([], np.int64), *attempts])[first], unknown)

    def among(self, source_rows: Integers) -> npt.NDArray[np.bool_]:
        """Which of `source_rows` are rows of these letters."""
        return np.isin(source_rows, self.rows)

    def attempts_of(self, source_rows: Integers) -> Integers:
        """How often each row was tried; 0 for rows that are not of these letters."""
        if not len(self.rows):
            return np.zeros(len(source_rows), np.int64)
        at = np.searchsorted(self.rows, source_rows).clip(max=len(self.rows) - 1)
        found: Integers = np.where(self.rows[at] == source_rows, self.attempts[at], 0)
        return found


class LetterWriter:
    """Writes all letters of a window. Letters after the first `most_whole` are written without the row and
    its value, so that a window with only dead rows stays small. `dead` and `reasons` count the letters,
    `sample` holds the first few."""

    def __init__(
        self,
        out: SnapshotWriter,
        *,
        event: str,
        window: str,
        run_id: str,
        most_whole: int,
        tried: RetriedRows | None = None,
    ) -> None:
        self._out, self._most_whole, self._tried = out, most_whole, tried
        self.event, self.window, self._run_id = event, window, run_id
        self.dead = 0
        self.reasons: Counter[str] = Counter()
        self.sample: list[Mapping[str, Any]] = []

    def write(self, letters: pa.RecordBatch) -> None:
        """Append a batch of DEAD_LETTER_SCHEMA."""
        count = letters.num_rows
        if not count:
            return
        self.reasons.update(letters.column("reason").to_pylist())
        self.sample += letters.slice(0, max(0, _SAMPLE - len(self.sample))).to_pylist()
        whole = min(count, max(0, self._most_whole - self.dead))
        self.dead += count
        always = {"event": self.event, "window": self.window, "run_id": self._run_id}
        columns = {name: pa.repeat(value, count) for name, value in always.items()}
        columns["attempts"] = self._attempts(letters)
        for name, column in zip(letters.schema.names, letters.columns, strict=True):
            cut = name in ("row", "value") and whole < count
            columns[name] = (
                pa.concat_arrays([column.slice(0, whole), pa.nulls(count - whole, column.type)])
                if cut
                else column
            )
        self._out.write(
            pa.RecordBatch.from_arrays(
                [columns[name] for name in LETTERS_SCHEMA.names], schema=LETTERS_SCHEMA
            )
        )

    def _attempts(self, letters: pa.RecordBatch) -> pa.Int32Array:
        before = np.zeros(letters.num_rows, np.int64)
        if self._tried is not None:
            before = self._tried.attempts_of(letters.column("source_row").fill_null(-1).to_numpy())
        return pa.array(before + 1, pa.int32())
