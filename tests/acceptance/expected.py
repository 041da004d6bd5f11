"""What consumers must find, computed without any of our code:
the module's SQL in plain DuckDB, transforms in plain Python."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from pipelines import Event, Window

Row = dict[str, Any]


def warehouse_rows(warehouse: Path, event: Event, windows: list[Window]) -> list[Row]:
    """The events of these windows as a consumer should see them, without the id that Sluice fills in."""
    sql = event.source.sql.replace(":window_start", "$window_start").replace(":window_end", "$window_end")
    transform = _TRANSFORMS.get(event.full_name, lambda row: row)
    with duckdb.connect(warehouse, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return [
            transform(row)
            for window in windows
            for row in connection.sql(sql, params={"window_start": window.start, "window_end": window.end})
            .to_arrow_table()
            .to_pylist()
        ]


def canonical(value: Any) -> Any:
    """A form of the value that compares equal, and can be sorted, whichever library read it."""
    if isinstance(value, dict):
        return tuple((name, canonical(inner)) for name, inner in sorted(value.items()))
    if isinstance(value, list):
        return ("list", *map(canonical, value))
    if isinstance(value, datetime):
        assert value.utcoffset() is not None, "an instant without a zone"
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        # The scale matters: 1.50 is not 1.5 in a contract that says two digits.
        return str(value)
    return repr(value)


def _arrived(row: Row) -> Row:
    delay = row["delay_minutes"]
    named = None if delay is None else "LATE" if delay >= 15 else "EARLY" if delay <= -15 else "ON_TIME"
    return {**row, "punctuality": named}


def _observed(row: Row) -> Row:
    row = dict(row)
    for name, mph in (("wind_knots", row.pop("wind_mph")), ("gust_knots", row.pop("gust_mph"))):
        knots = None if mph is None else round(mph / 1.15078)
        row[name] = knots if knots is not None and knots <= 200 else None
    degrees = row["wind_degrees"]
    sectors = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"]
    sector = None if degrees is None else sectors[int((degrees + 22.5) // 45) % 8]
    row["wind_from"] = "CALM" if row["wind_knots"] == 0 else sector
    return row


_TRANSFORMS: dict[str, Callable[[Row], Row]] = {
    "flights/flight_arrived": _arrived,
    "weather/weather_observed": _observed,
}


def sorted_rows(rows: list[Row]) -> list[Any]:
    """Rows in a fixed order, for comparison as a multiset."""
    return sorted(map(canonical, rows), key=repr)
