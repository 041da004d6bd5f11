"""Where the windows of a drafted event begin: at the earliest time of its table that is not a placeholder."""

from datetime import UTC, date, datetime, time

import pyarrow as pa

from pipelines.authoring.cadence import Cadence, floor, key_of
from resources.warehouse import Column, Warehouse, quoted

# Times before the first or after the second are placeholders ("0001-01-01", "9999-12-31", infinity), and no
# window could begin there.
_FIRST, _END = "1001-01-01", "9000-01-01"
_SAY_ANOTHER = "change it in the module, or draft with --start"


def first_window(opened: Warehouse, table: str, column: Column, cadence: Cadence) -> tuple[str, str]:
    """The key of the first window, and why it is this one. `table` is the table's name in SQL."""
    earliest, least = _earliest(opened, table, column)
    if earliest is None:
        today = key_of(cadence, floor(cadence, datetime.now(UTC)))
        if least is None:
            return today, f"today, since no row of the table has a time yet; {_SAY_ANOTHER}"
        return (
            today,
            f"today, since no time of the table lies from {_FIRST[:4]} to {int(_END[:4]) - 1} (the earliest is {least}); "
            + _SAY_ANOTHER,
        )
    first = key_of(cadence, floor(cadence, earliest))
    if least is None:
        return first, "where the table's times begin"
    return (
        first,
        f"the earliest time from the year {_FIRST[:4]} on; the table's times begin at {least}, and rows before the first "
        "window become no event",
    )


def _earliest(opened: Warehouse, table: str, column: Column) -> tuple[datetime | None, str | None]:
    """The earliest usable time;
    and the earliest time of all, as the warehouse writes it, if it is a different one."""
    name, kind = quoted(column.name), column.arrow_type
    if pa.types.is_date(kind):
        literal, instant = "DATE '{}'", name
    elif kind.tz is None:
        # Neither the literals nor the comparison with them would work with nanoseconds.
        literal, instant = "TIMESTAMP '{}'", f"CAST({name} AS TIMESTAMP)"
    else:
        # Nanoseconds cannot be compared with other times here either.
        instant = f"CAST({name} AS TIMESTAMPTZ)" if kind.unit == "ns" else name
        literal = "TIMESTAMPTZ '{} 00:00:00+00'"
    usable = f"{instant} >= {literal.format(_FIRST)} AND {instant} < {literal.format(_END)}"
    sql = (
        f"SELECT min(CASE WHEN {usable} THEN {instant} END) AS earliest, "
        f"CAST(min({name}) AS VARCHAR) AS least, min({instant}) < {literal.format(_FIRST)} AS before FROM {table}"
    )
    with opened.stream(sql, {}, order_by=[], batch_rows=1) as batches:
        earliest, least, before = next(
            (batch.column(0)[0].as_py(), batch.column(1)[0].as_py(), batch.column(2)[0].as_py())
            for batch in batches
            if batch.num_rows
        )
    if earliest is None:
        return None, least
    if not isinstance(earliest, datetime) and isinstance(earliest, date):
        earliest = datetime.combine(earliest, time())
    instant_utc = earliest.astimezone(UTC) if earliest.tzinfo else earliest.replace(tzinfo=UTC)
    return instant_utc, least if before else None
