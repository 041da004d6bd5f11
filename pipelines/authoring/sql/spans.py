"""Where the parts of a query are in its text:
a condition with a parameter, the SELECT around it, the CTEs before it.

sqlglot's tree has no positions, and the SQL that sqlglot prints differs from what was written. So the
positions are found among the tokens. The caller cuts the text, and compares the tree of the result with the
tree that it should have.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlglot import Token, TokenType

_COMPARISONS = {TokenType.GTE: ">=", TokenType.GT: ">", TokenType.LTE: "<=", TokenType.LT: "<"}
_SET_OPERATORS = (TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT)
_BEHIND_WHERE = (
    TokenType.GROUP_BY, TokenType.HAVING, TokenType.QUALIFY, TokenType.WINDOW, TokenType.ORDER_BY, TokenType.LIMIT,
    TokenType.OFFSET, TokenType.FETCH, TokenType.SEMICOLON, *_SET_OPERATORS,
)  # fmt: skip


class NoPlace(Exception):
    """The tokens do not have the expected shape."""


class ConditionSpan(NamedTuple):
    """`sql[start:end]` compares two sides: the first ends before `first_end`, the second starts at
    `second_start`. The operator and comments are between them."""

    start: int
    first_end: int
    second_start: int
    end: int
    operator: str


class SelectSpan(NamedTuple):
    """`sql[start:end]` is a SELECT up to its ORDER BY or its end;
    its list of columns ends before `columns_end`."""

    start: int
    columns_end: int
    end: int


def condition_at(tokens: Sequence[Token], parameter: int) -> ConditionSpan:
    """The comparison with the parameter that starts at this character."""
    at = next(place for place, token in enumerate(tokens) if token.start == parameter)
    operator = _operator(tokens, at)
    left, right = operator - 1, operator + 1
    depth = 0
    while left >= 0:
        kind = tokens[left].token_type
        depth += (kind == TokenType.R_PAREN) - (kind == TokenType.L_PAREN)
        if depth < 0 or (not depth and kind in (TokenType.AND, TokenType.WHERE)):
            break
        left -= 1
    depth = 0
    while right < len(tokens):
        kind = tokens[right].token_type
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        if depth < 0 or (not depth and kind in (TokenType.AND, *_BEHIND_WHERE)):
            break
        right += 1
    mark = tokens[operator]
    return ConditionSpan(
        tokens[left + 1].start,
        tokens[operator - 1].end + 1,
        tokens[operator + 1].start,
        tokens[right - 1].end + 1,
        _COMPARISONS[mark.token_type],
    )


def _operator(tokens: Sequence[Token], at: int) -> int:
    """The nearest comparison that is not deeper in parentheses
    than the tokens between it and the parameter."""
    for step in (-1, 1):
        depth = lowest = 0
        place = at + step
        while 0 <= place < len(tokens):
            kind = tokens[place].token_type
            opens, closes = kind == TokenType.L_PAREN, kind == TokenType.R_PAREN
            depth += (closes - opens) if step < 0 else (opens - closes)
            lowest = min(lowest, depth)
            if depth == lowest and kind in _COMPARISONS:
                return place
            if depth == lowest and kind in (TokenType.AND, TokenType.WHERE, *_BEHIND_WHERE):
                break
            place += step
    raise NoPlace


def select_at(tokens: Sequence[Token], inside_where: int) -> SelectSpan:
    """The SELECT whose WHERE contains this character."""
    at = max(place for place, token in enumerate(tokens) if token.start <= inside_where)
    where = _back(tokens, at, TokenType.WHERE, outwards=True)
    first = _back(tokens, where, TokenType.SELECT, outwards=False)
    columns_end = next(
        (place for place in _level(tokens, first + 1, where) if tokens[place].token_type == TokenType.FROM
         and tokens[place - 1].token_type != TokenType.DISTINCT),
        None,
    )  # fmt: skip
    if columns_end is None:
        raise NoPlace
    end, depth = where + 1, 0
    while end < len(tokens):
        kind = tokens[end].token_type
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        if depth < 0 or (not depth and kind in (TokenType.ORDER_BY, *_SET_OPERATORS)):
            break
        end += 1
    return SelectSpan(tokens[first].start, tokens[columns_end].start, tokens[end - 1].end + 1)


def _back(tokens: Sequence[Token], at: int, wanted: TokenType, *, outwards: bool) -> int:
    depth = lowest = 0
    for place in range(at, -1, -1):
        kind = tokens[place].token_type
        depth += (kind == TokenType.R_PAREN) - (kind == TokenType.L_PAREN)
        if depth < 0 and not outwards:
            break
        lowest = min(lowest, depth)
        if depth == lowest and kind == wanted:
            return place
    raise NoPlace


def _level(tokens: Sequence[Token], first: int, end: int) -> list[int]:
    """Positions from `first` until before `end` that are outside parentheses."""
    found, depth = [], 0
    for place in range(first, end):
        kind = tokens[place].token_type
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        if not depth:
            found.append(place)
    return found


def ctes_before(tokens: Sequence[Token], sql: str, start: int) -> str:
    """The WITH clause of the query,
    as far as the part at the character `start` can see it; "" if it can see none."""
    if tokens[0].token_type != TokenType.WITH:
        return ""
    names, end = [tokens[1].start], None
    level = _level(tokens, 1, len(tokens))
    for place in level:
        if tokens[place].token_type == TokenType.R_PAREN and place + 1 < len(tokens):
            following = tokens[place + 1].token_type
            if following == TokenType.COMMA:
                names.append(tokens[place + 2].start)
            elif following != TokenType.ALIAS:
                end = tokens[place].end + 1
                break
    if end is None:
        raise NoPlace
    if start >= end:
        return sql[:end]
    own = max(name for name in names if name <= start)
    return "" if own == names[0] else sql[:own].rstrip().rstrip(",")
