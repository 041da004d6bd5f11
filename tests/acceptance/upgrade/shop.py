"""A small shop: its events as modules, its warehouse in DuckDB or PostgreSQL, and what consumers must find.

The tables are also kept here, row by row, so that the expected content of the topics is known without any of
Sluice's code.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)

_MODULE = '''"""{doc}"""

from pipelines import daily, event


@event(
    topic="{topic}",
    key="{key}",
    event_time="{time}",
    windows=daily("2024-01-01", "2024-02-01"),
    owner="team:shop",
    event_id="event_id",
    source="""
        SELECT {key}, {time}, {value} FROM {table} WHERE {time} >= :window_start AND {time} < :window_end
    """,
    {more}
)
def {name}(rows):
    """{doc}"""
    {body}
'''


@dataclass(frozen=True)
class Kind:
    """An event of the shop, over one table with three columns: key, time and value."""

    name: str
    doc: str
    table: str
    key: str
    time: str
    value: str
    avro: str
    sql: str
    more: str = ""
    body: str = "return rows"


ORDER_PLACED = Kind(
    "order_placed", "An order was placed.", "orders", "order_id", "placed_at", "amount", "long", "BIGINT", "tombstones=True,"
)  # fmt: skip
ORDER_PAID = Kind(
    "order_paid", "An order was paid.", "payments", "order_id", "paid_at", "method", "string", "TEXT"
)
ORDER_REFUNDED = Kind(
    "order_refunded", "An order was refunded.", "refunds", "order_id", "refunded_at", "method", "string", "TEXT",
    "dead_letters=0.5,",
)  # fmt: skip
STOCK_COUNTED = Kind(
    "stock_counted", "Stock was counted.", "stock", "sku", "counted_at", "pieces", "long", "BIGINT",
    'stale_writes="skip",',
)  # fmt: skip
KINDS = (ORDER_PLACED, ORDER_PAID, ORDER_REFUNDED, STOCK_COUNTED)

REPAIRED = 'return rows.assign(method=rows["method"].fillna("UNKNOWN"))'
"""A transform that corrects a payment without a method, so that its row fits."""

Value = int | str | None


@dataclass(frozen=True)
class Row:
    """A row of any of the tables."""

    key: str
    at: datetime
    value: Value


def at(day: int, second: int) -> datetime:
    """An instant of the window with number `day`."""
    return FIRST_DAY + timedelta(days=day - 1, seconds=second)


def window(day: int) -> str:
    """The key of the window with number `day`."""
    return f"{FIRST_DAY + timedelta(days=day - 1):%Y-%m-%d}"


@dataclass
class Shop:
    """`execute` runs a script in the warehouse, which nobody else has open."""

    name: str
    execute: Callable[[str], None]
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def topic(self, kind: Kind) -> str:
        """The topic of an event; the name is unique because other tests use the same broker."""
        return f"{self.name}.{kind.name.replace('_', '-')}.v1"

    def define(self, tree: Path, **bodies: str) -> None:
        """Write the events' modules and contracts below `tree`; `bodies`: other transforms, by event."""
        folder = tree / "assets" / "shop"
        folder.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            body = bodies.get(kind.name, kind.body)
            values = {
                name: getattr(kind, name) for name in ("name", "doc", "table", "key", "time", "value", "more")
            }
            (folder / f"{kind.name}.py").write_text(
                _MODULE.format(**values, topic=self.topic(kind), body=body)
            )
            (folder / f"{kind.name}.avsc").write_text(json.dumps(_contract(kind)))

    def create(self) -> None:
        """Create the tables, empty."""
        for kind in KINDS:
            self.execute(
                f"CREATE TABLE {kind.table} ({kind.key} TEXT, {kind.time} TIMESTAMPTZ, {kind.value} {kind.sql})"
            )

    def put(self, kind: Kind, day: int, rows: Iterable[tuple[str, int, Value]]) -> list[Row]:
        """Replace the rows of a window, each given as key, second of the day and value; returns them in the
        order of the topic."""
        made = sorted(
            (Row(key, at(day, second), value) for key, second, value in rows), key=lambda row: row.at
        )
        kept = [row for row in self.rows.get(kind.table, []) if not at(day, 0) <= row.at < at(day + 1, 0)]
        self.rows[kind.table] = [*kept, *made]
        values = ", ".join(
            f"('{row.key}', TIMESTAMPTZ '{row.at.isoformat()}', {_literal(row.value)})" for row in made
        )
        bounds = f"{kind.time} >= '{at(day, 0).isoformat()}' AND {kind.time} < '{at(day + 1, 0).isoformat()}'"
        self.execute(f"DELETE FROM {kind.table} WHERE {bounds}; INSERT INTO {kind.table} VALUES {values}")
        return made

    def of_window(self, kind: Kind, day: int) -> list[Row]:
        """The current rows of a window."""
        return [row for row in self.rows.get(kind.table, []) if at(day, 0) <= row.at < at(day + 1, 0)]


def _literal(value: Value) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def _contract(kind: Kind) -> dict[str, object]:
    fields = [
        {"name": "event_id", "type": "string", "doc": "The id of the event."},
        {"name": kind.key, "type": "string", "doc": "Which."},
        {"name": kind.time, "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When, UTC."},
        {"name": kind.value, "type": kind.avro, "doc": "What."},
    ]
    name = kind.name.title().replace("_", "")
    return {"type": "record", "name": name, "namespace": "shop", "doc": kind.doc, "fields": fields}
