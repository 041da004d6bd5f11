"""Which of DuckDB's types keep their whole meaning in Arrow. DuckDB's own type decides, not the Arrow type.

DuckDB gives Arrow something for every type: for a UHUGEINT a signed number, for a TIMETZ a time without its
offset, for a BIT its storage. So only types that are known to be exact are accepted, also inside other types.
A type of a later DuckDB or of an extension is refused until somebody has checked it.
"""

from collections.abc import Callable, Iterator, Sequence

from duckdb.sqltypes import DuckDBPyType

from resources.warehouse.names import quoted, sql_name
from resources.warehouse.refusal import RefusedType

# DuckDB's ids of types. A HUGEINT of 39 digits is kept; it becomes a dead letter unless
# the contract has so many digits.
_EXACT = frozenset(
    """
    boolean tinyint smallint integer bigint hugeint utinyint usmallint uinteger ubigint float double decimal
    varchar blob date time time_ns timestamp timestamp_s timestamp_ms timestamp_ns timestamptz_ns uuid enum null
    """.split()  # noqa: SIM905 - a page of quoted words reads worse
) | {"timestamp with time zone"}
# Types that have an id from above and another name are refused: an extension's type may have another meaning.
# JSON is not refused, because it is text.
_EXACT_NAMES = frozenset({"json"})
# For each refused type, a type to cast to that has the same meaning, or the nearest one.
_CASTS = {
    "time with time zone": "TIME",
    # With JSON, the name of the union's member stays with the value, and so does the structure.
    "union": "JSON",
    "variant": "JSON",
}
_ANY_OTHER = "VARCHAR"
_LONGEST = 60
_OTHER = {
    "time with time zone": "{}::VARCHAR to keep the offset",
    "interval": "epoch({}) for its seconds",
    "geometry": "ST_AsWKB({}) for its WKB",
}


def refused_type(name: str, kind: DuckDBPyType) -> RefusedType | None:
    """The refusal of the column `name` of type `kind`; None if the type is exact."""
    found = [leaf for leaf in _leaves(kind) if not _is_exact(leaf)]
    if not found:
        return None
    column = sql_name(name)
    other = _OTHER.get(_id(kind))
    instead = f"{column}::{_written(kind, _leaf_instead)}"
    return RefusedType(name, _told(kind, found), instead, other.format(column) if other else None)


def read_as(name: str, kind: DuckDBPyType) -> str | None:
    """SQL for the column `name` of an exact type, if it must be read as another type
    with the same values; else None.

    Parquet has no unit of seconds; Arrow would multiply the largest number, which
    means infinity, to milliseconds.
    """
    if not any(_id(leaf) == "timestamp_s" for leaf in _leaves(kind)):
        return None
    written = _written(kind, lambda leaf: "TIMESTAMP_MS" if _id(leaf) == "timestamp_s" else str(leaf))
    return f"{quoted(name)}::{written} AS {quoted(name)}"


def _leaves(kind: DuckDBPyType) -> Iterator[DuckDBPyType]:
    if not _is_nested(kind):
        yield kind
        return
    for _, child in _children(kind):
        yield from _leaves(child)


def _is_exact(kind: DuckDBPyType) -> bool:
    name = str(kind).partition("(")[0].strip('"').lower()
    return _id(kind) in _EXACT and name in {_id(kind), *_EXACT_NAMES}


def _is_nested(kind: DuckDBPyType) -> bool:
    """Whether it is one of DuckDB's own types that contain other types, and not an
    extension's type that looks like one."""
    shown = str(kind)
    match _id(kind):
        case "struct" | "tuple" | "map":
            return shown.startswith(_id(kind).upper() + "(")
        case "list" | "array":
            return shown.endswith("]")
    return False


def _leaf_instead(kind: DuckDBPyType) -> str:
    if not _is_exact(kind):
        return _CASTS.get(_id(kind), _ANY_OTHER)
    # Otherwise the labels of an enum would be written out.
    return "VARCHAR" if _id(kind) == "enum" else str(kind)


def _written(kind: DuckDBPyType, leaf: Callable[[DuckDBPyType], str]) -> str:
    """The type as a cast writes it; `leaf` gives the text of each type that contains no others."""
    if not _is_nested(kind):
        return leaf(kind)
    children = _children(kind)
    inner = [_written(child, leaf) for _, child in children]
    match _id(kind):
        case "struct":
            named = zip(children, inner, strict=True)
            return f"STRUCT({', '.join(f'{sql_name(name)} {written}' for (name, _), written in named)})"
        case "list":
            return f"{inner[0]}[]"
        case "array":
            return f"{inner[0]}[{dict(kind.children)['size']}]"
    return f"{_id(kind).upper()}({', '.join(inner)})"


def _children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    # The children of an array include its size, which is not a type.
    return [(name, child) for name, child in kind.children if isinstance(child, DuckDBPyType)]


def _id(kind: DuckDBPyType) -> str:
    return str(kind.id)


def _told(kind: DuckDBPyType, found: Sequence[DuckDBPyType]) -> str:
    """The type's name. For a long name: its beginning, and the part that is refused."""
    shown = str(kind)
    if len(shown) <= _LONGEST:
        return shown
    inner = dict.fromkeys(str(one).partition("(")[0] for one in found)
    return f"{shown[: _LONGEST - 1]}… with {', '.join(inner)}"
