"""A warehouse's own error text without values of rows.

Engines quote the value that they could not convert, with or without quotation marks, in no reliable form. So
only text is shown that cannot come from a row: words of the query, names of types, and the words from which
engines make their sentences. All other words, all numbers, and everything between quotation marks that is not
part of the query are shown as stars.
"""

import re

from resources.security.masking import STARS

# From DuckDB 1.4 and PostgreSQL 17. A word that is missing here is shown as stars, which is safe.
_SENTENCES = frozenset(
    """
    a about absolute according add address after all already an and any are argument arguments array as at attempted
    available balanced base64 be been before begin binary body bound bounds but by byte bytes called can cannot cast
    casting casts character characters code codepoint codes column columns contain contains context conversion convert
    could create data date decode decoding default defined delimiter destination detail different digit digits dimension
    dimensions division does element elements empty encoded encoding end ended enum equal equivalent error escape exceed
    exceeds exist expected expression failed field fields find first flag for form format found from function functions
    given greater group has have hex hint id implemented implicit in index infinite infinity information input integer
    integral interval invalid is json key last least left length less limit line literal local logarithm long lower
    malformed mapping match matching maximum memory minus minute missing month more multiplication addition subtraction
    must name named names nan negative nested no non not null number numeric object of on one only operand operator or out
    overflow parameter parentheses parse parsing part pattern perhaps place position positive precision query range read
    reached recognized regular representation required result return returned right root round row rows same scalar scale
    second sequence set setting sign single size smaller source specification specifier square start starts string
    structure subquery subqueries subscript substring supported symbol syntax take than that the there this time times
    timestamp to too trailing true false try_cast try type types unable undefined underflow unexpected unicode unimplemented
    unit unknown unsupported unterminated upper use used using utf8 value values variable version was when while wide width
    with within without word wrong year you your zero zone
    """.split()  # noqa: SIM905 - a page of quoted words reads worse
) | frozenset(
    """
    bigint bignum bit blob bool boolean bytea char cidr decimal double float float4 float8 hugeint inet int int2 int4 int8
    int16 int32 int64 int128 jsonb jsonpath list macaddr map money oid real regclass smallint struct text timestamptz
    timestamp_ms timestamp_ns timestamp_s timetz tinyint ubigint uhugeint uint8 uint16 uint32 uint64 uinteger union
    usmallint utinyint uuid varchar varying xml
    """.split()  # noqa: SIM905
)
_SIZED_TYPE = (
    r"\b(?:decimal|numeric|varchar|char|character|varying|bit|time|timestamp)\(\d+(?:, ?\d+)?\)"
    r"|precision \d+, scale \d+"
)
_TOKEN = re.compile(
    rf"(?P<type>{_SIZED_TYPE})|(?P<word>\w+)|(?P<sign>[ .,:;()!?\[\]/*+<>=^%-]+)|.", re.I | re.DOTALL
)
# From the first mark to the last, because the text between them may contain marks. An
# apostrophe ("can't") is no mark.
_QUOTED = re.compile(r"(?<!\w)[\"'`].*[\"'`](?!\w)", re.DOTALL)
_WORD = re.compile(r"\w+")
_RUN = re.compile(rf"{re.escape(STARS)}(?:[^\w]*{re.escape(STARS)})+")


def without_values(said: str, sql: str) -> str:
    """`said`, one sentence of an engine about the query `sql`, without anything
    that may be a value of a row."""
    known = {word.lower() for word in _WORD.findall(sql) if not word[0].isdigit()} | _SENTENCES
    shown, end = [], 0
    if quoted := _QUOTED.search(said):
        inner = quoted[0][1:-1]
        authors = any(f"{mark}{inner}{mark}" in sql for mark in "'\"")
        shown = [_masked(said[: quoted.start()], known), quoted[0] if authors else STARS]
        end = quoted.end()
    return _RUN.sub(STARS, "".join([*shown, _masked(said[end:], known)]))


def is_part(line: str, sql: str) -> bool:
    """Whether `line`, with which an engine shows a place, is a line of the query `sql`
    itself. Engines cut long lines."""
    written = " ".join(line.strip().removeprefix("...").removesuffix("...").split())
    return bool(written) and written in " ".join(sql.split())


def _masked(text: str, known: set[str] | frozenset[str]) -> str:
    def shown(token: "re.Match[str]") -> str:
        word = token["word"]
        return token[0] if token["type"] or token["sign"] or (word and word.lower() in known) else STARS

    return _TOKEN.sub(shown, text)
