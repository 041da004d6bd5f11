"""Any sequence of snapshots and replays with runs that stop anywhere: in the end the topic has the last
snapshot, no correction and no replay was sent twice, and the ledger says for every generation what it wrote
there.

The publisher, the decision, the difference and the store are the real ones. The log and its ledger are a list
here, so that a test can have hundreds of crashes. test_crashes.py shows that Kafka's transactions keep the
same promise.
"""

import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import Event
from pipelines.ledger.topic_identity import TopicRemade
from pipelines.publishing.publisher import NeverPublished, Publisher
from pipelines.publishing.request import PublishRequest, Replay
from pipelines.publishing.selection import Selection
from pipelines.publishing.sending import delivery, producers
from pipelines.publishing.stale import guard
from resources.kafka.batches.rows import Rows
from resources.kafka.topics.topics import Topic
from resources.kafka.topics.watch import TopicNow
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
    """The machine fails."""


@dataclass
class Log:
    """What is committed: the topic's records in order, and the ledger; and when the next crash comes."""

    topic: list[tuple[str, Row | None]] = field(default_factory=list)
    ledger: dict[str, bytes] = field(default_factory=dict)
    commits: list[tuple[dict[str, Any], list[tuple[str, Row | None]]]] = field(default_factory=list)
    steps_left: int | None = None
    topic_id: int = 1

    def remake(self) -> None:
        """The topic is deleted and made again."""
        self.topic.clear()
        self.topic_id += 1

    def step(self) -> None:
        if self.steps_left is not None:
            if self.steps_left == 0:
                raise Crash
            self.steps_left -= 1


class FakeProducer:
    """Transactions on a Log. It may crash after every record, before a commit, and after a commit."""

    log: Log
    throttled_seconds = 0.0

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

    def await_acknowledgements(self) -> Delivered:
        first = len(self.log.topic)
        last = first + len(self._records) - 1
        return Delivered(len(self._records), {0: (first, last)} if self._records else {})

    def record(self, _: str, __: int, key: bytes, value: bytes) -> None:
        self._ledger[key.decode()] = value

    def commit(self) -> None:
        self.log.step()
        self.log.topic += self._records
        self.log.ledger |= self._ledger
        (value,) = self._ledger.values()
        self.log.commits.append((json.loads(value), self._records))
        self.log.step()


class FakeMessage:
    """A record of the Log, with what a publisher reads of it."""

    def __init__(self, place: int, key: str, row: Row | None) -> None:
        self._place, self._key, self._row = place, key, row

    def key(self) -> bytes:
        return self._key.encode()

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._place

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def headers(self) -> list[tuple[str, bytes]]:
        return [("sluice_kind", b"correction")]

    def value(self) -> bytes | None:
        if self._row is None:
            return None
        body = io.BytesIO()
        key, amount = self._row
        told = {"id": key, "happened_at": MIDNIGHT + amount, "amount": amount}
        fastavro.schemaless_writer(body, fastavro.parse_schema(json.loads(FakeRegistry.schema)), told)
        return bytes([0, 0, 0, 0, 7]) + body.getvalue()


class FakeTail:
    """Reads the Log; nobody else writes to it."""

    log: Log

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def ends(self, _: int) -> dict[int, int]:
        return {0: len(self.log.topic)}

    def read(self, first: Mapping[int, int], end: Mapping[int, int]) -> Iterator[list[FakeMessage]]:
        if first:
            start = first[0]
            yield [FakeMessage(start + n, *one) for n, one in enumerate(self.log.topic[start : end[0]])]

    def close(self) -> None:
        pass


class FakeRegistry:
    schema: str

    def lookup(self, *_: str) -> int:
        return 7

    def by_id(self, _: int) -> str:
        return self.schema

    def close(self) -> None:
        return None


class FakeLedger:
    def __init__(self, log: Log) -> None:
        self._log = log

    def latest(self, key: str, **_: float) -> bytes | None:
        return self._log.ledger.get(key)

    def known(self, _: str) -> tuple[bool, bytes | None]:
        """Sometimes an answer, and then the oldest possible one."""
        return len(self._log.commits) % 2 == 1, None

    def close(self) -> None:
        return None


class FakeWatch:
    """The topic and its ledger, of one Kafka partition each."""

    cluster_id = "cluster"

    def __init__(self, log: Log) -> None:
        self._log = log

    def ask(self, *names: str) -> Callable[[], dict[str, TopicNow]]:
        return lambda: {
            name: TopicNow("ledger" if name.endswith(".ledger") else f"topic {self._log.topic_id}", 1)
            for name in names
        }

    def settled(self, name: str, least: int) -> TopicNow:  # noqa: ARG002
        return self.ask(name)()[name]

    def ends(self, _: str, kafka_partitions: Iterable[int]) -> dict[int, int]:
        return dict.fromkeys(kafka_partitions, len(self._log.topic))

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
    """One event over a Log, and what it was requested to publish so far."""

    def __init__(self, event: Event, folder: Path) -> None:
        self.event, self.log = event, Log()
        self._settings = load_settings(
            {"SLUICE_HOME": str(folder), "SLUICE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
        )
        self.asked: Counter[Row] = Counter()
        self._before: Counter[Row] = Counter()
        self.rows_of: dict[str, list[Row]] = {}

    def attempt(
        self,
        rows: Sequence[Row] | None,
        rng: dict[str, int],
        crash_after: int | None,
        *,
        code_version: str = "1" * 16,
        **request: Any,
    ) -> str:
        """Publish these rows, or what `request` says (None: nothing is sourced). Returns "crashed", or the
        action of the run."""
        self.log.steps_left = crash_after
        if rows is not None:
            self.asked += Counter(rows) - self._before
            self._before = Counter(rows)
        platform = Platform(self._settings)
        platform.__dict__["ledger"], platform.__dict__["registry"] = FakeLedger(self.log), FakeRegistry()
        platform.__dict__["watch"] = FakeWatch(self.log)
        object.__setattr__(platform, "settings", replace(platform.settings, **rng))  # type: ignore[arg-type]
        FakeProducer.log = FakeTail.log = self.log
        FakeRegistry.schema = self.event.contract.text
        if rows is not None:
            self._store(platform, rows, code_version)
        before = len(self.log.topic)
        try:
            with Publisher(
                self.event, platform, run_id="run", request=PublishRequest(**request)
            ) as publisher:
                result = publisher.publish(WINDOW)
            assert result.published == len(self.log.topic) - before, "what is said of a run is what it did"
            return result.action
        except Crash:
            return "crashed"
        except NeverPublished:
            return "never published"
        except TopicRemade:
            assert len(self.log.topic) == before, "nothing is written to a topic that was made again"
            return "made again"
        finally:
            self.log.steps_left = None
            platform.close()

    def _store(self, platform: Platform, rows: Sequence[Row], code_version: str) -> None:
        schema = self.event.contract.arrow_schema
        ordered = sorted(rows, key=lambda row: (row[1], row[0]))
        table = [{"id": key, "happened_at": MIDNIGHT + amount, "amount": amount} for key, amount in ordered]
        with platform.snapshots.writer("tests/happened", WINDOW, "transformed", schema) as out:
            if table:
                columns = [pa.array([row[f.name] for row in table]).cast(f.type) for f in schema]
                out.write(pa.RecordBatch.from_arrays(columns, schema=schema))
            snapshot = out.finish({})
        facts = {"passed": True, "contract": self.event.contract.fingerprint, "code_version": code_version}
        self.rows_of[snapshot.sha256] = ordered
        platform.snapshots.set_validation("tests/happened", WINDOW, snapshot.sha256, facts)

    def published(self) -> Counter[Row]:
        return Counter(row for _, row in self.log.topic if row is not None)

    def published_once(self) -> Counter[Row]:
        """The published rows, without those of replays."""
        return Counter(
            row
            for entry, records in self.log.commits
            if entry["kind"] != "replay"
            for _, row in records
            if row is not None
        )

    def generations(self) -> dict[int, tuple[dict[str, Any], list[tuple[str, Row | None]]]]:
        """For each generation the ledger's last entry and the records.
        Asserts that the ledger counts every generation right."""
        found: dict[int, tuple[dict[str, Any], list[tuple[str, Row | None]]]] = {}
        last: dict[str, Any] = {"generation": 0, "status": "published"}
        for entry, records in self.log.commits:
            number = entry["generation"]
            if number != last["generation"]:
                assert number == last["generation"] + 1
                whole = last["status"] == "published" or (last["kind"] == "backfill" and not last["delta"])
                assert whole, "a generation was begun upon one that nobody can name"
            found[number] = (entry, [*found.get(number, ({}, []))[1], *records])
            assert entry["rows_done"] == len(found[number][1])
            assert (entry["status"] == "published") == (entry["rows_done"] == entry["rows_total"])
            assert [one["generation"] for one in entry["earlier"]] == list(range(1, number))
            last = entry
        return found

    def in_force(self) -> Counter[Row]:
        """Events after the last tombstone of their key."""
        found: Counter[Row] = Counter()
        for key, row in self.log.topic:
            if row is None:
                found = Counter({r: n for r, n in found.items() if r[0] != key})
            else:
                found[row] += 1
        return found


def sub(one: Counter[Row], other: Counter[Row]) -> bool:
    """Whether `other` has every row of `one` at least as often."""
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
    # A crash here loses nothing that was written, so thousands of waits for fsync would show nothing.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(producers, "TransactionalProducer", FakeProducer)
    monkeypatch.setattr(guard, "RangeReader", FakeTail)
    monkeypatch.setattr(delivery, "fit_topic", lambda *_, **__: Topic("t", 1, 1, {}))
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
        # Never more copies of a row than the snapshots, one after the other, required: nothing twice.
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


# A retry has the same request.
REQUESTS = {
    "all": Selection(),
    "of a": Selection(frozenset("a")),
    "early": Selection(until=datetime(2013, 1, 1, tzinfo=UTC) + timedelta(microseconds=2)),
    "fresh": Selection(),
    "fresh of b": Selection(frozenset("b")),
}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "redefine", *REQUESTS, *REQUESTS]),
        ROWS,
        st.none() | st.integers(0, 14),
    ),
    min_size=1,
    max_size=9,
)


def selected(selection: Selection, rows: Sequence[Row]) -> list[Row]:
    return [
        row
        for row in rows
        if (not selection.keys or row[0] in selection.keys) and (selection.until is None or row[1] < 2)
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=STEPS,
    last=ROWS,
    tombstones=st.booleans(),
    rng=st.fixed_dictionaries({"transaction_rows": st.integers(1, 4), "batch_rows": st.integers(1, 5)}),
)
def test_replays_between_runs_that_stop_anywhere_are_sent_once_each(
    events: dict[bool, Event],
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, list[Row], int | None]],
    last: list[Row],
    tombstones: bool,
    rng: dict[str, int],
) -> None:
    model, version = Model(events[tombstones], tmp_path_factory.mktemp("model")), "1" * 16
    for step, rows, crash_after in [*steps, ("publish", last, None)]:
        told: dict[str, Any] = {"on_definition_change": "correct"}
        sourced: list[Row] | None = rows
        if step == "redefine":
            version, told["on_definition_change"] = f"{int(version, 16) + 1:016x}", "replay"
        elif step in REQUESTS:
            source = "fresh" if step.startswith("fresh") else "stored"
            told |= {"reason": "asked", "replay": Replay(step, source, REQUESTS[step])}  # type: ignore[arg-type]
            sourced = rows if source == "fresh" else None
        begun = bool(model.log.commits)
        outcome = model.attempt(sourced, rng, crash_after, code_version=version, **told)
        if step in REQUESTS and not begun:
            assert outcome == "never published" or (outcome == "crashed" and not model.log.commits)
            assert not model.log.topic
        generations = model.generations()
        # Every event at most as often as the snapshots required it, and each replay once.
        assert sub(model.published_once(), model.asked)
        asked = Counter(entry["request"] for entry, _ in generations.values() if entry["request"])
        assert max(asked.values(), default=1) == 1, "a request was replayed twice"
        for entry, records in generations.values():
            if entry["request"] and entry["status"] == "published":
                wanted = selected(REQUESTS[entry["request"]], model.rows_of[entry["snapshot"]])
                assert [row for _, row in records if row] == wanted
        if step in ("publish", "redefine") and outcome != "crashed":
            assert sub(Counter(rows), model.in_force()), "a row of the snapshot is not on the topic"
            if tombstones:
                gone = {row[0] for row in model.published()} - {row[0] for row in rows}
                assert not {row[0] for row in model.in_force()} & gone, "a vanished key is still in force"
    records = len(model.log.topic)  # type: ignore[assignment]
    assert model.attempt(last, rng, None, code_version=version) == "nothing"
    assert len(model.log.topic) == records  # type: ignore[comparison-overlap]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    attempts=st.lists(
        st.tuples(st.sampled_from(["publish", "replay", "remake"]), ROWS, st.none() | st.integers(0, 14)),
        max_size=7,
    ),
    last=ROWS,
    rng=st.fixed_dictionaries({"transaction_rows": st.integers(1, 4), "batch_rows": st.integers(1, 5)}),
)
def test_a_topic_that_is_made_again_at_any_moment_is_filled_by_a_replay_alone(
    events: dict[bool, Event],
    tmp_path_factory: pytest.TempPathFactory,
    attempts: list[tuple[str, list[Row], int | None]],
    last: list[Row],
    rng: dict[str, int],
) -> None:
    model = Model(events[False], tmp_path_factory.mktemp("model"))
    lost = False
    for number, (what, rows, crash_after) in enumerate(attempts):
        if what == "remake":
            model.log.remake()
            lost = bool(model.log.ledger)
        elif what == "publish":
            outcome = model.attempt(rows, rng, crash_after)
            assert outcome in (("made again", "crashed") if lost else (outcome,))
            if outcome not in ("crashed", "made again"):
                assert sub(Counter(rows), model.published())
        else:
            before = len(model.log.commits)
            outcome = model.attempt(None, rng, crash_after, reason="again", replay=Replay(f"r{number}"))
            if len(model.log.commits) > before:
                lost = False
    if model.attempt(last, rng, None) == "made again":
        assert lost
        assert model.attempt(None, rng, None, reason="again", replay=Replay("last")) == "replay"
        model.attempt(last, rng, None)
    assert sub(Counter(last), model.published())
    assert model.attempt(last, rng, None) == "nothing"
