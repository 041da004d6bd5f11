"""Which of DuckDB's types reach Arrow with all of their meaning. DuckDB's own type decides, never its Arrow image.

DuckDB gives every type to Arrow as something: a UHUGEINT as a signed number, a TIMETZ without its offset, a BIT as its
storage. So only types that are known to be exact are taken, also inside other types; a type of a later DuckDB or of an
extension is refused until somebody has looked at it.
"""

from collections.abc import Callable, Iterator, Sequence

from duckdb.sqltypes import DuckDBPyType

from resources.warehouse.names import quoted, sql_name
from resources.warehouse.refusal import RefusedType

# By DuckDB's id of a type. A HUGEINT of 39 digits is kept, and is a dead letter unless the contract has the digits.
_EXACT = frozenset(
    """
    boolean tinyint smallint integer bigint hugeint utinyint usmallint uinteger ubigint float double decimal
    varchar blob date time time_ns timestamp timestamp_s timestamp_ms timestamp_ns timestamptz_ns uuid enum null
    """.split()  # noqa: SIM905 - a page of quoted words reads worse
) | {"timestamp with time zone"}
# Of other names with an id above: what an extension makes of it may have another meaning. Not JSON: it is text.
_EXACT_NAMES = frozenset({"json"})
# What a refused type becomes, that says the same or the next best.
_CASTS = {
    "time with time zone": "TIME",
    # The name of the member stays with the value, and so does the structure.
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
    """What to say of the column `name` of the type `kind`; None where it is exact."""
    found = [leaf for leaf in _leaves(kind) if not _is_exact(leaf)]
    if not found:
        return None
    column = sql_name(name)
    other = _OTHER.get(_id(kind))
    instead = f"{column}::{_written(kind, _leaf_instead)}"
    return RefusedType(name, _told(kind, found), instead, other.format(column) if other else None)


def read_as(name: str, kind: DuckDBPyType) -> str | None:
    """SQL of the column `name` of an exact type where it is to be read as another one, which has the same values.

    Parquet has no seconds, and Arrow would multiply the largest number, which stands for infinity, to milliseconds."""
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
    """Whether it is a type of DuckDB that is made of others, and no extension's that looks like one."""
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
    # The labels of an enum would be written out.
    return "VARCHAR" if _id(kind) == "enum" else str(kind)


def _written(kind: DuckDBPyType, leaf: Callable[[DuckDBPyType], str]) -> str:
    """The type as it is written in a cast, each type that is not made of others as `leaf` says."""
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
    # An array has its size among them.
    return [(name, child) for name, child in kind.children if isinstance(child, DuckDBPyType)]


def _id(kind: DuckDBPyType) -> str:
    return str(kind.id)


def _told(kind: DuckDBPyType, found: Sequence[DuckDBPyType]) -> str:
    """The type's name; of a long one its beginning, and what of it is refused."""
    shown = str(kind)
    if len(shown) <= _LONGEST:
        return shown
    inner = dict.fromkeys(str(one).partition("(")[0] for one in found)
    return f"{shown[: _LONGEST - 1]}… with {', '.join(inner)}"
