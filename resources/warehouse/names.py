"""Names of columns and tables in SQL."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from resources.errors import did_you_mean
from resources.wording import counted

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# Words that DuckDB or PostgreSQL reads as keywords; a column with such a name needs quotes.
_RESERVED = frozenset(
    """
    all analyse analyze and anti any array as asc asof asymmetric at authorization binary both by case
    cast check collate collation column concurrently constraint create cross current_date current_role
    current_time current_timestamp current_user default deferrable desc describe distinct do else end
    except false fetch for foreign freeze from full glob grant group having ilike in initially inner
    intersect into is isnull join lambda lateral leading left like limit localtime localtimestamp
    natural not notnull null offset on only or order outer overlaps pivot placing positional primary
    qualify references returning right select semi session_user show similar some summarize symmetric
    table tablesample then to trailing true union unique unpack unpivot user using variadic verbose when
    where window with
    """.split()  # noqa: SIM905 - a page of quoted words reads worse
)


def sql_name(name: str) -> str:
    """`name` as a person writes it in SQL: in quotes only if it needs them."""
    return name if _PLAIN.fullmatch(name) and name not in _RESERVED else quoted(name)


def quoted(name: str) -> str:
    """`name` as SQL's quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def qualified(parts: Sequence[str]) -> str:
    """The name of a table as a person writes it in SQL; the last part is the table's own name."""
    return ".".join(map(sql_name, parts))


def joined(parts: Sequence[str]) -> str:
    """The parts of a name as one text, from which `parts_of` makes the parts again. A part is in quotes only
    if it could be read as several parts."""
    return ".".join(quoted(part) if re.search('[."]', part) else part for part in parts)


def parts_of(name: str) -> list[str]:
    """The parts of a name that `joined` made; the last one is the table's own name."""
    found = re.findall(r'"((?:[^"]|"")*)"|([^."]+)', name)
    return [inside.replace('""', '"') if inside else plain for inside, plain in found]


@dataclass(frozen=True)
class TableName:
    """A table that can be read. `own`: a query need not name its schema. `database`: a database
    that a query must name, too."""

    schema: str
    name: str
    own: bool
    database: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its name that a query must write."""
        return (self.name,) if self.own else (*filter(None, [self.database]), self.schema, self.name)

    @property
    def plain(self) -> str:
        """Its name as the warehouse writes it, with its schema if a query must name it."""
        return self.name if self.own else f"{self.schema}.{self.name}"


class UnknownName(ValueError):
    """The text means no table, or several. `allowed` lists all tables, or those that it may mean."""

    def __init__(self, problem: str, allowed: str) -> None:
        super().__init__(problem)
        self.problem, self.allowed = problem, allowed


_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


def table_named(text: str, known: Sequence[TableName]) -> TableName:
    """The table that a person means by `text`: `shop.orders`, `"Odd Orders"`, `shop."a.b"`, or
    without quotes `Odd Orders` and `shop.a.b`. Case is ignored only if no table has exactly
    that name. Raises UnknownName."""
    readings = _readings(text)
    for same in (str, str.lower):
        for reading in readings:
            wanted = [same(part) for part in reading]
            meant = [one for one in known if wanted == [same(part) for part in _like(one, reading)]]
            if len(meant) > 1:
                raise UnknownName(f"{text!r} may be one of {counted(len(meant), 'table')}", _listed(meant))
            if meant:
                return meant[0]
    elsewhere = [one for one in known if not one.own and one.name.lower() == readings[0][-1].lower()]
    near = did_you_mean(text, [one.plain for one in known])
    if elsewhere:
        near = f" Did you mean {' or '.join(repr(one.plain) for one in elsewhere[:3])}?"
    raise UnknownName(f"there is no table {text!r}.{near}", _listed(known))


def _listed(tables: Sequence[TableName]) -> str:
    return ", ".join(qualified(one.parts) for one in tables)


def _like(table: TableName, reading: tuple[str, ...]) -> tuple[str, ...]:
    """The parts of the table's name to compare with those of `reading`. `reading` may name a
    schema that it need not name."""
    if len(reading) == 3:
        return table.database, table.schema, table.name
    return (table.schema, table.name) if len(reading) == 2 or not table.own else (table.name,)


def _readings(text: str) -> list[tuple[str, ...]]:
    """What a person may mean by `text`, the likeliest first: a name, a schema and a name, or a
    database, a schema and a name."""
    parts = _sql_parts(text)
    if '"' in text and parts is not None:
        return [parts]
    dots = [place for place, character in enumerate(text) if character == "."]
    whole = [tuple(text.split("."))] if len(dots) == 2 and all(text.split(".")) else []
    return [
        (text,),
        *whole,
        *((text[:dot], text[dot + 1 :]) for dot in dots if text[:dot] and text[dot + 1 :]),
    ]


def _sql_parts(text: str) -> tuple[str, ...] | None:
    """The one to three parts of a name in SQL; None if `text` is no such name."""
    parts: list[str] = []
    place = 0
    while found := _PART.match(text, place):
        parts.append(found[1].replace('""', '"') if found[1] else found[2])
        place = found.end()
        if place == len(text):
            return tuple(parts) if len(parts) <= 3 else None
        if text[place] != ".":
            return None
        place += 1
    return None
