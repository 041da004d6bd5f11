"""DuckDB's errors in words that a reader understands: what may pass, what must be
fixed, and no value of a row."""

import duckdb

from resources.errors import SluiceError
from resources.process.scratch import is_full, scratch_full
from resources.settings import variable
from resources.warehouse.errors import WarehouseError
from resources.warehouse.own_words import is_part, without_values

# Errors that DuckDB raises before it reads a row, or about a file or the memory. They are known by their
# text, because Arrow does not pass on the class of the error.
_NO_ROW = (
    "Binder",
    "Catalog",
    "Parser",
    "Syntax",
    "IO",
    "Permission",
    "Connection",
    "Out of Memory",
    "INTERRUPT",
)
_LINE = "LINE "


class NeedsMemory(WarehouseError):
    """A query needs more memory than it may use."""


def refused(where: str, error: Exception, sql: str) -> SluiceError:
    """The error to raise if DuckDB refused `sql`, at once or in the middle of its rows."""
    if is_full(error):  # not the query's fault
        return scratch_full(error)
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory Error" in str(error):
        return NeedsMemory(
            where,
            f"the query needs more memory than it may have: {_told(error, sql)}",
            next_step=f"raise {variable('memory_limit')}, or choose shorter windows",
        )
    return WarehouseError(where, f"the query was refused: {_told(error, sql)}")


def first_lines(error: Exception) -> str:
    """The engine's own words with the line that shows the place, without the dump after it.
    Only for errors about no row."""
    told = []
    for line in str(error).splitlines():
        if line.strip(" ^"):
            told.append(line.strip())
        if line.startswith(_LINE):
            break
    return " ".join([*told[:2], *(line for line in told[2:] if line.startswith(_LINE))])


def _told(error: Exception, sql: str) -> str:
    text = str(error)
    if text.startswith(tuple(f"{kind} Error:" for kind in _NO_ROW)):
        return first_lines(error)
    # After the first line, engines repeat the value and show the place in the query.
    first, *more = text.splitlines() or [""]
    place = next(
        (line for line in reversed(more) if line.startswith(_LINE) and is_part(line.partition(": ")[2], sql)),
        "",
    )
    return " ".join(filter(None, [without_values(first.strip(), sql), place.strip()]))
