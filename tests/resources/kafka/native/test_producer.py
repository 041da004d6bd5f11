"""The native way in cases where it could wait forever, lose count or change an order. All of it applies to
the public way too.

Each test ends in seconds or fails: `ended_within` watches it from outside, because a call that never returns
cannot do so.
"""

import ctypes
import faulthandler
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import urandom
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from resources.errors import SluiceError, TransientError
from resources.kafka.batches.deliveries import Deliveries
from resources.kafka.batches.murmur2 import kafka_partitions
from resources.kafka.batches.rows import Rows
from resources.kafka.errors import DeliveryFailed, ProducerFenced, RecordTooLarge
from resources.kafka.native.producer import _free
from resources.kafka.transactions import TransactionalProducer
from resources.settings import ROOT, Settings
from tests.matrix import one_of

if TYPE_CHECKING:
    from tests.resources.kafka.conftest import Cluster


@pytest.fixture(params=one_of("native", "public"))
def way(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


only_native = pytest.mark.parametrize("way", ["native"], indirect=True)


@pytest.fixture(autouse=True)
def ended_within() -> Iterator[None]:
    """A hang would be inside C code, which no exception reaches: print where it is, and end the session."""
    faulthandler.dump_traceback_later(240, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@contextmanager
def claimed(settings: Settings, topic: str, name: str = "id", **more: Any) -> Iterator[TransactionalProducer]:
    with TransactionalProducer(
        settings, f"{topic} {name}", event="flights/departed", window="2013-01-01", topic=topic, **more
    ) as made:
        made.claim()
        yield made


def rows(count: int, *, keys: int = 97, value_bytes: int = 100, first: int = 0) -> Rows:
    """Rows numbered from `first`; several for each key."""
    numbers = range(first, first + count)
    return Rows(
        pa.array([b"key-%d" % (n % keys) for n in numbers], pa.binary()),
        pa.array([b"%d" % n + b"." * (value_bytes - len(str(n))) for n in numbers], pa.large_binary()),
    )


def read(cluster: "Cluster", topic: str, partitions: int) -> dict[int, list[tuple[bytes | None, int]]]:
    """Key and number of each committed record, by Kafka partition, in their order there."""
    found: dict[int, list[tuple[bytes | None, int]]] = {p: [] for p in range(partitions)}
    for partition, message in messages(cluster, topic, partitions):
        found[partition].append((message.key(), int((message.value() or b"").rstrip(b"."))))
    return found


def messages(cluster: "Cluster", topic: str, partitions: int) -> Iterator[tuple[int, Any]]:
    cluster._wait_for_markers(topic, partitions)
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": "reads",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "enable.auto.commit": False,
        }
    )
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    ended: set[int] = set()
    while len(ended) < partitions:
        message = consumer.poll(60)
        assert message is not None
        if message.error() is None:
            yield message.partition() or 0, message
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF
            ended.add(message.partition() or 0)
    consumer.close()


def check_complete(found: dict[int, list[tuple[bytes | None, int]]], sent: int, keys: int = 97) -> None:
    """Assert that every row is there once, with each key's rows in order, in the partition where Java
    producers put the key."""
    assert sorted(number for records in found.values() for _, number in records) == list(range(sent))
    for partition, records in found.items():
        assert all(key == b"key-%d" % (number % keys) for key, number in records)
        if records:
            placed = kafka_partitions(pa.array([key for key, _ in records], pa.binary()), len(found))
            assert set(placed.tolist()) == {partition}
        for key in {key for key, _ in records}:
            numbers = [number for other, number in records if other == key]
            assert numbers == sorted(numbers)


@pytest.mark.parametrize("known", [None, 5, 3])
def test_a_first_large_batch_goes_out_before_the_client_knows_the_topic(
    cluster: "Cluster", known: int | None
) -> None:
    """If a Kafka partition is named, and the wait is left to librdkafka, this waits forever. The test also
    has a wrong number of partitions in Sluice: librdkafka chooses the partition."""
    topic = cluster.topic(5)
    with claimed(cluster.settings(), topic, kafka_partitions=known) as producer:
        producer.begin()
        producer.produce_rows(topic, rows(30_000))
        producer.await_acknowledgements()
        delivered = producer.commit()
    assert (delivered.records, set(delivered.offsets)) == (30_000, set(range(5)))
    found = read(cluster, topic, 5)
    check_complete(found, 30_000)
    assert {p: (0, len(records) - 1) for p, records in found.items()} == delivered.offsets


def test_a_transaction_on_the_mock_cluster_of_librdkafka_ends(tmp_path: Path, way: str) -> None:
    """With it, a transaction timed out if Kafka partitions were named;
    only the ledger's record still names one."""
    from resources.settings import load_settings

    loaded = load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_PRODUCING": way})
    settings = replace(loaded, kafka={"bootstrap.servers": "none:1", "test.mock.num.brokers": "1"})
    started = time.monotonic()
    with claimed(settings, "events", kafka_partitions=4) as producer:
        for _ in range(2):
            producer.begin()
            producer.produce_rows("events", rows(20_000))
            producer.await_acknowledgements()
            producer.record("ledger", 2, b"k", b"v")
            assert producer.commit().records == 20_000
    assert time.monotonic() - started < 45, "else its transaction times out"


@pytest.mark.parametrize(
    "limit", [{"queue_buffering_max_messages": "700"}, {"queue_buffering_max_kbytes": "64"}]
)
def test_behind_a_full_queue_nothing_is_lost_doubled_or_overtaken(
    cluster: "Cluster", limit: dict[str, str]
) -> None:
    topic = cluster.topic(4)
    with claimed(cluster.settings(**limit), topic, kafka_partitions=4) as producer:  # type: ignore[arg-type]
        producer.begin()
        producer.produce_rows(topic, rows(4000))
        producer.produce_rows(topic, rows(2000, first=4000))
        producer.await_acknowledgements()
        assert producer.commit().records == 6000
    check_complete(read(cluster, topic, 4), 6000)


def test_each_transaction_counts_its_own(cluster: "Cluster") -> None:
    topic = cluster.topic(2)
    with claimed(cluster.settings(), topic, kafka_partitions=2) as producer:
        before: dict[int, tuple[int, int]] = {}
        for first in (0, 3000, 6000):
            producer.begin()
            producer.produce_rows(topic, rows(3000, first=first))
            producer.record(f"{topic}", 0, b"key-0", b"ledger")
            producer.await_acknowledgements()
            delivered = producer.commit()
            assert delivered.records == 3000
            assert all(span[0] > before.get(p, (-1, -1))[1] for p, span in delivered.offsets.items())
            before = delivered.offsets


def test_headers_timestamps_tombstones_and_empty_values_arrive_as_they_are(cluster: "Cluster") -> None:
    topic = cluster.topic(1)
    sent = Rows(
        pa.array([b"cut", b"a", b"b", b"", b"d"], pa.binary()).slice(1),
        pa.array([b"cut", b"v", None, b"", b"w" * 5000], pa.large_binary()).slice(1),
        [
            [("ce_id", b"1"), ("ce_é", b"\x00")],
            [],
            [("ce_id", b""), ("x", b"y"), ("x", b"z")],
            [("n", b"9" * 300)],
        ],
        np.array([1_600_000_000_000, 0, 5, 1_700_000_000_001], np.int64),
    )
    before_ms = int(time.time() * 1000)
    with claimed(cluster.settings(), topic) as producer:
        producer.begin()
        producer.produce_rows(topic, sent)
        producer.produce_rows(topic, Rows(sent.keys, sent.values, sent.headers))
        producer.produce_rows(topic, Rows(sent.keys, sent.values))
        producer.await_acknowledgements()
        assert producer.commit().records == 12
    found = [message for _, message in messages(cluster, topic, 1)]
    for part, headers, stamps in (
        (found[:4], sent.headers, sent.timestamps_ms),
        (found[4:8], sent.headers, None),
        (found[8:], None, None),
    ):
        assert [message.key() for message in part] == sent.keys.to_pylist()
        assert [message.value() for message in part] == sent.values.to_pylist()
        assert [message.headers() or [] for message in part] == list(headers or [[]] * 4)
        for message, stamp in zip(part, [0] * 4 if stamps is None else stamps.tolist(), strict=True):
            told = message.timestamp()[1]
            assert told == stamp if stamp else before_ms <= told <= time.time() * 1000


def test_a_record_too_large_within_a_batch_ends_the_transaction_with_its_size(cluster: "Cluster") -> None:
    topic = cluster.topic(2, max_message_bytes="20000")
    batch = rows(3000)
    values = batch.values.to_pylist()
    values[1500] = urandom(50_000)
    large = Rows(batch.keys, pa.array(values, pa.large_binary()))
    # Without compression the client itself refuses what the topic would refuse.
    settings = cluster.settings(compression_type="none")
    with claimed(settings, topic, max_message_bytes=20_000, kafka_partitions=2) as producer:
        producer.begin()
        with pytest.raises(RecordTooLarge) as caught:
            producer.produce_rows(topic, large)
        headed = Rows(large.keys, large.values, [[("h", b"1")]] * 3000)
        with pytest.raises(RecordTooLarge) as again:
            producer.produce_rows(topic, headed)
    size = 50_000 + len(batch.keys[1500].as_py())
    assert caught.value.record_bytes == again.value.record_bytes == size
    assert read(cluster, topic, 2) == {0: [], 1: []}


def test_a_topic_that_is_not_there_is_an_error_and_not_a_wait(cluster: "Cluster") -> None:
    settings = cluster.settings(topic_metadata_propagation_max_ms="1000")
    started = time.monotonic()
    with claimed(settings, f"{cluster.name}.missing") as producer:
        producer.begin()
        with pytest.raises(SluiceError, match=r"missing.*(Unknown topic|UNKNOWN_TOPIC)"):
            for _ in range(50):
                producer.produce_rows(f"{cluster.name}.missing", rows(1000))
                producer.await_acknowledgements()
    assert time.monotonic() - started < 60


def test_a_broker_that_stands_still_within_a_batch_is_waited_for(cluster: "Cluster") -> None:
    topic = cluster.topic(3)
    with claimed(
        cluster.settings(queue_buffering_max_messages="5000"), topic, kafka_partitions=3
    ) as producer:
        producer.begin()
        producer.produce_rows(topic, rows(1000))
        timer = threading.Timer(2.0, cluster.server.resume)
        cluster.server.pause()
        timer.start()
        try:
            producer.produce_rows(topic, rows(39_000, first=1000))
        finally:
            timer.join()
        producer.await_acknowledgements()
        assert producer.commit().records == 40_000
    check_complete(read(cluster, topic, 3), 40_000)


def test_brokers_silent_within_a_batch_are_a_passing_fault(cluster: "Cluster") -> None:
    topic = cluster.topic(3)
    settings = cluster.settings(transaction_timeout_ms="8000", queue_buffering_max_messages="2000")
    with claimed(settings, topic, kafka_partitions=3) as producer:
        producer.begin()
        producer.produce_rows(topic, rows(1000))
        producer.await_acknowledgements()
        cluster.server.pause()
        try:
            with pytest.raises(TransientError):
                producer.produce_rows(topic, rows(30_000))
                producer.await_acknowledgements()
        finally:
            cluster.server.resume()
    assert read(cluster, topic, 3) == {0: [], 1: [], 2: []}


@only_native  # half a minute each
def test_a_broker_that_is_restarted_within_a_batch(cluster: "Cluster") -> None:
    """Either the whole transaction is committed, or none of it is, and the error is a transient one."""
    topic = cluster.topic(3)
    with claimed(
        cluster.settings(queue_buffering_max_messages="3000"), topic, kafka_partitions=3
    ) as producer:
        producer.begin()
        producer.produce_rows(topic, rows(2000))
        restarting = threading.Thread(target=cluster.server.restart)
        restarting.start()
        try:
            producer.produce_rows(topic, rows(38_000, first=2000))
            producer.await_acknowledgements()
            delivered = producer.commit()
        except TransientError:
            delivered = None
        restarting.join()
    found = read(cluster, topic, 3)
    if delivered:
        assert delivered.records == 40_000
        check_complete(found, 40_000)
    else:
        assert found == {0: [], 1: [], 2: []}


def test_more_kafka_partitions_while_it_produces(cluster: "Cluster") -> None:
    """As with any producer, keys move when the client learns of it; none is lost or duplicated."""
    topic = cluster.topic(2)
    settings = cluster.settings(topic_metadata_refresh_interval_ms="200")
    with claimed(settings, topic, kafka_partitions=2) as producer:
        producer.begin()
        producer.produce_rows(topic, rows(5000))
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_partitions([NewPartitions(topic, 5)])[topic].result()
        deadline, sent = time.monotonic() + 60, 5000
        while set(producer._deliveries.delivered.offsets) != set(range(5)):
            assert time.monotonic() < deadline
            producer.produce_rows(topic, rows(1000, first=sent))
            sent += 1000
            time.sleep(0.05)
        producer.await_acknowledgements()
        assert producer.commit().records == sent
    numbers = [number for records in read(cluster, topic, 5).values() for _, number in records]
    assert sorted(numbers) == list(range(sent))


def test_who_is_fenced_is_told_so_though_its_dropped_records_come_first(cluster: "Cluster") -> None:
    topic = cluster.topic(3)
    with claimed(cluster.settings(), topic) as loser:
        loser.begin()
        with claimed(cluster.settings(), topic), pytest.raises(ProducerFenced):
            while True:
                loser.produce_rows(topic, rows(5000))
                loser.await_acknowledgements()
        loser._deliveries.fail(KafkaError(KafkaError._PURGE_QUEUE), lambda: (topic, 1))
        assert isinstance(loser._not_delivered(), ProducerFenced)
    assert read(cluster, topic, 3) == {0: [], 1: [], 2: []}


def test_a_record_acknowledged_without_its_offset_does_not_count_as_placed(cluster: "Cluster") -> None:
    """A batch that is sent again long after it had arrived is acknowledged like this; the ledger could not
    say where it is."""
    topic = cluster.topic(1)
    with claimed(cluster.settings(), topic) as producer:
        producer.begin()
        producer.produce_rows(topic, rows(10))
        producer._deliveries.acknowledge(0, -1001, -1001, 3)
        with pytest.raises(DeliveryFailed, match=r"3 records.*without their offsets"):
            producer.await_acknowledgements()


class Scripted:
    """librdkafka's answer to a batch, prepared: errors by row, and how many rows it says it took."""

    def __init__(self, real: Any, errors: list[int], taken: int) -> None:
        self._real, self._errors, self._taken = real, errors, taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def produce_batch(self, _topic: int, _partition: int, _flags: int, address: int, count: int) -> int:
        for row in range(count):
            ctypes.c_int.from_address(address + 72 * row).value = self._errors[row]
        return self._taken


@only_native  # the public way has no batches
@pytest.mark.parametrize(
    ("errors", "taken", "told"),
    [
        ([0, KafkaError._QUEUE_FULL, 0], 2, "not the first of them"),
        ([KafkaError._QUEUE_FULL, 0, 0], 2, "not the first of them"),
        ([0, 0, KafkaError._QUEUE_FULL], 3, "not the first of them"),
        ([0, 0, 0], 2, "not the first of them"),
        ([0, KafkaError._STATE, KafkaError._QUEUE_FULL], 1, "_STATE"),
    ],
)
def test_a_batch_taken_otherwise_than_from_its_front_is_never_sent_again(
    embedded_cluster: "Cluster", errors: list[int], taken: int, told: str
) -> None:
    topic = embedded_cluster.topic(1)
    with claimed(embedded_cluster.settings(), topic) as producer:
        producer.begin()
        client: Any = producer._client
        client._library = Scripted(client._library, errors, taken)
        with pytest.raises((RuntimeError, SluiceError), match=told):
            producer.produce_rows(topic, rows(3))


ENDINGS = {
    "left open": "",
    "let go": "del producer, client",
    "forked": """
        child = os.fork()
        if not child:
            del producer, client
            gc.collect()
            sys.exit(3)  # with all that runs at the end of an interpreter
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        producer.await_acknowledgements()
        producer.commit()
        print("committed", flush=True)
    """,
    "stopped in a commit": """
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(4))
        signal.alarm(1)
        Path(sys.argv[2]).touch()
        producer.commit()
    """,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_ends_whatever_it_left_open(
    cluster: "Cluster", tmp_path: Path, way: str, ending: str
) -> None:
    """And a forked child neither uses nor frees what belongs to its parent."""
    topic = cluster.topic(3)
    script = f"""
        import gc, os, signal, sys
        from pathlib import Path
        from resources.kafka.transactions import TransactionalProducer
        from resources.kafka.batches.rows import Rows
        from resources.settings import load_settings
        import pyarrow as pa
        topic = sys.argv[1]
        producer = TransactionalProducer(load_settings(), topic, event="e", window="w", topic=topic)
        client = producer._client
        producer.claim()
        producer.begin()
        keys = pa.array([b"%d" % n for n in range(20000)], pa.binary())
        producer.produce_rows(topic, Rows(keys, keys.cast(pa.large_binary())))
        {textwrap.indent(textwrap.dedent(ENDINGS[ending]), " " * 8).strip()}
    """
    paused = tmp_path / "paused"
    environ = {
        "SLUICE_HOME": str(tmp_path),
        "SLUICE_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap,
        "SLUICE_PRODUCING": way,
        "PATH": "/usr/bin:/bin",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), topic, str(paused)],
        cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        if ending == "stopped in a commit":
            while not paused.exists() and process.poll() is None:
                time.sleep(0.005)
            cluster.server.pause()
        out, told = process.communicate(timeout=120)
    finally:
        cluster.server.resume()
        process.kill()
    expected = (4, 0) if ending == "stopped in a commit" else (0,)
    assert process.returncode in expected, told
    assert "Traceback" not in told
    assert out == ("committed\n" if ending == "forked" else "")


def test_a_child_frees_nothing_of_its_parent_s() -> None:
    freed: list[str] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            return lambda *_: freed.append(name)

    library: Any = Noting()
    _free(library, 1, 2, {"t": 3}, os.getpid() + 1)
    assert freed == []
    _free(library, 1, 2, {"t": 3}, os.getpid())
    assert freed == ["topic_destroy", "queue_destroy", "destroy"]


def test_failures_are_never_forgotten() -> None:
    deliveries = Deliveries()
    for n in range(2500):
        deliveries.fail(KafkaError(KafkaError._PURGE_QUEUE), lambda: ("t", 1))
        deliveries.begin()
        assert deliveries.failed == n + 1
