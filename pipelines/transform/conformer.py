"""Columns to contract rows: what fits goes on, what does not becomes dead letters, nothing in between."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.contract import Contract
from pipelines.transform.columns import conform_column
from pipelines.transform.dead_letters import DeadLetter, Misfit, Reason, shown
from pipelines.transform.errors import ConformError, ConformProblem
from pipelines.transform.leaves import ColumnMismatchError
from pipelines.transform.record_timestamp import NOT_SET_DETAIL, count_up
from pipelines.transform.row_json import from_scalar, row_json
from pipelines.transform.rules import UNITS_PER_SECOND
from resources.errors import did_you_mean


class Conformer:
    """Conforms columns to `contract`, which is already without the field of the event id.

    `window` is `(start, end)`, aware and half-open: rows with their event time outside are dead; None
    leaves event times alone. `stamps_records`: the event times become record timestamps, so rows whose timestamp would
    be 0 are dead.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        key: str,
        event_time: str,
        event_id: str | None,
        window: tuple[dt.datetime, dt.datetime] | None,
        stamps_records: bool,
        where: str,
    ) -> None:
        self._contract, self._key, self._event_time, self._where = contract, key, event_time, where
        self._event_id = event_id
        self._names = [field.name for field in contract.fields]
        self._window, self._stamps_records = window, stamps_records
        self.arrow_schema = contract.arrow_schema

    def check_names(self, names: list[Any], index_names: tuple[Any, ...] = ()) -> None:
        """Raises ConformError unless `names` are the contract's fields, in any order, each once."""
        problems: list[ConformProblem] = []
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            problems.append(
                ConformProblem(f"column {', '.join(twice)} stands more than once", "each column once")
            )
        for missing in [name for name in self._names if name not in names]:
            advice = "it is the index of the frame: reset_index() makes it a column again"
            problems.append(
                ConformProblem(
                    f"no column for the field {missing!r}.{did_you_mean(missing, map(str, names))}",
                    f"exactly {', '.join(self._names)}",
                    advice if missing in index_names else "select it, or take the field out of the contract",
                )
            )
        for extra in dict.fromkeys(name for name in names if name not in self._names):
            problems.append(self._extra(extra))
        if problems:
            raise ConformError(self._where, tuple(problems))

    def _extra(self, name: object) -> ConformProblem:
        if name == self._event_id:
            return ConformProblem(
                f"column {name!r} is the event id, which is filled in for every event",
                None,
                "leave the column out",
            )
        return ConformProblem(
            f"column {name!r} is not a field of the contract",
            f"exactly {', '.join(self._names)}",
            f"drop it (.drop(columns=[{name!r}]), or leave it out of the SELECT), or add it to the contract",
        )

    def conform(
        self, columns: Mapping[str, Any], row_count: int, source_rows: Any
    ) -> tuple[Any, list[DeadLetter], Any]:
        """The rows that fit, as a record batch of the contract's Arrow schema; the others' dead letters; and which rows
        fit, as a mask, None for all.

        A column is an Arrow array or a list of Python objects; `source_rows` an int array or None where
        they are unknown.
        """
        self.check_names(list(columns))
        arrays: list[Any] = []
        misfits: dict[int, list[tuple[str, Misfit]]] = defaultdict(list)
        problems: list[ConformProblem] = []
        for field in self._contract.fields:
            try:
                array, bad = conform_column(columns[field.name], field.type)
            except ColumnMismatchError as mismatch:
                path = f"{field.name}{mismatch.path}"
                problem = f"column {path!r} is {mismatch.found}, its field is {field.type}"
                problems.append(ConformProblem(problem, mismatch.allowed, mismatch.next_step))
                continue
            if field.name == self._event_time:
                bad = bad + self._outside_window(array) + self._without_timestamp(array)
            arrays.append(array)
            for misfit in bad:
                misfits[misfit.row].append((field.name, misfit))
        if problems:
            raise ConformError(self._where, tuple(problems))
        rows = pa.RecordBatch.from_arrays(arrays, schema=self.arrow_schema)
        if not misfits:
            return rows, [], None
        alive = np.ones(row_count, dtype=bool)
        alive[list(misfits)] = False
        letters = [self._letter(columns, row, misfits[row], source_rows) for row in sorted(misfits)]
        return rows.filter(pa.array(alive)), letters, alive

    def _letter(
        self, columns: Mapping[str, Any], row: int, found: list[tuple[str, Misfit]], source_rows: Any
    ) -> DeadLetter:
        name, misfit = found[0]
        key_is_null = misfit.reason is Reason.NULL and name == self._key and not misfit.path
        others = [f"{other}{m.path} ({m.reason})" for other, m in found[1:]]
        detail = f"{misfit.detail}; also: {', '.join(others)}" if others else misfit.detail
        return DeadLetter(
            source_row=None if source_rows is None else int(source_rows[row]),
            field=f"{name}{misfit.path}",
            reason=Reason.NULL_KEY if key_is_null else misfit.reason,
            value=misfit.value,
            detail=shown(detail) or "",
            row=row_json({column: values[row] for column, values in columns.items()}),
        )

    def _outside_window(self, times: Any) -> list[Misfit]:
        if self._window is None:
            return []
        start, end = self._window
        counts = times.view(pa.int64())
        # An instant is inside when its count is at or above the start's, and below the end's, rounded up.
        first, stop = (count_up(bound, times.type.unit) for bound in (start, end))
        extremes = pc.min_max(counts).as_py()
        if extremes["min"] is None or (first <= extremes["min"] and extremes["max"] < stop):
            return []
        outside = pc.or_(pc.less(counts, first), pc.greater_equal(counts, stop)).fill_null(False)
        detail = f"from {start.isoformat()} to before {end.isoformat()}, the window"
        return [
            Misfit(row, "", Reason.OUTSIDE_WINDOW, shown(from_scalar(times[row])), detail)
            for row in np.flatnonzero(outside.to_numpy(zero_copy_only=False)).tolist()
        ]

    def _without_timestamp(self, times: Any) -> list[Misfit]:
        if not self._stamps_records:
            return []
        counts = times.view(pa.int64())
        beyond = max(1, UNITS_PER_SECOND[times.type.unit] // 1000)
        extremes = pc.min_max(counts).as_py()
        if extremes["min"] is None or extremes["max"] < 0 or extremes["min"] >= beyond:
            return []
        unset = pc.and_(pc.greater_equal(counts, 0), pc.less(counts, beyond)).fill_null(False)
        return [
            Misfit(row, "", Reason.ZERO_TIMESTAMP, shown(from_scalar(times[row])), NOT_SET_DETAIL)
            for row in np.flatnonzero(unset.to_numpy(zero_copy_only=False)).tolist()
        ]
