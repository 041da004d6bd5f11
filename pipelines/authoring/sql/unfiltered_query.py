"""A query without its window: every row that the query's other conditions leave, with the expressions that
the window is compared with. The queries that look for rows outside every window are built from it.

The text is the author's own, cut at the positions of its tokens; the SQL that sqlglot prints has other
parameters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import Token, exp

from pipelines.authoring.sql.analysis import dialect_of, parsed, tokens_of
from pipelines.authoring.sql.mistakes import SqlMistakes
from pipelines.authoring.sql.reach import Unremovable, require_all_rows_reach, require_filter_only
from pipelines.authoring.sql.source_sql import ParameterSpan, SourceQuery
from pipelines.authoring.sql.spans import (
    ConditionSpan,
    NoPlace,
    SelectSpan,
    condition_at,
    ctes_before,
    select_at,
)

_TURNED = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}
_OPERATORS = {exp.GTE: ">=", exp.GT: ">", exp.LTE: "<=", exp.LT: "<"}


@dataclass(frozen=True)
class Limit:
    """A condition of the window: column `time` of the unfiltered rows, `operator`, and a bound between the
    texts `before` and `after`."""

    time: int
    operator: str
    before: str
    after: str
    lower: bool


@dataclass(frozen=True)
class Unfiltered:
    """`sql` returns, for each row that exists without the window, the columns `times`: the expressions that
    the `limits` compare. `exact`: the lower and the upper limit on one expression, which is the first of
    `times`. `further_in`: the bounds are also in an inner part of the query, whose rows are not compared."""

    sql: str
    dialect: str
    times: tuple[str, ...]
    limits: tuple[Limit, ...]
    exact: tuple[Limit, Limit]
    further_in: bool = False

    @property
    def others(self) -> tuple[Limit, ...]:
        """The limits that are not the exact ones."""
        return tuple(limit for limit in self.limits if limit not in self.exact)

    @property
    def bare(self) -> bool:
        """Whether the time is compared with the plain bounds,
        so that a row's window follows from its time."""
        return all(not limit.before and not limit.after for limit in self.exact)


@dataclass(frozen=True)
class _Condition:
    """The condition of a parameter: its node, its position, and the text of its two sides."""

    node: Any
    side: Any
    span: ConditionSpan
    parameter: ParameterSpan
    time: str
    operator: str
    before: str
    after: str

    @property
    def lower(self) -> bool:
        return self.parameter.name == "window_start"


def unfiltered(source: SourceQuery, *, times: str = "sluice_time_") -> list[Unfiltered]:
    """The query without its window, in parts (one for each part of a UNION ALL).
    Raises Unremovable, which says why not.

    `times`: how the names of the added columns begin. No column of a `SELECT *` may have such a name."""
    dialect = dialect_of(source.dialect)
    try:
        tokens = tokens_of(dialect, source.sql)
        root = parsed(dialect, list(tokens), source.sql)
        return list(_Parts(source, dialect, tokens, root, times).found())
    except (SqlMistakes, NoPlace):
        raise Unremovable("its window stands in a place where it cannot be taken off") from None


class _Parts:
    def __init__(
        self, source: SourceQuery, dialect: Any, tokens: Sequence[Token], root: Any, times: str
    ) -> None:
        self._source, self._dialect, self._tokens, self._root = source, dialect, tokens, root
        self._times = times
        self._nodes: dict[SelectSpan, Any] = {}

    def found(self) -> Iterator[Unfiltered]:
        groups: dict[SelectSpan, list[_Condition]] = {}
        nodes = self._nodes
        nodes_left = _comparisons(self._root)
        for placeholder in self._root.find_all(exp.Placeholder):
            if isinstance(placeholder.find_ancestor(exp.Having, exp.Select), exp.Having):
                raise Unremovable("HAVING filters groups")
        for parameter in self._source.spans:
            span = condition_at(self._tokens, parameter.start)
            place = select_at(self._tokens, span.start)
            select = nodes[place] = nodes.get(place) or self._select(place, list(nodes.values()))
            groups.setdefault(place, []).append(self._condition(parameter, span, select, nodes_left))
        mains = {place: pair for place, group in groups.items() if (pair := _exact(group)) is not None}
        # Only the outermost ones: a window further in only lets the warehouse read less.
        mains = {
            place: pair
            for place, pair in mains.items()
            if not any(_below(nodes[place], nodes[other]) for other in mains if other != place)
        }
        if not mains:
            raise Unremovable("no expression has both bounds, >= :window_start and < :window_end")
        if not all(_same_form(*pair) for pair in mains.values()):
            raise Unremovable("its two bounds are written differently, and a row may lie between two windows")
        for place in groups:
            above = [other for other in mains if other == place or _below(nodes[place], nodes[other])]
            if not above:
                raise Unremovable("a part of it is bounded by the window apart from the others")
            if place not in mains:
                require_filter_only(nodes[place], nodes[above[0]], self._root)
        self._require_in_each_arm([nodes[place] for place in mains])
        self._require_same_tree([condition for group in groups.values() for condition in group])
        for place, pair in mains.items():
            require_all_rows_reach(nodes[place], self._root, [condition.node for condition in groups[place]])
            yield self._part(place, groups, pair, nodes[place])

    def _select(self, place: SelectSpan, taken: Sequence[Any]) -> Any:
        """The node of the SELECT at this position."""
        wanted = self._tree(self._source.sql[place.start : place.end])
        for select in self._root.find_all(exp.Select):
            if any(select is one for one in taken):
                continue
            bare = select.copy()
            bare.set("with_", None)
            bare.set("order", None)
            if bare == wanted:
                return select
        raise NoPlace

    def _condition(
        self, parameter: ParameterSpan, span: ConditionSpan, select: Any, left: list[Any]
    ) -> _Condition:
        sql = self._source.sql
        wanted = self._tree(f"SELECT 1 WHERE {sql[span.start : span.end]}").args["where"].this
        node = next((one for one in left if one == wanted and one.find_ancestor(exp.Select) is select), None)
        if node is None or not _is_conjunct(node):
            raise Unremovable("its window is not one of the conditions that AND joins in a WHERE")
        left[:] = [one for one in left if one is not node]
        operator = span.operator
        first, second = (span.start, span.first_end), (span.second_start, span.end)
        side, bound = node.this, node.expression
        if parameter.start < span.first_end:
            first, second, side, bound = second, first, bound, side
            operator = _TURNED[operator]
        lower = parameter.name == "window_start"
        if operator not in ((">=", ">") if lower else ("<", "<=")):
            raise Unremovable(f"it has {operator} :{parameter.name}, which is no bound of a window")
        if bound.find(exp.Column, exp.Query) is not None or side.find(exp.Placeholder, exp.Query) is not None:
            raise Unremovable("a bound of its window depends on the row")
        before = sql[second[0] : parameter.start].lstrip()
        after = sql[parameter.end : second[1]].rstrip()
        return _Condition(
            node, side.unnest(), span, parameter, sql[slice(*first)].strip(), operator, before, after
        )

    def _require_in_each_arm(self, mains: Sequence[Any]) -> None:
        """Raise Unremovable if a part of a UNION ALL has no window: its rows are in every window, or in none,
        and cannot be counted."""
        for union in self._root.find_all(exp.Union):
            arms = [
                any(main is arm or _below(main, arm) for main in mains)
                for arm in (union.this, union.expression)
            ]
            if any(arms) and not all(arms):
                raise Unremovable("a part of UNION ALL has no window")

    def _require_same_tree(self, conditions: Sequence[_Condition]) -> None:
        """Check that the text without the conditions means the query without the conditions."""
        expected = self._root.copy()
        replaced = [condition.node for condition in conditions]
        for node in list(expected.find_all(*_OPERATORS)):
            if any(node == one for one in replaced) and node.find(exp.Placeholder) is not None:
                node.replace(exp.true())
        text = _with(self._source.sql, [(one.span.start, one.span.end, "TRUE") for one in conditions])
        if self._tree(text) != expected:
            raise NoPlace

    def _part(
        self,
        place: SelectSpan,
        groups: dict[SelectSpan, list[_Condition]],
        pair: tuple[_Condition, _Condition],
        select: Any,
    ) -> Unfiltered:
        sql, own = self._source.sql, groups[place]
        compared = [pair[0]]
        for one in own:
            if all(one.side != other.side for other in compared):
                compared.append(one)
        names = tuple(f"{self._times}{number}" for number in range(len(compared)))
        cuts = [
            (one.span.start, one.span.end, "TRUE") for conditions in groups.values() for one in conditions
        ]
        added = "".join(f", ({one.time}) AS {name}" for one, name in zip(compared, names, strict=True))
        if sql[: place.columns_end].rstrip().endswith(","):
            added = added[1:]
        before = ctes_before(self._tokens, sql, place.start)
        head = _with(before, [cut for cut in cuts if cut[1] <= len(before)])
        rows = _with(
            sql[place.start : place.end],
            [(start - place.start, end - place.start, text)
             for start, end, text in [*cuts, (place.columns_end, place.columns_end, f"{added} ")]
             if place.start <= start and end <= place.end],
        )  # fmt: skip
        if len(self._tree(rows).expressions) != len(select.expressions) + len(names):
            raise NoPlace

        def place_of(condition: _Condition) -> int:
            return next(n for n, other in enumerate(compared) if other.side == condition.side)

        limits = {
            id(one): Limit(place_of(one), one.operator, one.before, one.after, one.lower) for one in own
        }
        return Unfiltered(
            f"{head}\nSELECT {', '.join(names)} FROM (\n{rows}\n) AS source".lstrip(),
            self._source.dialect,
            names,
            tuple(limits.values()),
            (limits[id(pair[0])], limits[id(pair[1])]),
            any(other != place and _below(select_of, select) for other, select_of in self._nodes.items()),
        )

    def _tree(self, text: str) -> Any:
        return parsed(self._dialect, list(tokens_of(self._dialect, text)), text)


def _comparisons(root: Any) -> list[Any]:
    return [node for node in root.find_all(*_OPERATORS) if node.find(exp.Placeholder) is not None]


def _is_conjunct(node: Any) -> bool:
    parent = node.parent
    while isinstance(parent, exp.And | exp.Paren):
        parent = parent.parent
    return isinstance(parent, exp.Where) and isinstance(parent.parent, exp.Select)


def _exact(conditions: Sequence[_Condition]) -> tuple[_Condition, _Condition] | None:
    """The two conditions that make the window:
    >= and < on one expression, preferably with bounds of the same form."""
    pairs = [
        (low, high)
        for low in conditions
        for high in conditions
        if low.lower and low.operator == ">=" and not high.lower and high.operator == "<"
        and low.side == high.side
    ]  # fmt: skip
    return min(pairs, key=lambda pair: not _same_form(*pair), default=None)


def _same_form(low: _Condition, high: _Condition) -> bool:
    """Whether both bounds are written in the same form,
    so that the end of one window is the start of the next."""
    forms = [(one.before.split(), one.after.split()) for one in (low, high)]
    return forms[0] == forms[1]


def _below(select: Any, other: Any) -> bool:
    """Whether `other` reads what `select` returns: from a subquery, or by the name of a CTE."""
    node = select
    while node is not None:
        if node is other and node is not select:
            return True
        if isinstance(node, exp.CTE):
            root = node.root()
            name = node.alias.lower()
            users = [table for table in root.find_all(exp.Table) if table.name.lower() == name]
            return any(_below(user, other) for user in users if user.find_ancestor(exp.CTE) is not node)
        node = node.parent
    return False


def _with(sql: str, changes: Sequence[tuple[int, int, str]]) -> str:
    written, position = [], 0
    for start, end, text in sorted(changes):
        written += [sql[position:start], text]
        position = end
    return "".join([*written, sql[position:]])
