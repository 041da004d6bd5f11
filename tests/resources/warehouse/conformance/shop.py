"""The database of the suite, the same in every kind of warehouse, and how a promise queries it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from resources.warehouse import Warehouse
from tests.resources.warehouse.conformance.kinds import Execute, Kind

FIRST = datetime(2013, 1, 1, tzinfo=UTC)
HOURS = 24
MANY = 40_000
TOLD = ":window_start $window_start $1 ? %(window_start)s 100%"
"""A text that contains a parameter in each style."""
NAME = "Karenina"
MIXED = [(a, b, c) for a in (2, None, 1) for b in ("y", "x", "ä", "Z", "") for c in (None, 0.5, -1.0)]
ENDLESS = (
    "SELECT a.i AS i FROM numbers AS a, numbers AS b, numbers AS c, numbers AS d, numbers AS e "
    "WHERE (a.i * b.i + c.i * d.i + e.i) % 7 = 8"
)
"""A query that would run for years and returns no row."""


@dataclass
class Subject:
    """A warehouse over the suite's database.
    `execute` writes to the database; if `warehouse` is closed, nothing blocks it."""

    kind: Kind
    warehouse: Warehouse
    execute: Execute

    def marked(self, sql: str) -> str:
        """The SQL with `<name>` as the warehouse's parameter."""
        style = self.warehouse.parameter_style
        if style == "pyformat":
            sql = sql.replace("%", "%%")
        for number, name in enumerate(("window_start", "window_end"), 1):
            marker = {
                "duckdb": f"${name}", "numeric": f"${number}", "qmark": "?", "named": f":{name}", "pyformat": f"%({name})s",
            }[style]  # fmt: skip
            sql = sql.replace(f"<{name}>", marker)
        return sql

    def rows(
        self,
        sql: str,
        parameters: dict[str, datetime] | None = None,
        order_by: Sequence[str] = (),
        batch_rows: int = 1000,
    ) -> pa.Table:
        """All rows of a query."""
        given = parameters or {}
        with self.warehouse.stream(sql, given, order_by=order_by, batch_rows=batch_rows) as batches:
            return pa.Table.from_batches(list(batches), self.warehouse.describe(sql, given))

    def values(self, sql: str, parameters: dict[str, datetime] | None = None) -> list[object]:
        """The values of the first column of a query."""
        return list(self.rows(sql, parameters).column(0).to_pylist())


def fill(kind: Kind, execute: Execute) -> None:
    """Create the database's tables."""
    hours = [FIRST + timedelta(hours=n) for n in range(HOURS)]
    events = ", ".join(f"({n}, {kind.naive(at)}, {kind.instant(at)}, '{TOLD}')" for n, at in enumerate(hours))
    mixed = ", ".join(
        f"({'NULL' if a is None else a}, '{b}', {'NULL' if c is None else c})" for a, b, c in MIXED
    )
    execute(f"""
CREATE TABLE events (i BIGINT NOT NULL PRIMARY KEY, naive TIMESTAMP, aware TIMESTAMPTZ, note TEXT);
INSERT INTO events VALUES {events};
CREATE TABLE mixed (a BIGINT, b TEXT, c DOUBLE PRECISION);
INSERT INTO mixed VALUES {mixed};
CREATE TABLE dexim (a BIGINT, b TEXT, c DOUBLE PRECISION);
INSERT INTO dexim SELECT a, b, c FROM mixed ORDER BY b DESC, a DESC, c;
CREATE TABLE numbers (i BIGINT);
INSERT INTO numbers VALUES {", ".join(f"({n})" for n in range(1000))};
CREATE TABLE many (i BIGINT);
INSERT INTO many SELECT a.i * 1000 + b.i FROM numbers AS a, numbers AS b WHERE a.i < {MANY // 1000} ORDER BY b.i, a.i;
CREATE TABLE people (id BIGINT, name TEXT, year_of_birth BIGINT);
INSERT INTO people VALUES (1, 'Anna {NAME}', 1850);
CREATE TABLE customers (id BIGINT PRIMARY KEY);
CREATE TABLE orders (
    order_id BIGINT NOT NULL, line BIGINT NOT NULL, "odd ""name" TEXT, customer BIGINT REFERENCES customers (id),
    PRIMARY KEY (order_id, line)
);
CREATE TABLE refusals (id BIGINT, odd {kind.refused_type});
{kind.after}
""")
