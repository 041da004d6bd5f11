"""Whether the SQL's window is half-open: a row on a bound is in exactly one window."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlglot import exp

from pipelines.authoring.sql.mistakes import SqlMistake
from pipelines.authoring.sql.source_sql import ParameterSpan

_RIGHT = {exp.GTE: ">=", exp.GT: ">", exp.LTE: "<=", exp.LT: "<"}
_TURNED = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}
_INSTANTS = ("TIMESTAMP", "DATETIME")


class _Use(NamedTuple):
    """How a bound is compared, seen from the column: `column operator :bound`."""

    operator: str
    side: Any = None
    between: bool = False

    @property
    def column(self) -> str:
        """The column as sqlglot writes it. Written out only to report a mistake, because it takes time."""
        return str(self.side.sql())


def half_open_mistakes(placeholders: Sequence[Any], spans: Sequence[ParameterSpan]) -> list[SqlMistake]:
    """The mistakes of bounds that are only ever compared the wrong way round.
    Sums, date casts and functions are not checked."""
    uses: dict[str, list[_Use]] = defaultdict(list)
    for placeholder in placeholders:
        uses[str(placeholder.this)].append(_use(placeholder))
    start, end = uses["window_start"], uses["window_end"]
    at = {span.name: span.start for span in reversed(spans)}
    swapped = {use.column for use in start if use.operator in ("<", "<=")} & {
        use.column for use in end if use.operator in (">", ">=")
    }
    if swapped and not _any(start, ">=", "") and not _any(end, "<", ""):
        column = min(swapped)
        return [
            SqlMistake(
                at["window_start"],
                f"the SQL has :window_start and :window_end the wrong way round, so no row of {column} fits",
                f"{column} >= :window_start AND {column} < :window_end",
                "swap them",
            )
        ]
    mistakes = []
    if (late := _only(start, ">", (">=", ""))) is not None:
        mistakes.append(
            SqlMistake(
                at["window_start"],
                f"the SQL has {late.column} > :window_start: a row on the bound would be in no window, and lost",
                "half-open windows: >= :window_start AND < :window_end",
                f"write {late.column} >= :window_start",
            )
        )
    if (wide := _only(end, "<=", ("<", ""))) is not None:
        written = "BETWEEN ... AND :window_end" if wide.between else f"{wide.column} <= :window_end"
        mistakes.append(
            SqlMistake(
                at["window_end"],
                f"the SQL has {written}: a row on the bound would be in two windows",
                "half-open windows: >= :window_start AND < :window_end",
                f"write {wide.column} >= :window_start AND {wide.column} < :window_end",
            )
        )
    return mistakes


def _any(uses: Sequence[_Use], *operators: str) -> bool:
    return any(use.operator in operators for use in uses)


def _only(uses: Sequence[_Use], wrong: str, right: tuple[str, ...]) -> _Use | None:
    if _any(uses, *right):
        return None
    return next((use for use in uses if use.operator == wrong), None)


def _use(placeholder: Any) -> _Use:
    operand = placeholder
    while isinstance(operand.parent, (exp.Paren, exp.Cast)):
        if isinstance(operand.parent, exp.Cast) and not operand.parent.to.sql().upper().startswith(_INSTANTS):
            return _Use("")
        operand = operand.parent
    parent = operand.parent
    if isinstance(parent, exp.Between):
        if operand is parent.args.get("low"):
            return _Use(">=", parent.this, True)
        if operand is parent.args.get("high"):
            return _Use("<=", parent.this, True)
    operator = _RIGHT.get(type(parent))
    if operator is None:
        return _Use("")
    if operand is parent.expression:
        return _Use(operator, parent.this)
    return _Use(_TURNED[operator], parent.expression)
