"""Counts rows of an event's query that belong to no window, and so become no event, with queries to the
warehouse.

A window takes rows by comparing an expression with its bounds. A row belongs to no window if that expression
is null, before the first window, or after the last. Rows that other conditions of the query leave out are not
counted: the author wants that.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.authoring.cadence import Cadence
from pipelines.authoring.event import Event
from pipelines.authoring.sql.source_sql import ParameterSpan, SourceQuery
from pipelines.authoring.windows import Windows
from resources.errors import SluiceError
from resources.warehouse import TookTooLong, Warehouse, WarehouseError

SECONDS = 10.0

# Days that people and programs write for an unknown or future time.
_STAND_INS = (
    "1753-01-01",
    "1899-12-30",
    "1899-12-31",
    "1900-01-01",
    "1970-01-01",
    "2099-12-31",
    "2999-12-31",
)
_OLDEST, _NEWEST = "year 1 or earlier", "year 9999 or later"
_FIRST_DAYS, _LAST_DAYS = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_UNITS: dict[Cadence, str] = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}
_PLACES = ("no_time", "before", "after", "apart", "ahead")
_OF_A_TIME = "place IN ('before', 'after', 'ahead')"
# Further ahead than a row that was booked in advance.
_AHEAD = timedelta(days=366)


@dataclass(frozen=True)
class Unwindowed:
    """Rows of `tables` that belong to no window. `rows`: how many rows the query takes from the tables
    without its window.

    `no_time`: the time is null. `before`: before the first window. `after`: after the last window, or, if the
    windows have no end (`open_ended`), in the year 9999 or later. `apart`: a window has their time, but
    another condition with the window's bounds leaves them out. `ahead`: they belong to windows without end
    that begin in more than a year. `stand_ins`: how many of the rows before, after and ahead have a day that
    stands for an unknown time, by that day. `earliest` and `latest`: the times of the other rows of these, as
    the warehouse writes them. `further`: another condition with the bounds may leave out rows that are not
    counted. `unknown`: why nothing is known; then the counts are 0.
    """

    tables: tuple[str, ...]
    open_ended: bool = False
    rows: int = 0
    no_time: int = 0
    before: int = 0
    after: int = 0
    apart: int = 0
    ahead: int = 0
    stand_ins: Mapping[str, int] = field(default_factory=dict)
    earliest: str | None = None
    latest: str | None = None
    further: bool = False
    unknown: str | None = None

    @property
    def count(self) -> int:
        """The number of rows that belong to no window."""
        return self.no_time + self.before + self.after + self.apart

    @property
    def suspicious(self) -> bool:
        """True if rows have no time, or a time that cannot be right:
        a mistake in the data or in the query."""
        return bool(self.no_time or self.stand_ins or self.apart or self.ahead)

    def __str__(self) -> str:
        if self.unknown is not None:
            return f"not known whether every row belongs to a window: {self.unknown}"
        told = self._in_no_window()
        if self.further:
            told += "; rows that another condition with the window's bounds leaves out are not counted"
        if self.ahead:
            lie = "row lies" if self.ahead == 1 else "rows lie"
            told += f"; {self.ahead:,} {lie} more than a year ahead, in windows that are to come"
        if self.stand_ins:
            days = ", ".join(
                f"{day} ({count:,}, {count / self.rows:.1%} of all rows)"
                for day, count in self.stand_ins.items()
            )
            told += f"; days that may stand for an unknown time: {days}"
        if self.earliest is not None:
            told += f"; the earliest other time is {self.earliest}"
        if self.latest is not None:
            told += f"; the latest other time is {self.latest}"
        return told

    def _in_no_window(self) -> str:
        *others, last = self.tables or ("values of its own",)
        tables = f"{', '.join(others)} and {last}" if others else last
        if not self.rows:
            return f"the query takes no rows from {tables}, in a window or outside"
        if not self.count:
            each = f"each of the {self.rows:,} rows that the query takes from {tables}"
            if self.rows == 1:
                each = f"the 1 row that the query takes from {tables}"
            return f"the time of {each} lies in a window" if self.further else f"{each} belongs to a window"
        behind = "in the year 9999 or later" if self.open_ended else "after the last window"
        parts = [
            f"{count:,} {where}"
            for count, where in (
                (self.no_time, "without a time"),
                (self.after, behind),
                (self.before, "before the first"),
            )
            if count
        ]
        if self.before and not (self.after and not self.open_ended):
            parts[-1] += " window"
        if self.apart:
            parts.append(f"{self.apart:,} that another condition with the window's bounds leaves out")
        belong = "row of {} belongs" if self.count == 1 else "rows of {} belong"
        return f"{self.count:,} {belong.format(tables)} to no window: {', '.join(parts)}"

    @property
    def sentence(self) -> str:
        """The text as a sentence of its own."""
        told = str(self)
        return f"{told[0].upper()}{told[1:]}."

    def as_dict(self) -> dict[str, Any]:
        """The counts for JSON."""
        return {**asdict(self), "count": self.count}


def stands_in(day: datetime) -> bool:
    """Whether the day of this instant may stand for an unknown time."""
    return day.date().isoformat() in _STAND_INS or not _FIRST_DAYS <= day < _LAST_DAYS


def count_unwindowed(
    event: Event, warehouse: Warehouse, *, seconds: float = SECONDS, now: datetime | None = None
) -> Unwindowed:
    """Count the rows in at most `seconds`.
    Never raises for an error of the warehouse: then the result is unknown."""
    return count_rows(event.source, event.windows, warehouse, seconds=seconds, now=now)


def count_rows(
    source: SourceQuery,
    windows: Windows,
    warehouse: Warehouse,
    *,
    seconds: float = SECONDS,
    now: datetime | None = None,
) -> Unwindowed:
    """Like `count_unwindowed`, for a query that does not belong to an event yet."""
    # Imported here: the parser is needed to load a catalogue and for this count, not for a run of windows.
    from pipelines.authoring.sql.reach import Unremovable
    from pipelines.authoring.sql.unfiltered_query import unfiltered

    nothing = Unwindowed(source.tables, windows.end is None)
    try:
        # A random name: a table may have a column of any known name, and `SELECT *` would include it.
        parts = unfiltered(source, times=f"sluice_time_{secrets.token_hex(8)}_")
    except Unremovable as reason:
        return Unwindowed(
            **{**asdict(nothing), "unknown": f"the window of the query cannot be taken off ({reason})"}
        )
    at = now or datetime.now(UTC)
    try:
        with warehouse.within(seconds):
            answers = [answer for part in parts for answer in _asked(part, windows, at, warehouse)]
    except TookTooLong:
        unknown = f"the count took longer than {seconds:g} s"
        return Unwindowed(**{**asdict(nothing), "unknown": unknown})
    except SluiceError as error:
        unknown = f"the query without its window was refused: {error.problem}"
        return Unwindowed(**{**asdict(nothing), "unknown": unknown})
    return _together(nothing, answers)


def _asked(part: Any, windows: Windows, now: datetime, warehouse: Warehouse) -> list[dict[str, Any]]:
    # The compared expression may be a number that ends in 2038, without a year 9999;
    # or it may be a time without a day.
    compared = (True, False) if part.others and part.bare else (False,)
    attempts = [_Question(part, windows, now, days, apart) for apart in compared for days in (_STAND_INS, ())]
    for attempt in attempts[:-1]:
        try:
            return list(attempt.asked(warehouse))
        except TookTooLong:
            raise
        except WarehouseError:
            continue
    return list(attempts[-1].asked(warehouse))


def _together(nothing: Unwindowed, answers: list[dict[str, Any]]) -> Unwindowed:
    total: dict[str, Any] = asdict(nothing)
    for answer in answers:
        for name in ("rows", *_PLACES):
            total[name] += answer[name]
        for day, count in answer["stand_ins"].items():
            total["stand_ins"][day] = total["stand_ins"].get(day, 0) + count
        total["further"] |= answer["further"]
        for name, first in (("earliest", min), ("latest", max)):
            total[name] = first((one for one in (total[name], answer[name]) if one is not None), default=None)
    return Unwindowed(**total)


class _Question:
    """The query about one part of the event's query, an `Unfiltered`. `apart`: also count the rows that the
    other conditions with the bounds leave out; then a row's window must follow from its time."""

    def __init__(
        self, part: Any, windows: Windows, now: datetime, stand_ins: Sequence[str], apart: bool
    ) -> None:
        self._part, self._windows, self._stand_ins = part, windows, stand_ins
        self._ahead = now + _AHEAD
        self._others = part.others if apart else ()
        self._further = part.further_in or bool(part.others and not self._others)
        self._written: list[str] = []
        self._spans: list[ParameterSpan] = []
        self._values: dict[str, datetime] = {}

    def asked(self, warehouse: Warehouse) -> Iterator[dict[str, Any]]:
        """The warehouse's answer, as numbers and texts."""
        query = self._query()
        sql = query.bound(warehouse.parameter_style).sql
        with warehouse.stream(sql, self._values, order_by=[], batch_rows=1) as batches:
            for batch in batches:
                for row in batch.to_pylist():
                    stand_ins = {
                        day: row[f"stand_in_{n}"]
                        for n, (day, _, _) in enumerate(self._days())
                        if row[f"stand_in_{n}"]
                    }
                    yield {**row, "stand_ins": stand_ins, "further": self._further}

    def _query(self) -> SourceQuery:
        """A query with one row. Everything is compared in the warehouse, and only numbers and texts are
        returned: Python may not be able to hold a time of the warehouse."""
        part = self._part
        self._write("SELECT count(*) AS rows")
        for name in _PLACES:
            self._write(f", count(*) FILTER (WHERE place = '{name}') AS {name}")
        for number in range(len(self._days())):
            self._write(f", count(*) FILTER (WHERE {_OF_A_TIME} AND day = {number}) AS stand_in_{number}")
        for name, function, places in (
            ("earliest", "min", "place = 'before'"),
            ("latest", "max", "place IN ('after', 'ahead')"),
        ):
            self._write(
                f", CAST({function}({part.times[0]}) FILTER (WHERE {places} AND day < 0) AS VARCHAR) AS {name}"
            )
        time, *others = part.times
        self._write(f"\nFROM (\nSELECT {time}, CASE WHEN {time} IS NULL THEN 'no_time'")
        low, high = part.exact
        self._place("before", low, self._windows.start)
        if self._windows.end is not None:
            self._place("after", high, self._windows.end)
        elif self._stand_ins:
            self._place("after", high, _LAST_DAYS)
        if self._others:
            self._write(" WHEN (")
            for number, limit in enumerate(self._others):
                self._write(" AND " if number else "")
                self._compare_with_its_window(limit)
            self._write(") IS NOT TRUE THEN 'apart'")
        for other in others:
            self._write(f" WHEN {other} IS NULL THEN 'apart'")
        if self._windows.end is None:
            self._place("ahead", high, self._ahead)
        self._write(" ELSE 'window' END AS place, CASE WHEN FALSE THEN -1")
        for number, (_, first, end) in enumerate(self._days()):
            self._write(" WHEN ")
            if first is not None:
                self._compare(low, ">=", first)
            self._write(" AND " if first is not None and end is not None else "")
            if end is not None:
                self._compare(low, "<", end)
            self._write(f" THEN {number}")
        self._write(" ELSE -1 END AS day\nFROM (\n")
        self._write(part.sql)
        self._write("\n) AS unfiltered\n) AS placed")
        return SourceQuery("".join(self._written), part.dialect, (), None, "", tuple(self._spans))

    def _days(self) -> list[tuple[str, datetime | None, datetime | None]]:
        """The stand-in days that no window can hold, each with its start and end."""
        days = [(day, datetime.fromisoformat(day).replace(tzinfo=UTC)) for day in self._stand_ins]
        if not days:
            return []
        return [
            (_OLDEST, None, _FIRST_DAYS),
            (_NEWEST, _LAST_DAYS, None),
            *(
                (day, start, start + timedelta(days=1))
                for day, start in days
                if not self._windows.start <= start < (self._windows.end or self._ahead)
            ),
        ]

    def _place(self, name: str, limit: Any, at: datetime) -> None:
        self._write(" WHEN NOT (")
        self._compare(limit, limit.operator, at)
        self._write(f") THEN '{name}'")

    def _compare_with_its_window(self, limit: Any) -> None:
        """Compare with a bound of the window that holds the row's time."""
        unit = _UNITS[self._windows.cadence]
        bound = f"CAST(date_trunc('{unit}', {self._part.times[0]}) AS TIMESTAMP WITH TIME ZONE)"
        if not limit.lower:
            bound = f"({bound} + INTERVAL '1 {unit}')"
        self._write(f"{self._part.times[limit.time]} {limit.operator} {limit.before}{bound}{limit.after}")

    def _compare(self, limit: Any, operator: str, at: datetime) -> None:
        self._write(f"{self._part.times[limit.time]} {operator} {limit.before}")
        name = f"sluice_at_{len(self._values)}"
        start = sum(map(len, self._written))
        self._write(f":{name}")
        self._spans.append(ParameterSpan(start, start + len(name) + 1, name))
        self._values[name] = at
        self._write(limit.after)

    def _write(self, text: str) -> None:
        self._written.append(text)
