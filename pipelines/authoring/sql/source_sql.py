"""An event's SQL, analysed once:
what it reads, what it returns, and how its parameters are written for a driver."""

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, get_args

PARAMETERS = ("window_start", "window_end")

ParameterStyle = Literal["duckdb", "postgres", "numeric", "qmark", "named", "pyformat"]
STYLES: tuple[ParameterStyle, ...] = get_args(ParameterStyle)


# The parameters, in the SQL of every warehouse.
_ORDERS = (
    "row_number() OVER () DESC",
    "(row_number() OVER () * 7919) % 1009",
    "(row_number() OVER () * 104729) % 1013",
)
_ADDS_UP = re.compile(
    r"\b(f?sum|avg|mean|favg|product|geomean|std\w*|var\w*|covar\w*|corr|regr_\w+|kurtosis\w*|skewness)\s*\(",
    re.IGNORECASE,
)


class ParameterSpan(NamedTuple):
    """Where a parameter is in the SQL: `sql[start:end]` is `:name`."""

    start: int
    end: int
    name: str


class TableSpan(NamedTuple):
    """Where the name of a table is in the SQL: `sql[start:end]`. `alias` must be written after a subquery
    that takes the name's place; it is "" if the SQL already gives the table an alias."""

    start: int
    end: int
    alias: str


class BoundQuery(NamedTuple):
    """SQL in one driver's parameter style. `parameters` are the names in the order of their positions: each
    name once for named and numbered styles, once for every mark for `qmark`."""

    sql: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class SourceQuery:
    """One SELECT with `:window_start` and `:window_end`.

    `sql` is as written, without its indentation and closing semicolon. `tables` are the tables that it reads,
    sorted, as written (`main.flights`; in quotes only if the name has a dot or a quote in it), without the
    names of its own CTEs. `columns` are the names of its columns, in order; None if only the warehouse knows
    them (`*`). `normalised` is the same text for SQL that differs only in layout, comments or the case of
    keywords.
    """

    sql: str
    dialect: str
    tables: tuple[str, ...]
    columns: tuple[str, ...] | None
    normalised: str = field(repr=False)
    spans: tuple[ParameterSpan, ...] = field(repr=False)
    table_spans: tuple[TableSpan, ...] = field(repr=False, default=())

    def to_style(self, style: str) -> str:
        """The SQL with its parameters in a driver's style; see `bound`."""
        return self.bound(style).sql

    def bound(self, style: str) -> BoundQuery:
        """The SQL with its parameters in a driver's style; the driver binds the values.

        duckdb `$window_start`, postgres and numeric `$1`, qmark `?`, named `:window_start`, pyformat
        `%(window_start)s` (other `%` doubled). A colon inside a string, comment or cast stays as it is.
        Raises ValueError for any other style.
        """
        if style not in STYLES:
            raise ValueError(f"no parameter style {style!r}; styles are {', '.join(STYLES)}")
        written: list[str] = []
        names: list[str] = []
        position = 0
        for span in self.spans:
            written.append(_between(self.sql[position : span.start], style))
            if style == "qmark" or span.name not in names:
                names.append(span.name)
            written.append(_marker(style, span.name, names.index(span.name) + 1))
            position = span.end
        written.append(_between(self.sql[position:], style))
        return BoundQuery("".join(written), tuple(names))

    def within(self, before: str, after: str) -> "SourceQuery":
        """This query as a part of a larger one, which begins with `before` and ends with `after`."""
        return self._with([(0, 0, before), (len(self.sql), len(self.sql), after)])

    def reordered(self) -> "tuple[SourceQuery, ...]":
        """Queries with the same meaning that read the rows of each table in other orders;
        empty if no table is named.

        A warehouse promises no order, so the results must be the same. The first query reads in reverse
        order, which decides every tie in the other way. The others are for sums of floats, because a few of
        these may be equal by chance.
        """
        orders = _ORDERS if _ADDS_UP.search(self.sql) else _ORDERS[:1]
        return tuple(self._read_by(order) for order in orders if self.table_spans)

    def _read_by(self, order: str) -> "SourceQuery":
        return self._with(
            (
                span.start,
                span.end,
                f"(SELECT * FROM {self.sql[span.start : span.end]} ORDER BY {order})"
                f"{span.alias and f' AS {span.alias}'}",
            )
            for span in self.table_spans
        )

    def _with(self, changes: Iterable[tuple[int, int, str]]) -> "SourceQuery":
        """The query with other text in some places; its parameters are still found."""
        written: list[str] = []
        spans: list[ParameterSpan] = []
        waiting, position, moved = list(self.spans), 0, 0
        for start, end, text in [*changes, (len(self.sql), len(self.sql), "")]:
            while waiting and waiting[0].end <= start:
                span = waiting.pop(0)
                spans.append(ParameterSpan(span.start + moved, span.end + moved, span.name))
            written += [self.sql[position:start], text]
            position, moved = end, moved + len(text) - (end - start)
        return replace(self, sql="".join(written), spans=tuple(spans), table_spans=())


def dedented(written: str) -> str:
    """The SQL as it is kept: without the indentation that it has in its module.
    Offsets count in this text."""
    return textwrap.dedent(written).strip()


def _between(sql: str, style: str) -> str:
    return sql.replace("%", "%%") if style == "pyformat" else sql


def _marker(style: str, name: str, number: int) -> str:
    match style:
        case "duckdb":
            return f"${name}"
        case "numeric" | "postgres":
            return f"${number}"
        case "qmark":
            return "?"
        case "pyformat":
            return f"%({name})s"
    return f":{name}"
