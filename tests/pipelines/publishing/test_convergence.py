"""Any sequence of snapshots with runs that stop anywhere: the topic ends up with the last, nothing twice.

The publisher, the decision, the difference and the store are the real ones; the log and its ledger are a
list here, so that hundreds of crashes fit into a test. That Kafka's transactions keep the same promise is
shown by test_crashes.py.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import Event
from pipelines.publishing import publisher as publishing
from pipelines.publishing.publisher import Publisher
from resources.kafka.topics import Topic
from resources.kafka.rows import Rows
from resources.kafka.transactions import Delivered
from resources.platform import Platform
from resources.settings import load_settings

if TYPE_CHECKING:
    pass

WINDOW = "2013-01-01"
MIDNIGHT = 1_356_998_400_000_000

Row = tuple[str, int]
"""key, amount"""


class Crash(BaseException):
    """The machine is gone."""


@dataclass
class Log:
    """What is committed: the topic's records in order, and the ledger; and when the next crash comes."""

    topic: list[tuple[str, Row | None]] = field(default_factory=list)
    ledger: dict[str, bytes] = field(default_factory=dict)
    steps_left: int | None = None

    def step(self) -> None:
        if self.steps_left is not None:
            if self.steps_left == 0:
                raise Crash
            self.steps_left -= 1


class FakeProducer:
    """Transactions on a Log. It may crash behind every record, before a commit, and behind one."""

    log: Log

    def __init__(self, *_: object, **__: object) -> None:
        self._records: list[tuple[str, Row | None]] = []
        self._ledger: dict[str, bytes] = {}

    def __enter__(self) -> "FakeProducer":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def claim(self) -> None:
        self.log.step()

    def begin(self) -> None:
        self._records, self._ledger = [], {}

    def produce_rows(self, _: str, rows: Rows) -> None:
        for key, value in zip(rows.keys.to_pylist(), rows.values.to_pylist(), strict=True):
            self._records.append((key.decode(), None if value is None else row_of(value)))
            self.log.step()

    def settle(self) -> Delivered:
        return Delivered(len(self._records), {0: (0, 0)} if self._records else {})

    def record(self, _: str, __: int, key: bytes, value: bytes) -> None:
        self._ledger[key.decode()] = value

    def commit(self) -> None:
        self.log.step()
        self.log.topic += self._records
        self.log.ledger |= self._ledger
        self.log.step()


class FakeRegistry:
    def lookup(self, *_: str) -> int:
        return 7

    def close(self) -> None:
        return None


class FakeLedger:
    def __init__(self, log: Log) -> None:
        self._log = log

    def latest(self, key: str, **_: float) -> bytes | None:
        return self._log.ledger.get(key)

    def close(self) -> None:
        return None


def row_of(value: bytes) -> Row:
    """The row in a framed record of strings and longs, decoded by hand: id, happened_at, amount."""

    def number(at: int) -> tuple[int, int]:
        shift = result = 0
        while True:
            byte = value[at]
            result |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return (result >> 1) ^ -(result & 1), at

    size, at = number(5)
    key = value[at : at + size].decode()
    _, at = number(at + size)
    return key, number(at)[0]


class Model:
    """One event over a Log, and what was asked of it so far."""

    def __init__(self, event: Event, folder: Path) -> None:
        self.event, self.log = event, Log()
        self._settings = load_settings(
            {"SLUICE_HOME": str(folder), "SLUICE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
        )
        self.asked: Counter[Row] = Counter()
        self._before: Counter[Row] = Counter()

    def attempt(self, rows: Sequence[Row], rng: dict[str, int], crash_after: int | None) -> str:
        """Publish these rows; "crashed", or the action of the run."""
        self.log.steps_left = crash_after
        self.asked += Counter(rows) - self._before
        self._before = Counter(rows)
        platform = Platform(self._settings)
        platform.__dict__["ledger"], platform.__dict__["registry"] = FakeLedger(self.log), FakeRegistry()
        object.__setattr__(platform, "settings", _replaced(platform, rng))
        FakeProducer.log = self.log
        self._store(platform, rows)
        try:
            return Publisher(self.event, platform, run_id="run").publish(WINDOW).action
        except Crash:
            return "crashed"
        finally:
            self.log.steps_left = None
            platform.close()

    def _store(self, platform: Platform, rows: Sequence[Row]) -> None:
        schema = self.event.contract.arrow_schema
        ordered = sorted(rows, key=lambda row: (row[1], row[0]))
        table = [{"id": key, "happened_at": MIDNIGHT + amount, "amount": amount} for key, amount in ordered]
        with platform.snapshots.writer("tests/happened", WINDOW, "transformed", schema) as out:
            if table:
                columns = [pa.array([row[f.name] for row in table]).cast(f.type) for f in schema]
                out.write(pa.RecordBatch.from_arrays(columns, schema=schema))
            snapshot = out.finish({})
        facts = {"passed": True, "contract": self.event.contract.fingerprint, "code_version": "one"}
        platform.snapshots.set_validation("tests/happened", WINDOW, snapshot.sha256, facts)

    def published(self) -> Counter[Row]:
        return Counter(row for _, row in self.log.topic if row is not None)

    def in_force(self) -> Counter[Row]:
        """Events behind the last tombstone of their key."""
        found: Counter[Row] = Counter()
        for key, row in self.log.topic:
            if row is None:
                found = Counter({r: n for r, n in found.items() if r[0] != key})
            else:
                found[row] += 1
        return found


def _replaced(platform: Platform, rng: dict[str, int]) -> Any:
    from dataclasses import replace

    return replace(platform.settings, **rng)


def sub(one: Counter[Row], other: Counter[Row]) -> bool:
    """Whether every row of `one` is in `other` as often."""
    return all(other[row] >= count for row, count in one.items())


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[bool, Event]]:
    from tests.pipelines.publishing.conftest import World

    found = {}
    for tombstones in (False, True):
        folder = tmp_path / str(tombstones)
        folder.mkdir()
        world: World = World(folder, "127.0.0.1:1", "http://127.0.0.1:1")
        found[tombstones] = world.define(more="tombstones=True," if tombstones else "")
    monkeypatch.setattr(publishing, "TransactionalProducer", FakeProducer)
    monkeypatch.setattr(publishing, "fit_topic", lambda *_, **__: Topic("t", 1, 1, {}))
    yield found


ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=7)
ATTEMPTS = st.lists(st.tuples(ROWS, st.none() | st.integers(0, 14)), min_size=1, max_size=6)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    attempts=ATTEMPTS,
    last=ROWS,
    tombstones=st.booleans(),
    rng=st.fixed_dictionaries({"transaction_rows": st.integers(1, 4), "batch_rows": st.integers(1, 5)}),
)
def test_the_topic_ends_up_with_the_last_snapshot_and_nothing_twice(
    events: dict[bool, Event],
    tmp_path_factory: pytest.TempPathFactory,
    attempts: list[tuple[list[Row], int | None]],
    last: list[Row],
    tombstones: bool,
    rng: dict[str, int],
) -> None:
    model = Model(events[tombstones], tmp_path_factory.mktemp("model"))
    for rows, crash_after in [*attempts, (last, None)]:
        outcome = model.attempt(rows, rng, crash_after)
        # Never more of a row than the snapshots asked for, one after the other: nothing twice.
        assert sub(model.published(), model.asked)
        if outcome != "crashed":
            assert sub(Counter(rows), model.in_force()), "a row of the snapshot is not on the topic"
            if tombstones:
                gone = {row[0] for row in model.published()} - {row[0] for row in rows}
                assert not {row[0] for row in model.in_force()} & gone, "a vanished key is still in force"
    records = len(model.log.topic)
    assert model.attempt(last, rng, None) == "nothing"
    assert len(model.log.topic) == records


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=12),
    crashes=st.lists(st.integers(0, 8), max_size=8),
    rng=st.fixed_dictionaries({"transaction_rows": st.integers(1, 5), "batch_rows": st.integers(1, 5)}),
)
def test_however_often_a_backfill_stops_it_ends_in_the_order_of_its_snapshot(
    events: dict[bool, Event],
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Row],
    crashes: list[int],
    rng: dict[str, int],
) -> None:
    model = Model(events[False], tmp_path_factory.mktemp("model"))
    for crash_after in [*crashes, None]:
        model.attempt(rows, rng, crash_after)
    assert [row for _, row in model.log.topic] == sorted(rows, key=lambda row: (row[1], row[0]))
