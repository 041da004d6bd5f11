"""Reads an event's SQL with sqlglot:
one SELECT, both window bounds, the tables it reads and the columns it returns.

It imports sqlglot (0.1 s), so it is itself imported only to load a catalogue.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError

from pipelines.authoring.problems import listing, near_miss
from pipelines.authoring.sql.mistakes import SqlMistake, SqlMistakes
from pipelines.authoring.sql.outputs import output_columns, table_spans, tables_read
from pipelines.authoring.sql.source_sql import PARAMETERS, ParameterSpan, SourceQuery, dedented
from pipelines.authoring.sql.window import half_open_mistakes

_PATTERN = "SELECT ... FROM ... WHERE t >= :window_start AND t < :window_end"
_BOTH = "both :window_start and :window_end"
_OPENERS = (TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.L_PAREN)
# {{ ds }}, {window_start}, %(window_start)s, ${window_start}: how other tools mark a place for a value.
_TEMPLATE = re.compile(r"\{\{|\{%|\{\s*window_(?:start|end)\s*\}|%\(\w+\)s")
_CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Command, exp.Copy)


def analyse(written: str, dialect: str = "duckdb") -> tuple[SourceQuery, list[SqlMistake]]:
    """The query, and what a reviewer should look at in it.
    Raises `SqlMistakes` with everything that is wrong.

    SQL that DuckDB's grammar cannot read is read with PostgreSQL's, because DuckDB's lacks the operators on
    JSON. The settings decide which kind of warehouse a name means, but a module means the same wherever it is
    loaded.
    """
    try:
        return _analysed(written, dialect)
    except SqlMistakes:
        if dialect != "duckdb":
            raise
        with suppress(SqlMistakes):
            return _analysed(written, "postgres")
        raise


def _analysed(written: str, dialect: str) -> tuple[SourceQuery, list[SqlMistake]]:
    sql = dedented(written)
    parser = dialect_of(dialect)
    templates = list(_TEMPLATE.finditer(sql))
    try:
        tokens = tokens_of(parser, sql)
    except SqlMistakes:
        if templates:
            raise SqlMistakes(_template(templates[0])) from None
        raise
    starts = {token.start for token in tokens}
    if code := [template for template in templates if template.start() in starts]:
        raise SqlMistakes(_template(code[0]))
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        sql = sql[: tokens[-1].start].rstrip()  # a driver that wraps the query could not take the semicolon
        tokens.pop()
    if not tokens:
        raise SqlMistakes(SqlMistake(0, "the SQL is empty", _PATTERN))
    if tokens[0].token_type not in _OPENERS:
        raise SqlMistakes(_not_a_select(tokens, sql))
    spans, mistakes = _parameters(tokens, sql, dialect)
    if mistakes:
        # A template in quotes is the author's text, except if it takes the place of a parameter.
        quoted = [found for found in templates if any(one.start < found.start() <= one.end for one in tokens)]
        raise SqlMistakes(*([_template(quoted[0])] if quoted else mistakes))
    root = parsed(parser, tokens, sql)
    nodes = list(root.walk())
    changing = next((node for node in nodes if isinstance(node, _CHANGES)), None)
    if changing is not None:
        raise SqlMistakes(
            SqlMistake(
                0,
                f"the SQL also changes data ({changing.key.upper()}), and a source only reads",
                f"one query: {_PATTERN}",
            )
        )
    # The grammar also reads the bound in `x[:n]` as a parameter;
    # `_parameters` already found those that are none.
    placeholders = [node for node in nodes if isinstance(node, exp.Placeholder) and node.this in PARAMETERS]
    if any(isinstance(node, exp.Placeholder) and not node.this for node in nodes):
        # PostgreSQL's grammar found a `?` that is not an operator on JSON.
        raise SqlMistakes(_unbound(sql.find("?"), "?", ""))
    if sorted(str(node.this) for node in placeholders) != sorted(span.name for span in spans):
        # A colon may also separate a struct's name from its value:
        # here the grammar and the spelling disagree.
        raise SqlMistakes(
            SqlMistake(
                spans[0].start,
                "the SQL has a colon before window_start or window_end that is no parameter",
                "parameters as :window_start and :window_end",
                "put a space after the colon of a struct or slice",
            )
        )
    if mistakes := half_open_mistakes(placeholders, spans):
        raise SqlMistakes(*mistakes)
    columns, mistakes = output_columns(root)
    if mistakes:
        raise SqlMistakes(*mistakes)
    query = SourceQuery(
        sql,
        dialect,
        tables_read(nodes),
        columns,
        _normalised(tokens),
        tuple(spans),
        table_spans(nodes, sql),
    )
    remarks = _remarks(root, nodes, columns)
    for node in nodes:
        node.parent = None  # freed now: the tree is circular, and the garbage collector would come later
    return query, remarks


def _template(found: re.Match[str]) -> SqlMistake:
    return SqlMistake(
        found.start(),
        f"the SQL has {found[0]!r}, but nothing fills in templates: values are bound by the driver",
        _BOTH,
        f"write {_PATTERN}, without quotes",
    )


@lru_cache
def dialect_of(name: str) -> Any:
    """sqlglot's dialect with this name."""
    return Dialect.get_or_raise(name)


def tokens_of(dialect: Any, sql: str) -> list[Token]:
    """The tokens of the SQL. Raises SqlMistakes."""
    try:
        return list(dialect.tokenize(sql))
    except SqlglotError:
        raise SqlMistakes(
            SqlMistake(
                0,
                "the SQL has a quote or comment that is never closed",
                next_step="count its quotes and /* */ pairs",
            )
        ) from None


def parsed(dialect: Any, tokens: list[Token], sql: str) -> Any:
    """The one query that the tokens make. Raises SqlMistakes."""
    try:
        statements = [found for found in dialect.parser().parse(tokens, sql) if found is not None]
    except ParseError as error:
        raise SqlMistakes(_unreadable(error, sql)) from None
    except (SqlglotError, RecursionError) as error:
        raise SqlMistakes(SqlMistake(0, f"the SQL cannot be read: {str(error).splitlines()[0]}")) from None
    statements = [found for found in statements if not isinstance(found, exp.Semicolon)]
    if len(statements) != 1:
        second = next(token for token in tokens if token.token_type == TokenType.SEMICOLON)
        raise SqlMistakes(
            SqlMistake(
                second.start,
                f"the SQL has {len(statements)} statements",
                "one SELECT",
                "join them by WITH name AS (SELECT ...) SELECT ...",
            )
        )
    if not isinstance(statements[0], exp.Query):
        raise SqlMistakes(SqlMistake(0, "the SQL is not a SELECT", f"one query: {_PATTERN}"))
    return statements[0]


def _unreadable(error: ParseError, sql: str) -> SqlMistake:
    detail = error.errors[0]
    context, found = detail.get("start_context") or "", detail.get("highlight") or ""
    # sqlglot's own line numbers are wrong after comments; the text around the mistake is right.
    at = sql.find(context + found)
    offset = at + len(context) if at >= 0 else 0
    line = sql[sql.rfind("\n", 0, offset) + 1 :].partition("\n")[0].strip()
    reason = re.sub(
        r" but got <Token .*?text: (.*?), line:.*", r" but got \1", str(detail.get("description", ""))
    )
    reason = re.sub(r" for <class '[\w.]*?(\w+)'>", r" of \1", reason).rstrip(".")
    return SqlMistake(
        offset,
        f"the SQL cannot be read at {found!r} in {line!r}: {reason}",
        next_step="mend it; where the warehouse itself takes it, put that part in a view",
    )


def _not_a_select(tokens: Sequence[Token], sql: str) -> SqlMistake:
    shown = sql if len(sql) <= 40 else sql[:40] + "..."
    hint: str | None
    if sql.lower().endswith(".sql"):
        hint = "write the SQL itself in the module; a name of a file is not read"
    elif len(tokens) <= 5 and " " not in sql:
        hint = f"did you mean 'SELECT ... FROM {sql} WHERE ... >= :window_start AND ... < :window_end'?"
    else:
        misspelt = tokens[0].token_type == TokenType.VAR  # a keyword (DELETE) was meant as it is written
        hint = near_miss(tokens[0].text, ["SELECT", "WITH", "FROM"]) if misspelt else None
    return SqlMistake(0, f"source={shown!r} is not a SELECT", f"one query: {_PATTERN}", hint)


def _parameters(
    tokens: Sequence[Token], sql: str, dialect: str
) -> tuple[list[ParameterSpan], list[SqlMistake]]:
    spans: list[ParameterSpan] = []
    mistakes: list[SqlMistake] = []
    for place, token in enumerate(tokens):
        following = tokens[place + 1] if place + 1 < len(tokens) else None
        touches = following is not None and following.start == token.end + 1
        # An `@` is the operator of the absolute value, except before a bound:
        # other warehouses mark parameters with it.
        foreign = (
            token.token_type == TokenType.PARAMETER
            and touches
            and (token.text != "@" or (following is not None and following.text in PARAMETERS))
        )
        # In PostgreSQL a question mark may also be an operator on JSON.
        if foreign or (token.token_type == TokenType.PLACEHOLDER and dialect == "duckdb"):
            name = (
                sql[token.start : following.end + 1]
                if foreign and following
                else sql[token.start : token.end + 1]
            )
            mistakes.append(_unbound(token.start, name, following.text if foreign and following else ""))
        if token.token_type != TokenType.COLON or not touches or following is None:
            continue
        if not re.fullmatch(r"[A-Za-z_]\w*", following.text) or _attached(tokens, place):
            continue
        if following.text not in PARAMETERS and _parts(tokens, place):
            continue
        if following.text in PARAMETERS:
            spans.append(ParameterSpan(token.start, following.end + 1, following.text))
            continue
        mistakes.append(
            SqlMistake(
                token.start,
                f"the SQL has the parameter ':{following.text}', which nothing binds",
                f"{_BOTH}, and no other",
                f"did you mean {_meant(following.text)}? A value of your own is written into the SQL itself",
            )
        )
    missing = [f":{name}" for name in PARAMETERS if name not in {span.name for span in spans}]
    if missing and not mistakes:
        quoted = any(token.token_type == TokenType.STRING and missing[0] in token.text for token in tokens)
        mistakes.append(
            SqlMistake(
                0,
                f"the SQL has no {' and no '.join(missing)}, so every window would hold the same rows"
                if len(missing) == 2
                else f"the SQL has no {missing[0]}, so one row would be in many windows",
                f"{_BOTH}: {_PATTERN}",
                "take the quotes off; inside them it is plain text"
                if quoted
                else "bound the time by which a row belongs to its window",
            )
        )
    return spans, mistakes


def _unbound(offset: int, parameter: str, name: str) -> SqlMistake:
    return SqlMistake(
        offset,
        f"the SQL has the parameter {parameter!r}, which nothing binds",
        f"{_BOTH}, and no other",
        f"write {_meant(name)}",
    )


def _meant(name: str) -> str:
    """The bound that an author most likely means with a parameter of this name."""
    lower = name.lower()
    if any(word in lower for word in ("start", "begin", "from", "since", "lower")):
        return ":window_start"
    if any(word in lower for word in ("end", "stop", "until", "upper")):
        return ":window_end"
    return ":window_start or :window_end"


def _attached(tokens: Sequence[Token], place: int) -> bool:
    """Whether the colon at `place` belongs to the name before it,
    as in `{'a':b}`, and does not begin a parameter."""
    before = tokens[place - 1] if place else None
    if before is None or before.end + 1 != tokens[place].start:
        return False
    return before.token_type in (TokenType.STRING, TokenType.VAR, TokenType.IDENTIFIER, TokenType.NUMBER)


def _parts(tokens: Sequence[Token], place: int) -> bool:
    """Whether the colon at `place` separates two bounds,
    as in `x[n :m]` or `x[f(n):m]`, or a name from its value."""
    depth = 0
    for before in range(place - 1, -1, -1):
        kind = tokens[before].token_type
        depth += (kind in _CLOSING) - (kind in _OPENING)
        if depth < 0:
            ends = (TokenType.STRING, TokenType.VAR, TokenType.IDENTIFIER, TokenType.NUMBER, *_CLOSING)
            first = before == place - 1 and kind == TokenType.L_BRACKET  # x[:n]
            return kind in _OPENING[1:] and (first or tokens[place - 1].token_type in ends)
    return False


_OPENING = (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE)
_CLOSING = (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE)


def _normalised(tokens: Sequence[Token]) -> str:
    # A keyword is written as its token type, so its case has no effect; names and literals keep their text.
    # sqlglot's generated SQL is not used: it changes from release to release, and would change every code
    # version.
    parts = []
    for token in tokens:
        kind = token.token_type.name
        parts.append(f"{kind}:{token.text}" if kind in _WORDS else token.text.upper())
    return "\x1f".join(parts)


_WORDS = ("VAR", "IDENTIFIER", "STRING", "NUMBER", "NATIONAL_STRING", "RAW_STRING", "HEREDOC_STRING")

_UNSTABLE = (
    exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.CurrentDatetime, exp.Localtimestamp, exp.Localtime,
    exp.Rand, exp.Uuid, exp.TableSample,
)  # fmt: skip
_UNSTABLE_NAMES = {
    "now", "today", "get_current_timestamp", "transaction_timestamp", "statement_timestamp", "clock_timestamp",
    "timeofday", "current_localtimestamp", "current_localtime", "get_current_time", "localtimestamp", "localtime",
    "random", "random_normal", "gen_random_uuid", "gen_random_bytes", "uuid", "uuidv4", "uuidv7", "nextval",
    "txid_current", "pg_current_xact_id",
}  # fmt: skip
# Where a row is in its table; a copy, a restore or VACUUM FULL moves it.
_PLACES = {"rowid", "ctid"}


def _is_unstable(node: Any) -> bool:
    if isinstance(node, _UNSTABLE):
        return True
    if isinstance(node, exp.Anonymous):
        name = str(node.this).lower()
        # With one argument it is the age until today.
        return name in _UNSTABLE_NAMES or (name == "age" and len(node.expressions) == 1)
    return isinstance(node, exp.Column) and node.name.lower() in _PLACES and not node.this.args.get("quoted")


# Aggregates whose value depends on the order in which rows are read, if the SQL gives no order. Lists and
# joined texts are left to `check`, which queries the warehouse: most of them are unnested again, or counted.
_UNDECIDED = (exp.AnyValue, exp.First, exp.Last)


def _undecided(nodes: Sequence[Any]) -> list[tuple[str, str]]:
    """The aggregates of `_UNDECIDED` without an order, each with the column that it makes."""
    found = []
    for node in nodes:
        if not isinstance(node, _UNDECIDED) or node.find(exp.Order) is not None:
            continue
        around = node.parent.parent if isinstance(node.parent, exp.IgnoreNulls) else node.parent
        # A window function has its own order.
        if not isinstance(around, exp.Window) and (column := _column_of(node)):
            found.append((node.sql_name().lower(), column))
    return list(dict.fromkeys(found))


def _column_of(node: Any) -> str:
    """The column of the nearest SELECT that an expression makes; "" if it makes none, as in a condition."""
    while node.parent is not None and not isinstance(node.parent, exp.Select):
        node = node.parent
    select = node.parent
    if select is None or not any(node is projection for projection in select.expressions):
        return ""
    return str(node.alias_or_name)


def _remarks(root: Any, nodes: Sequence[Any], columns: tuple[str, ...] | None) -> list[SqlMistake]:
    """Remarks on SQL that works now and will surprise someone later."""
    remarks = []
    if columns is None:
        remarks.append(
            SqlMistake(
                0,
                "the SQL selects *, so a column that the warehouse adds changes what the transform gets",
                next_step="name the columns",
            )
        )
    unstable = [node for node in nodes if _is_unstable(node)]
    if unstable:
        names = sorted(
            {"TABLESAMPLE" if isinstance(node, exp.TableSample) else node.sql().upper() for node in unstable}
        )
        named = sorted({column for node in unstable if (column := _column_of(node))})
        where = f" in column {listing(map(repr, named))}" if named else ""
        remarks.append(
            SqlMistake(
                0,
                f"the SQL uses {listing(names)}{where}, which gives another value in every run: where it reaches a "
                "column, each re-run of a window publishes its events again, as corrections",
                next_step="use :window_start or :window_end, or a column of the row, instead",
            )
        )
    for aggregate, column in _undecided(nodes):
        remarks.append(
            SqlMistake(
                0,
                f"column {column!r} takes {aggregate} of rows in whatever order they are read: another run may find "
                "another value, and publishes a correction then",
                next_step=f"say which row is meant: {aggregate}(... ORDER BY a unique column)",
            )
        )
    if root.args.get("limit") is not None or root.args.get("offset") is not None:
        remarks.append(
            SqlMistake(
                0,
                "the SQL has a LIMIT: rows beyond it are never published, and which they are may change",
                next_step="take it off",
            )
        )
    elif root.args.get("order") is not None:
        remarks.append(
            SqlMistake(
                0,
                "the SQL sorts its rows, and Sluice sorts them again by event time and key",
                next_step="take the ORDER BY off",
            )
        )
    return remarks
