"""Reading ranges of a log, in the native and the public way:
the same records, the same ends, the same errors."""

import faulthandler
import gc
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pipelines.reconciling import log
from pipelines.reconciling.expected import CannotReconcile
from pipelines.reconciling.log import LogCut, LogReader
from resources import c_library
from resources.kafka.batches.batch_reader import Batch
from resources.kafka.errors import KafkaRefused, KafkaUnavailable
from resources.kafka.topics.topics import describe_topic
from resources.settings import ROOT
from tests.fixtures_servers import KafkaServer
from tests.resources.kafka.conftest import Cluster

Found = list[tuple[int, int, bytes | None, bytes | None]]


@pytest.fixture(params=["native", "public"])
def way(request: pytest.FixtureRequest) -> str:
    """Every promise applies to both."""
    chosen: str = request.param
    if chosen == "native" and c_library.library() is None:
        pytest.skip("the compiled library is not there")
    return chosen


@pytest.fixture
def cluster(kafka: KafkaServer, tmp_path: Path, way: str) -> Cluster:
    return Cluster(kafka, tmp_path, way)


@pytest.fixture
def reader(cluster: Cluster, way: str) -> Iterator[LogReader]:
    made = LogReader(cluster.settings())
    assert made._reader.way == way
    yield made
    made.close()


@pytest.fixture(autouse=True)
def ended_within() -> Iterator[None]:
    """A hang would be inside C code, which no exception reaches: print where it is, and end the session."""
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


class Writer:
    """One transaction after the other, in the given Kafka partitions."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": topic})
        self._producer.init_transactions(60)

    def write(
        self, p: int, records: Sequence[tuple[bytes | None, bytes | None]], *, end: str = "commit"
    ) -> None:
        self._producer.begin_transaction()
        for key, value in records:
            self._producer.produce(self._topic, value, key, partition=p)
        assert self._producer.flush(60) == 0
        if end == "commit":
            self._producer.commit_transaction(60)
        elif end == "abort":
            self._producer.abort_transaction(60)

    def commit(self) -> None:
        self._producer.commit_transaction(10)


def some(first: int, end: int) -> list[tuple[bytes | None, bytes | None]]:
    return [(b"k%d" % n, b"%d" % n * (n % 50)) for n in range(first, end)]


def read(reader: LogReader, topic: str, ranges: dict[int, tuple[int, int]]) -> Found:
    found: Found = []
    for part in reader.read(topic, ranges):
        columns = part.kafka_partitions.tolist(), part.offsets.tolist()
        found += zip(*columns, part.keys.to_pylist(), part.values.to_pylist(), strict=True)
        assert part.total_bytes == sum(
            len(side or b"") for column in (part.keys, part.values) for side in column.to_pylist()
        )
    return found


def at(p: int, first: int, records: Sequence[tuple[bytes | None, bytes | None]]) -> Found:
    return [(p, first + n, key, value) for n, (key, value) in enumerate(records)]


def test_records_arrive_as_they_are_and_none_that_was_aborted(cluster: Cluster, reader: LogReader) -> None:
    topic = cluster.topic(2)
    writer = Writer(cluster, topic)
    odd = [(None, b"v"), (b"", b""), (b"k", None), (None, None), (b"\0", b"\xff" * 3000)]
    writer.write(0, odd)
    writer.write(0, some(0, 100), end="abort")
    writer.write(0, some(100, 2_000))
    writer.write(1, some(0, 10))
    bounds = reader.bounds(topic, [0, 1])
    # Each transaction and its marker.
    assert bounds == {0: (0, 6 + 101 + 1_901), 1: (0, 11)}
    found = sorted(read(reader, topic, bounds), key=lambda one: one[:2])
    assert found == at(0, 0, odd) + at(0, 107, some(100, 2_000)) + at(1, 0, some(0, 10))


def test_what_is_outside_the_bounds_is_not_handed_over(
    cluster: Cluster, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = cluster.topic(2)
    writer = Writer(cluster, topic)
    for p in (0, 1):
        writer.write(p, some(0, 3_000))
    monkeypatch.setattr(log, "_BATCH", 700)
    for first, end in ((0, 1), (10, 2_990), (2_999, 3_000)):
        found = read(reader, topic, {0: (first, end), 1: (5, 5)})
        assert found == at(0, first, some(first, end))
    found = read(reader, topic, {0: (100, 200), 1: (1_000, 3_000)})
    assert sorted(found, key=lambda one: one[:2]) == at(0, 100, some(100, 200)) + at(
        1, 1_000, some(1_000, 3_000)
    )
    assert read(reader, topic, {}) == []


def test_a_range_that_ends_with_what_was_aborted_ends(cluster: Cluster, reader: LogReader) -> None:
    topic = cluster.topic(1)
    writer = Writer(cluster, topic)
    writer.write(0, some(0, 5))
    writer.write(0, some(0, 50), end="abort")
    started = time.monotonic()
    assert read(reader, topic, reader.bounds(topic, [0])) == at(0, 0, some(0, 5))
    assert time.monotonic() - started < 60


def test_after_a_pause_reading_goes_on_where_it_was(
    reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batch(p: int, first: int, end: int, **ends: int) -> Batch:
        rows = pa.array([b"%d" % offset for offset in range(first, end)], pa.large_binary())
        places = np.full(end - first, p, np.int32)
        told = {int(name[1:]): offset for name, offset in ends.items()}
        return Batch(places, np.arange(first, end), rows, rows, told)

    batches = [batch(1, 0, 2), batch(0, 0, 3, p0=3), batch(0, 3, 3, p1=2), batch(0, 3, 4), batch(1, 2, 4)]
    asked: list[tuple[str, Any]] = []
    for name in ("assign", "drop"):
        monkeypatch.setattr(reader._reader, name, lambda _, what, name=name: asked.append((name, what)))
    monkeypatch.setattr(reader._reader, "unassign", lambda: asked.append(("unassign", None)))
    monkeypatch.setattr(reader._reader, "next", lambda *_: batches.pop(0))
    monkeypatch.setattr(reader, "_look_up", lambda *_: None)
    # Only the third batch, which comes without a record, counts as quiet.
    monkeypatch.setattr(log, "_QUIET_SECONDS", -1.0)
    monkeypatch.setattr(log, "_PAUSE_SECONDS", 0.0)
    pauses = list[dict[int, int]]()
    pause = reader._pause
    monkeypatch.setattr(
        reader, "_pause", lambda topic, places: (pauses.append(dict(places)), pause(topic, places))
    )
    found = read(reader, "t", {0: (0, 4), 1: (0, 4)})
    assert [(p, offset) for p, offset, *_ in found] == [
        *((1, 0), (1, 1)),
        *((0, 0), (0, 1), (0, 2), (0, 3)),
        *((1, 2), (1, 3)),
    ]
    assert pauses == [{0: 0, 1: 2}, {0: 3, 1: 2}, {0: 3, 1: 2}, {1: 2}]
    assert [what for what, _ in asked[1:3]] == ["unassign", "assign"]
    assert ("assign", {0: 3, 1: 2}) in asked and asked[-1] == ("unassign", None)


def test_what_a_transaction_hides_is_read_when_it_ends(
    cluster: Cluster, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the reader stopped reading in the meantime,
    and whatever it was receiving at that moment."""
    monkeypatch.setattr(log, "_QUIET_SECONDS", 0.05)
    monkeypatch.setattr(log, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(log, "_BATCH", 500)
    topic, each, written = cluster.topic(2), 3_000, list[int]()
    writer = Writer(cluster, topic)
    for turn in range(12):
        first = reader.bounds(topic, [0, 1])
        for p in (0, 1):
            writer.write(p, some(0, 10))
        writer.write(0, some(0, each), end="never")
        bounds = reader.bounds(topic, [0, 1])
        ends = threading.Timer(0.1 + turn * 0.037, writer.commit)
        ends.start()
        ranges = {p: (first[p][1], bounds[p][1]) for p in (0, 1)}
        found = read(reader, topic, ranges)
        ends.join()
        written += [len(found)]
        low = first[0][1]
        assert [one for one in found if one[0] == 0] == at(0, low, some(0, 10)) + at(
            0, low + 11, some(0, each)
        )
    assert written == [20 + each] * 12


def test_who_stops_early_can_read_again(cluster: Cluster, reader: LogReader) -> None:
    topic = cluster.topic(1)
    writer = Writer(cluster, topic)
    writer.write(0, some(0, 5_000))
    for _ in range(3):
        part = next(part := reader.read(topic, {0: (0, 5_000)}))
        assert part.offsets[0] == 0
    assert read(reader, topic, {0: (4_000, 5_000)}) == at(0, 4_000, some(4_000, 5_000))


def test_an_open_transaction_is_not_waited_for_without_end(
    cluster: Cluster, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_WAIT_SECONDS", 2.0)
    topic = cluster.topic(1)
    writer = Writer(cluster, topic)
    writer.write(0, some(0, 10))
    writer.write(0, some(0, 10), end="never")
    with pytest.raises(KafkaUnavailable, match="a transaction stays open"):
        read(reader, topic, reader.bounds(topic, [0]))
    # Committed records can be read all the same.
    assert read(reader, topic, {0: (3, 10)}) == at(0, 3, some(3, 10))


def test_a_topic_that_is_deleted_while_it_is_read_is_told_soon(
    cluster: Cluster, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_BATCH", 100)
    topic = cluster.topic(1)
    Writer(cluster, topic).write(0, some(0, 200))
    going = reader.read(topic, {0: (0, 100_000)})
    next(going)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.delete_topics([topic])[topic].result()
    started = time.monotonic()
    with pytest.raises(CannotReconcile, match=f"topic {topic}: was deleted while it was read"):
        list(going)
    assert time.monotonic() - started < 60, "no patience for what does not come back"


@pytest.mark.parametrize("partitions", [2, 1])
def test_a_topic_that_is_made_anew_while_it_is_read_is_told_soon(
    cluster: Cluster, reader: LogReader, monkeypatch: pytest.MonkeyPatch, partitions: int
) -> None:
    monkeypatch.setattr(log, "_BATCH", 100)
    topic = cluster.topic(2)
    writer = Writer(cluster, topic)
    for p in (0, 1):
        writer.write(p, some(0, 200))
    going = reader.read(topic, {0: (0, 10), 1: (0, 1_000)})
    next(going)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.delete_topics([topic])[topic].result()
    deadline = time.monotonic() + 60
    while describe_topic(cluster.settings(), topic) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cluster.create(topic, partitions)
    started = time.monotonic()
    with pytest.raises(LogCut, match=f"topic {topic}: partition (0, )?1 ends before .* made anew"):
        list(going)
    assert time.monotonic() - started < 60, "no patience for what does not come back"


def test_while_brokers_are_away_nothing_is_said_of_the_topic(
    cluster: Cluster, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, asked = cluster.topic(1), []
    writer = Writer(cluster, topic)
    writer.write(0, some(0, 10))
    writer.write(0, some(0, 10), end="never")
    bounds = reader.bounds(topic, [0])

    def away(*_: object, **__: object) -> None:
        asked.append(1)
        raise KafkaUnavailable("Kafka", "is away")

    monkeypatch.setattr(log, "describe_topic", away)
    monkeypatch.setattr(log, "_LOOK_SECONDS", 0.5)
    monkeypatch.setattr(log, "_WAIT_SECONDS", 2.0)
    with pytest.raises(KafkaUnavailable, match="a transaction stays open"):
        read(reader, topic, bounds)
    assert len(asked) > 1


@pytest.mark.parametrize("deleted", [8_000, 15_000], ids=["a part of it", "all that is left"])
def test_what_retention_removes_while_it_is_read_is_left_out(
    cluster: Cluster, reader: LogReader, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    monkeypatch.setattr(log, "_BATCH", 100)
    topic, end = cluster.topic(1), 12_000
    writer = Writer(cluster, topic)
    for first in range(0, 20_000, 1_000):
        # Far more than is prefetched.
        writer.write(0, [(b"k%d" % n, b"v" * 1_500) for n in range(first, first + 999)])
    going = reader.read(topic, {0: (0, end)})
    found = next(going).offsets.tolist()
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, 0, deleted)]).values():
        future.result()
    started = time.monotonic()
    found += [offset for part in going for offset in part.offsets.tolist()]
    assert time.monotonic() - started < 60
    before = [offset for offset in found if offset < deleted]
    # The last offset of each thousand is a marker.
    there = [offset for offset in range(end) if offset % 1_000 != 999]
    assert before == there[: len(before)] and len(before) < min(deleted, end) * 0.9
    assert found[len(before) :] == [offset for offset in there if offset >= deleted]


def test_what_the_log_says_reaches_ours(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    topic = cluster.topic(1)
    Writer(cluster, topic).write(0, some(0, 20))
    reader = LogReader(cluster.settings(debug="fetch"))
    with caplog.at_level("DEBUG", "sluice.kafka"):
        read(reader, topic, {0: (0, 20)})
        reader.close()  # the last log lines come with it
    assert "initialized" in caplog.text and "is fetchable" in caplog.text


def threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def test_a_reader_is_freed_whoever_closes_it(cluster: Cluster) -> None:
    topic = cluster.topic(1)
    Writer(cluster, topic).write(0, some(0, 2_000))
    before = threads()
    closed, left = (LogReader(cluster.settings()) for _ in range(2))
    for reader in (closed, left):
        next(reader.read(topic, {0: (0, 2_000)}))
    closed.close()
    del reader, left, closed
    gc.collect()
    deadline = time.monotonic() + 60
    while threads() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threads() <= before


ENDINGS = {
    "left open": "",
    "forked": """
        child = os.fork()
        if not child:
            reader.unassign()
            del reader
            gc.collect()
            sys.exit(3)  # with all that runs at the end of an interpreter
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        while seen < 30_000:
            seen += len(reader.next(1_000, 5))
        print(seen, flush=True)
    """,
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("way", ["native"], indirect=True)
def test_a_process_ends_whatever_it_left_open(
    cluster: Cluster, tmp_path: Path, way: str, ending: str
) -> None:
    """And a forked child neither uses nor frees what belongs to its parent."""
    topic = cluster.topic(1)
    Writer(cluster, topic).write(0, some(0, 30_000))
    script = f"""
        import gc, os, sys
        from resources.kafka.factory import batch_reader
        from resources.settings import load_settings
        topic, reader, seen = sys.argv[1], batch_reader(load_settings()), 0
        reader.look_up(topic, 10)
        reader.assign(topic, {{0: 0}})
        while not seen:
            seen += len(reader.next(1_000, 5))
        {textwrap.indent(textwrap.dedent(ENDINGS[ending]), " " * 8).strip()}
    """
    environ = {
        "SLUICE_HOME": str(tmp_path),
        "SLUICE_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap,
        "SLUICE_PRODUCING": way,
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), topic],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert done.stdout == ("30000\n" if ending == "forked" else "")


def test_a_property_the_client_refuses_is_named(cluster: Cluster) -> None:
    with pytest.raises(KafkaRefused, match=r"settings \[kafka\]: "):
        LogReader(cluster.settings(fetch_max_bytes="much"))
