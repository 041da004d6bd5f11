"""A scenario's own ground: an event with its module and contract,
warehouses in several states, a topic, a ledger.

Every row is computed from the seed and the number of its window, so what must be on the topic is known
without any of Sluice's code.
"""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from tests.chaos.launch import Order
from tests.chaos.processes import Launched, launch
from tests.chaos.witness import Witness

EVENT = "happened"
_FIRST_DAY = datetime(2013, 1, 1, tzinfo=UTC)

_MODULE = '''"""Something happened."""

from pipelines import daily, event


@event(
    topic="{topic}",
    key="id",
    event_time="happened_at",
    windows=daily("2013-01-01", "2023-01-01"),
    owner="team:tests",
    source="""
        SELECT id, happened_at, amount FROM happenings WHERE happened_at >= :window_start AND happened_at < :window_end
    """,
    {more}
)
def happened(rows):
    """What happened, row by row."""
    {body}
'''

_CONTRACT = {
    "type": "record",
    "name": "Happened",
    "namespace": "tests",
    "doc": "It.",
    "fields": [
        {"name": "id", "type": "string", "doc": "what"},
        {
            "name": "happened_at",
            "type": {"type": "long", "logicalType": "timestamp-micros"},
            "doc": "when, UTC",
        },
        {"name": "amount", "type": "long", "doc": "how much, pieces"},
    ],
}


class Row(NamedTuple):
    """One event; `key` also names its window,
    so that a tombstone can be distinguished from another window's."""

    key: str
    happened_at: datetime
    amount: int


@dataclass(frozen=True)
class Size:
    """`windows` of `rows` rows with `keys` keys, each `padding` bytes longer than necessary, in `states`
    successive states of the warehouse."""

    windows: int
    rows: int = 120
    keys: int = 11
    states: int = 1
    padding: int = 0


class Ground:
    """Made once for a scenario. `more`: further arguments of the event; `body`: its transform."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        bootstrap: str,
        registry_url: str,
        seed: int,
        size: Size,
        more: str = "tombstones=True,",
        body: str = "return rows",
        environ: dict[str, str] | None = None,
    ) -> None:
        self.folder, self.name, self.seed, self.size = folder, name, seed, size
        self.topic = f"{name}.happened.v1"
        folder.mkdir(parents=True)
        self.environ = {
            "SLUICE_HOME": str(folder / "home"),
            "SLUICE_CODE_LOCATION": name,
            "SLUICE_LEDGER_TOPIC": f"{name}.ledger",
            "SLUICE_LEDGER_PARTITIONS": "2",
            "SLUICE_CREATE_TOPICS": "true",
            "SLUICE_REGISTER_CONTRACTS": "true",
            "SLUICE_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "SLUICE_REGISTRY_URL": registry_url,
            "SLUICE_BATCH_ROWS": "40",
            "SLUICE_TRANSACTION_ROWS": "15",
            **(environ or {}),
        }
        self._launches = 0
        self.logs: list[Path] = []
        self.define(body, more=more)
        self._fill()
        self.witness = Witness(bootstrap, registry_url, self.topic, self.environ["SLUICE_LEDGER_TOPIC"])

    def define(self, body: str, *, more: str) -> None:
        """(Re)write the event's module."""
        module = self.folder / "assets" / "chaos" / f"{EVENT}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(_MODULE.format(topic=self.topic, more=more, body=body))
        module.with_suffix(".avsc").write_text(json.dumps(_CONTRACT))

    def window(self, number: int) -> str:
        """The key of the window with this number."""
        return f"{_FIRST_DAY + timedelta(days=number):%Y-%m-%d}"

    def rows(self, number: int, state: int = 0) -> list[Row]:
        """The window's rows in one state of the warehouse, by event time.

        From one state to the next, a tenth of the rows changes, a tenth comes late, and one or two keys
        vanish. No row ever returns to an earlier form, so a row that is on the topic twice was published
        twice.
        """
        chance = random.Random(f"{self.seed} {self.name.partition('-')[0]} {number}")
        midnight = _FIRST_DAY + timedelta(days=number)
        seconds = chance.sample(range(86_400), self.size.rows)
        rows = [
            Row(
                f"{number:04d}-{n % self.size.keys}{'x' * self.size.padding}",
                midnight + timedelta(seconds=second),
                n,
            )
            for n, second in enumerate(seconds)
        ]
        for step in range(1, state + 1):
            rows = _changed(rows, step, midnight, chance)
        return sorted(rows, key=lambda row: (row.happened_at, row.key, row.amount))

    def warehouse(self, state: int) -> Path:
        """The warehouse's file in one of its states."""
        return self.folder / f"state{state}.duckdb"

    def table(self, state: int = 0) -> pa.Table:
        """All rows of one state, as the warehouse has them."""
        rows = [row for number in range(self.size.windows) for row in self.rows(number, state)]
        return pa.table(
            {
                "id": [row.key for row in rows],
                "happened_at": pa.array([row.happened_at for row in rows], pa.timestamp("us", "UTC")),
                "amount": [row.amount for row in rows],
            }
        )

    def _fill(self) -> None:
        for state in range(self.size.states):
            table = self.table(state)
            with duckdb.connect(str(self.warehouse(state))) as connection:
                connection.register("rows_of_python", table)
                connection.execute("CREATE TABLE happenings AS SELECT * FROM rows_of_python")

    def order(self, number: int, state: int = 0, **more: object) -> Order:
        """A launch of the window with this number."""
        self._launches += 1
        log = self.folder / f"launch-{self._launches:04d}.log"
        self.logs.append(log)
        environ = {**self.environ, "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{self.warehouse(state)}"}
        return Order(
            assets=str(self.folder / "assets"),
            event=EVENT,
            window=self.window(number),
            environ=environ,
            run_id=f"launch{self._launches:04d}",
            log=str(log),
            **more,  # type: ignore[arg-type]
        )

    def launch(self, number: int, state: int = 0, **more: object) -> Launched:
        """Launch the window with this number in a separate process."""
        return launch(self.order(number, state, **more))

    def stack_traces(self) -> list[str]:
        """Launches that printed a stack trace, with the end of their output."""
        said = ((log, log.read_text(errors="replace")) for log in self.logs if log.exists())
        return [
            f"{log.name} holds a stack trace:\n{text[-2000:]}" for log, text in said if "Traceback" in text
        ]


def _changed(rows: list[Row], step: int, midnight: datetime, chance: random.Random) -> list[Row]:
    keys = sorted({row.key for row in rows})
    vanished = set(chance.sample(keys, min(chance.choice((1, 2)), len(keys) - 1)))
    kept = [row for row in rows if row.key not in vanished]
    changed = set(chance.sample(range(len(kept)), max(1, len(kept) // 10)))
    rows = [
        row._replace(amount=row.amount + step * 1_000_000) if place in changed else row
        for place, row in enumerate(kept)
    ]
    left = sorted(set(keys) - vanished)
    late = [
        Row(chance.choice(left), midnight + timedelta(seconds=chance.randrange(86_400)), step * 10_000 + n)
        for n in range(max(1, len(rows) // 10))
    ]
    return [*rows, *late]
