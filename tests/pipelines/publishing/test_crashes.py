"""Runs that are killed, fenced or interrupted, on a real Apache Kafka: every event once, in order per key."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition

from pipelines.ledger.entry import LedgerEntry, ledger_key, read_entry
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.sending.records import Outgoing
from resources.kafka.batches.rows import Rows
from resources.kafka.errors import ProducerFenced
from resources.kafka.transactions import TransactionalProducer

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import Row, World

WINDOW = "2013-01-01"
ROOT = Path(__file__).parents[3]


def rows(count: int, first: int = 0) -> list["Row"]:
    return [(f"k{n * 5 % 7}", (n * 37) % 1440, n) for n in range(first, first + count)]


def in_order(rows: list["Row"]) -> dict[str, list["Row"]]:
    ordered = sorted(rows, key=lambda row: (row[1], row[0], row[2]))
    return {key: [row for row in ordered if row[0] == key] for key in {row[0] for row in ordered}}


def entry(world: "World") -> LedgerEntry:
    key = ledger_key(world.topic, WINDOW)
    found = read_entry(key, world.platform().ledger.latest(key))
    assert found is not None
    return found


class Interrupted(Exception):
    """Ends a run in this process, as the loss of the machine would."""


def interrupt(monkeypatch: pytest.MonkeyPatch, *, commits: int) -> None:
    """Every producer made from now on fails at its commit number `commits` + 1, before the commit happens."""
    real = TransactionalProducer.commit
    counts: Counter[int] = Counter()

    def commit(self: TransactionalProducer) -> Any:
        counts[id(self)] += 1
        if counts[id(self)] > commits:
            raise Interrupted
        return real(self)

    monkeypatch.setattr(TransactionalProducer, "commit", commit)


def killed(world: "World", *, after_records: int, at: str, transaction_rows: int) -> None:
    order = {
        "assets": str(world.folder / "assets"),
        "window": WINDOW,
        "after_records": after_records,
        "at": at,
    }
    environ = {
        **os.environ,
        **world.environ,
        "PYTHONPATH": str(ROOT),
        "SLUICE_TRANSACTION_ROWS": str(transaction_rows),
        # During a test, the brokers do not end the transaction that the process leaves open.
        "SLUICE_KAFKA_TRANSACTION_TIMEOUT_MS": "600000",
    }
    script = Path(__file__).parent / "killed_run.py"
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(order)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def uncommitted_records(world: "World") -> int:
    """How many records the topic has, including those of open and aborted transactions."""
    consumer = Consumer(
        {
            "bootstrap.servers": world.bootstrap,
            "group.id": uuid4().hex,
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(world.topic, p, 0) for p in range(3)])
    count, ended = 0, 0
    while ended < 3:
        message = consumer.poll(60)
        assert message is not None
        if message.error() is None:
            count += 1
        else:
            ended += 1
    consumer.close()
    return count


@pytest.mark.parametrize("at", ["produce", "record"])
def test_a_run_killed_in_a_transaction_is_taken_up_where_it_stopped(world: "World", at: str) -> None:
    world.rows(rows(100))
    world.prepare()
    killed(world, after_records=57, at=at, transaction_rows=20)

    # Two transactions are committed; the third is open: on the brokers, but not visible.
    assert uncommitted_records(world) == (57 if at == "produce" else 60)
    # The claim ends the dead run's transaction.
    result = world.publish(world.platform(transaction_rows=20))
    assert (result.action, result.published, result.skipped, result.generation) == ("resume", 60, 40, 1)
    assert "40 of 100 rows were committed before run killed" in result.because

    assert world.by_key() == in_order(rows(100))
    assert world.counted() == Counter(rows(100))
    assert uncommitted_records(world) > 100
    assert world.publish().action == "nothing"


@pytest.mark.parametrize("commits", [0, 1, 4])
def test_an_interrupted_backfill_goes_on_behind_its_last_commit(
    world: "World", monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    with monkeypatch.context() as patched:
        interrupt(patched, commits=commits)
        with pytest.raises(Interrupted):
            world.deliver(rows(50), settings={"transaction_rows": 10})
    if commits:
        assert (entry(world).status, entry(world).rows_done) == ("publishing", commits * 10)
    result = world.deliver(settings={"transaction_rows": 10, "batch_rows": 7}, run_id="second")
    assert (result.action, result.published) == ("resume" if commits else "backfill", 50 - commits * 10)
    assert world.by_key() == in_order(rows(50))
    done = entry(world)
    assert (done.status, done.rows_done, done.run_id) == ("published", 50, "second")
    # The ledger's offsets cover what both runs published.
    assert sum(last - first + 1 for first, last in done.offsets.values()) >= 50


def test_changed_rows_after_an_interrupted_backfill_go_out_against_what_is_there(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        interrupt(patched, commits=2)
        with pytest.raises(Interrupted):
            world.deliver(rows(50), settings={"transaction_rows": 10})
    there = world.counted()
    assert sum(there.values()) == 20

    changed = rows(45, 10)
    result = world.deliver(changed)
    expected = Counter(changed) - there
    assert (result.action, result.generation, result.published) == ("correct", 2, sum(expected.values()))
    lost, new = (Counter(row[0] for row in rest.elements()) for rest in (there - Counter(changed), expected))
    assert result.gone == sum((lost - new).values())
    assert world.counted() == there + expected
    assert world.deliver().action == "nothing"


def test_an_interrupted_correction_is_finished_first(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    world.define(more="tombstones=True,")
    world.deliver([*rows(20), ("gone", 3, 3)])
    second = [*rows(20), *rows(30, 100)]
    with monkeypatch.context() as patched:
        interrupt(patched, commits=1)
        with pytest.raises(Interrupted):
            world.deliver(second, settings={"transaction_rows": 10})
    stopped = entry(world)
    assert (stopped.kind, stopped.status, stopped.rows_done, stopped.rows_total) == (
        "correction",
        "publishing",
        10,
        31,
    )

    third = [*rows(15), *rows(30, 100), ("late", 5, 5)]
    result = world.deliver(third, settings={"transaction_rows": 7})
    # 20 rows and a tombstone of the second state, then the one new row of the third.
    assert (result.action, result.generation) == ("correct", 3)
    assert (result.published, result.tombstones, result.gone) == (22, 1, 5)
    assert world.counted() == Counter([*rows(20), ("gone", 3, 3), *rows(30, 100), ("late", 5, 5)])
    by_generation = Counter(r.headers.get("sluice_generation") for r in world.seen())
    assert by_generation == {None: 21, "2": 31, "3": 1}
    assert any("that correction is completed first" in said for said in world.said)
    assert world.deliver().action == "nothing"


def test_an_interrupted_correction_of_the_same_rows_goes_on(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    world.define(more="tombstones=True,")
    world.deliver([*rows(20), ("gone", 3, 3), ("lost", 4, 4)])
    for commits in (1, 1, 1):
        with monkeypatch.context() as patched:
            interrupt(patched, commits=commits)
            with pytest.raises(Interrupted):
                world.deliver([*rows(20), *rows(10, 100)], settings={"transaction_rows": 3})
    result = world.deliver()
    # 9 rows were sent in three runs; one row and two tombstones are left.
    assert (result.action, result.generation, result.published, result.tombstones) == ("resume", 2, 3, 2)
    assert world.counted() == Counter([*rows(20), ("gone", 3, 3), ("lost", 4, 4), *rows(10, 100)])
    assert sorted(r.key for r in world.seen() if r.value is None) == ["gone", "lost"]


@pytest.mark.parametrize("open_rows", [0, 3])
def test_of_two_runs_of_one_window_the_first_is_told_that_it_is_taken_over(
    world: "World", monkeypatch: pytest.MonkeyPatch, open_rows: int
) -> None:
    """The first is paused after two commits, with or without a transaction's records on the brokers."""
    world.rows(rows(60))
    platform = world.platform(transaction_rows=10)
    world.prepare(platform)
    first = Publisher(world.event, platform, run_id="first")
    reached, go_on = threading.Event(), threading.Event()
    real = Outgoing.records

    def records(self: Outgoing) -> Iterator[Rows]:
        for found in real(self):
            for number in range(len(found)):
                if number == 20 + open_rows and self._entry.run_id == "first":
                    reached.set()
                    assert go_on.wait(60)
                yield found.slice(number, 1)

    monkeypatch.setattr(Outgoing, "records", records)
    second = world.platform(transaction_rows=10)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first.publish, WINDOW)
        assert reached.wait(60)
        result = world.publish(second, run_id="second")
        go_on.set()
        with pytest.raises(ProducerFenced) as caught:
            running.result(timeout=60)
    assert (caught.value.event, caught.value.window) == ("tests/happened", WINDOW)
    assert "another run has taken over this window" in str(caught.value)
    assert (result.action, result.published, result.skipped) == ("resume", 40, 20)
    assert world.by_key() == in_order(rows(60))


def test_two_runs_at_once_publish_every_event_once(world: "World") -> None:
    world.rows(rows(300))
    world.prepare()
    platforms = [world.platform(transaction_rows=5) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(world.publish, platform) for platform in platforms]
        outcomes = [run.exception(timeout=120) or run.result() for run in runs]
    assert all(isinstance(o, ProducerFenced) or not isinstance(o, Exception) for o in outcomes), outcomes
    assert world.publish().action in ("nothing", "resume")
    assert world.by_key() == in_order(rows(300))
