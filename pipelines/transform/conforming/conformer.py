"""Converts columns to contract rows: rows that fit go on, all other rows become dead letters."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.authoring.loading.column_difference import OtherType, difference
from pipelines.authoring.problems import listing
from pipelines.contract import Contract, ContractField
from pipelines.transform.conforming.columns import Integers, Mask, SourceColumn, conform_column
from pipelines.transform.conforming.leaves import ColumnMismatchError
from pipelines.transform.dead_letters import DeadLetter, Misfit, Reason, shown
from pipelines.transform.errors import ConformError, ConformProblem
from pipelines.transform.record_timestamp import NOT_SET_DETAIL, count_up
from pipelines.transform.row_json import from_scalar, row_json
from pipelines.transform.value_rules import UNITS_PER_SECOND
from resources.errors import did_you_mean


class Conformer:
    """Conforms columns to `contract`; the field of the event id must already be removed from it.

    `window` is `(start, end)`, with time zones and half-open: rows with an event time outside it become dead
    letters. None: event times are not checked. `stamps_records`: event times become record timestamps, so
    rows whose timestamp would be 0 become dead letters.
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

    def check_names(
        self,
        names: Sequence[Hashable],
        index_names: Sequence[Hashable] = (),
        *,
        column: Callable[[str], SourceColumn] | None = None,
    ) -> None:
        """Raise ConformError unless `names` are the contract's fields, in any order, each once.

        `column` returns the column of a name that occurs once, so that one error reports wrong
        types together with wrong names.
        """
        problems: list[ConformProblem] = []
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            problems.append(
                ConformProblem(f"column {', '.join(twice)} stands more than once", "each column once")
            )
        extras = [name for name in dict.fromkeys(names) if name not in self._names]
        absent = [name for name in self._names if name not in names]
        if not (problems or extras or absent):
            return
        others = [name for name in extras if name != self._event_id]
        # A column in the frame's index is not a difference of columns.
        lost = [name for name in absent if name not in index_names]
        types = [] if column is None else self._other_types(names, column)
        if len(lost) + len(others) + len(types) > 1 and len(lost) == len(absent):
            problems.append(self._differs(lost, list(map(str, others)), types))
            absent, extras, types = [], [name for name in extras if name == self._event_id], []
        for missing in absent:
            advice = "it is the index of the frame: reset_index() makes it a column again"
            problems.append(
                ConformProblem(
                    f"no column for the field {missing!r}.{did_you_mean(missing, map(str, names))}",
                    f"exactly {listing(self._names)}",
                    advice if missing in index_names else "select it, or take the field out of the contract",
                    missing,
                )
            )
        for extra in extras:
            problems.append(self._extra(extra))
        if types:
            problems.append(self._differs((), (), types))
        raise ConformError(self._where, tuple(problems))

    def require_types(self, column: Callable[[str], SourceColumn]) -> None:
        """Raise ConformError if columns cannot become their fields. `column` returns
        the column of a field's name."""
        if types := self._other_types(self._names, column):
            raise ConformError(self._where, (self._differs((), (), types),))

    def _other_types(
        self, names: Sequence[Hashable], column: Callable[[str], SourceColumn]
    ) -> list[OtherType]:
        found = []
        for field in self._contract.fields:
            if names.count(field.name) == 1:
                try:
                    conform_column(column(field.name), field.type)
                except ColumnMismatchError as mismatch:
                    found += _named(field, mismatch)
        return found

    def _differs(
        self, missing: Sequence[str], extra: Sequence[str], types: Sequence[OtherType]
    ) -> ConformProblem:
        """One problem for all differences: they have one cause, for example a query of another table or for
        another version of the contract."""
        if not missing and not extra and len(types) == 1:
            (one,) = types
            told = f"column {one.column!r} is {one.given}, its field is {one.field}"
            return ConformProblem(told, one.allowed, one.next_step, one.column)
        told, step = difference(missing, extra, of=len(self._names), types=types)
        allowed = f"exactly {listing(self._names)}" if missing or extra else None
        first = next(iter([*missing, *extra, *(one.column for one in types)]))
        return ConformProblem(f"the columns differ from the contract: {told}", allowed, step, first)

    def _extra(self, name: object) -> ConformProblem:
        if name == self._event_id:
            return ConformProblem(
                f"column {name!r} is the event id, which is filled in for every event",
                None,
                "leave the column out",
                str(name),
            )
        return ConformProblem(
            f"column {name!r} is not a field of the contract",
            f"exactly {listing(self._names)}",
            f"drop it (.drop(columns=[{name!r}]), or leave it out of the SELECT), or add it to the contract",
            str(name),
        )

    def conform(
        self, columns: Mapping[str, SourceColumn], row_count: int, source_rows: Integers | None
    ) -> tuple[pa.RecordBatch, list[DeadLetter], Mask | None]:
        """The rows that fit, as a record batch with the contract's Arrow schema; the dead letters of the
        other rows; and a mask of the rows that fit, None if all fit.

        `source_rows` is None if the source rows are not known. Raises ConformError.
        """
        self.check_names(list(columns))
        arrays: list[pa.Array] = []
        misfits: dict[int, list[tuple[str, Misfit]]] = defaultdict(list)
        types: list[OtherType] = []
        for field in self._contract.fields:
            try:
                array, bad = conform_column(columns[field.name], field.type)
            except ColumnMismatchError as mismatch:
                types += _named(field, mismatch)
                continue
            if field.name == self._event_time:
                bad = bad + self._outside_window(array) + self._without_timestamp(array)
            arrays.append(array)
            for misfit in bad:
                misfits[misfit.row].append((field.name, misfit))
        if types:
            raise ConformError(self._where, (self._differs((), (), types),))
        rows = pa.RecordBatch.from_arrays(arrays, schema=self.arrow_schema)
        if not misfits:
            return rows, [], None
        alive = np.ones(row_count, dtype=bool)
        alive[list(misfits)] = False
        letters = [self._letter(columns, row, misfits[row], source_rows) for row in sorted(misfits)]
        return rows.filter(pa.array(alive)), letters, alive

    def _letter(
        self,
        columns: Mapping[str, SourceColumn],
        row: int,
        found: list[tuple[str, Misfit]],
        source_rows: Integers | None,
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

    def _outside_window(self, times: pa.TimestampArray) -> list[Misfit]:
        if self._window is None:
            return []
        start, end = self._window
        counts = times.view(pa.int64())
        # An instant is inside if its count is at least the start's and less than
        # the end's; both are rounded up.
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

    def _without_timestamp(self, times: pa.TimestampArray) -> list[Misfit]:
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


def _named(field: ContractField, mismatch: ColumnMismatchError) -> list[OtherType]:
    return [
        OtherType(
            f"{field.name}{one.path}", one.found, str(one.field or field.type), one.allowed, one.next_step
        )
        for one in mismatch.each
    ]
