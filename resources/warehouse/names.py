"""Names of columns and tables in SQL."""

import re

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# Words that DuckDB or PostgreSQL reads as its own where a column has such a name.
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
    """`name` as a person writes it in SQL: in quotes only where it needs them."""
    return name if _PLAIN.fullmatch(name) and name not in _RESERVED else quoted(name)


def quoted(name: str) -> str:
    """`name` as SQL's quoted identifier."""
    return '"' + name.replace('"', '""') + '"'
