"""Ways to hand encoded records to librdkafka, side by side on a real Apache Kafka.

    python benchmarks/producing.py [--rows 1000000] [--rounds 3] [--value-bytes 100] [--kafka-partitions 6]

Every way does the same: transactions of 200,000 records, acks=all, lz4, idempotent, placed by murmur2 of the key,
every acknowledgement counted. The rounds are interleaved; a cell is the median, a ratio is of rows a second to the
first line of its part. CPU is of the client alone, without the broker. `end to end` encodes each batch of Arrow rows
to Avro first, as publishing does. With two processes each sends the rows to the same topic.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from confluent_kafka import Producer  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

from resources.kafka.batches.murmur2 import kafka_partitions  # noqa: E402
from resources.kafka.batches.rows import Rows  # noqa: E402
from resources.kafka.factory import producer_config  # noqa: E402
from resources.kafka.native.library import MSG_F_COPY, PARTITION_UNASSIGNED  # noqa: E402
from resources.kafka.native.producer import NativeClient  # noqa: E402
from resources.kafka.native.records import messages  # noqa: E402
from resources.kafka.transactions import TransactionalProducer  # noqa: E402
from resources.settings import Settings, load_settings  # noqa: E402

_TRANSACTION_ROWS = 200_000
_BATCH_ROWS = 32_768

_CONTRACT = """{"type": "record", "name": "Reading", "namespace": "bench", "doc": "A reading.", "fields": [
  {"name": "reading_id", "type": "string", "doc": "Key."},
  {"name": "sensor", "type": "long", "doc": "Sensor."},
  {"name": "value", "type": ["null", "double"], "default": null, "doc": "Degrees."},
  {"name": "taken_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "UTC."},
  {"name": "note", "type": ["null", "string"], "default": null, "doc": "Free text."}]}"""


def arrow_rows(rows: int, value_bytes: int) -> pa.Table:
    """Rows of the contract above, of about `value_bytes` each when encoded."""
    numbers = np.arange(rows)
    return pa.table(
        {
            "reading_id": pa.array([f"reading-{n:012d}" for n in numbers.tolist()]),
            "sensor": pa.array(numbers * 7919 % 100_000),
            "value": pa.array(np.sin(numbers), mask=numbers % 50 == 0),
            "taken_at": pa.array(numbers + 1_600_000_000_000_000).cast(pa.timestamp("us", "UTC")),
            "note": pa.array([f"{n:x}".ljust(max(1, value_bytes - 48), "n") for n in numbers.tolist()]),
        }
    )


class PublicBatch:
    """confluent-kafka's own `produce_batch`, with a callback for each record to count them."""

    way = "public produce_batch"

    def __init__(self, settings: Settings, name: str) -> None:
        self._client = Producer(producer_config(settings, name))
        self._acknowledged = 0

    def claim(self) -> None:
        self._client.init_transactions(30)

    def begin(self) -> None:
        self._client.begin_transaction()

    def produce_rows(self, topic: str, rows: Rows) -> None:
        def count(error: Any, _: Any) -> None:
            assert error is None, error
            self._acknowledged += 1

        listed = [
            {"key": key, "value": value, "callback": count}
            for key, value in zip(rows.keys.to_pylist(), rows.values.to_pylist(), strict=True)
        ]
        while listed:
            taken = self._client.produce_batch(topic, listed)
            listed = listed[taken:]
            self._client.poll(0.05 if listed else 0)

    def await_acknowledgements(self) -> int:
        while self._client.flush(1):
            pass
        return self._acknowledged

    def commit(self) -> None:
        self._client.commit_transaction(30)


class Sluice:
    """The platform's own producer, either way."""

    def __init__(self, settings: Settings, name: str, topic: str, kafka_partitions: int | None) -> None:
        self._producer = TransactionalProducer(
            settings, name, event="bench", window="bench", topic=topic, kafka_partitions=kafka_partitions
        )
        self._records = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def await_acknowledgements(self) -> int:
        self._records += self._producer.await_acknowledgements().records
        return self._records


def _native_variant(producer: Sluice, produce: Callable[..., None]) -> Sluice:
    client = producer._producer._client
    assert isinstance(client, NativeClient)
    client._produce_batch = lambda topic, rows, serve: produce(client, topic, rows, serve)  # type: ignore[method-assign]
    return producer


def _grouped(count: int) -> Callable[..., None]:
    """Rows in the order of their Kafka partition, with one call for each partition, which names it: only once
    the topic is known."""

    def produce(client: NativeClient, topic: int, rows: Rows, serve: Callable[[float], None]) -> None:
        places = kafka_partitions(rows.keys, count)
        order = np.argsort(places, kind="stable")
        batch = messages(rows)[order]
        bounds = np.searchsorted(places[order], np.arange(count + 1))
        for kafka_partition in range(count):
            part = batch[bounds[kafka_partition] : bounds[kafka_partition + 1]]
            while len(part):
                taken = client._library.produce_batch(
                    topic, kafka_partition, MSG_F_COPY, part.ctypes.data, len(part)
                )
                part = client._not_taken(part, taken)
                if len(part):
                    serve(0.05)

    return produce


def _in_place() -> Callable[..., None]:
    """Values are not copied: librdkafka points into Arrow's buffers, which are kept until the end here."""
    kept: list[Rows] = []

    def produce(client: NativeClient, topic: int, rows: Rows, serve: Callable[[float], None]) -> None:
        kept.append(rows)
        _whole(client, topic, messages(rows), serve, 0)

    return produce


def _whole(client: NativeClient, topic: int, batch: Any, serve: Callable[[float], None], flags: int) -> None:
    while len(batch):
        taken = client._library.produce_batch(
            topic, PARTITION_UNASSIGNED, flags, batch.ctypes.data, len(batch)
        )
        batch = client._not_taken(batch, taken)
        if len(batch):
            serve(0.05)


def contenders(count: int) -> dict[str, Callable[[Settings, str, str], Any]]:
    """The name of each way, and how its producer is made; for a topic with `count` Kafka partitions."""

    def sluice(way: str, grouped_by: int | None = None) -> Callable[[Settings, str, str], Any]:
        from dataclasses import replace

        return lambda settings, name, topic: Sluice(replace(settings, producing=way), name, topic, grouped_by)

    def variant(made: Callable[[], Callable[..., None]]) -> Callable[[Settings, str, str], Any]:
        return lambda settings, name, topic: _native_variant(sluice("native")(settings, name, topic), made())

    return {
        "public produce": sluice("public"),
        "public produce_batch": lambda settings, name, _: PublicBatch(settings, name),
        "native": sluice("native"),
        "native, grouped": sluice("native", count),
        "native, grouped, kafka_partition named": variant(lambda: _grouped(count)),
        "native, values in place": variant(_in_place),
    }


def send(producer: Any, topic: str, batches: Iterator[Rows]) -> float:
    """Seconds from the first batch to the last commit."""
    # The client learns about the topic before the clock starts;
    # in a run this is so after the first milliseconds.
    producer.claim()
    producer.begin()
    producer.produce_rows(topic, Rows(pa.array([b"k"], pa.binary()), pa.array([b"v"], pa.large_binary())))
    assert producer.await_acknowledgements() == 1
    producer.commit()
    started, total, open_rows = time.perf_counter(), 1, 0
    producer.begin()
    for rows in batches:
        producer.produce_rows(topic, rows)
        total += len(rows)
        open_rows += len(rows)
        if open_rows >= _TRANSACTION_ROWS:
            open_rows = 0
            producer.await_acknowledgements()
            producer.commit()
            producer.begin()
    acknowledged = producer.await_acknowledgements()
    producer.commit()
    seconds = time.perf_counter() - started
    assert acknowledged == total, (acknowledged, total)
    return seconds


def _child(
    way: str, bootstrap: str, topic: str, rows: int, value_bytes: int, count: int, encode: bool, index: str
) -> None:
    """Gets ready, waits for a line, then prints seconds and CPU seconds."""
    from pipelines.contract.contract import parse_contract
    from pipelines.encoding import RecordEncoder

    # Nothing is written to this folder.
    settings = load_settings(
        {"SLUICE_HOME": tempfile.gettempdir(), "SLUICE_KAFKA_BOOTSTRAP_SERVERS": bootstrap}
    )
    contract = parse_contract(_CONTRACT, Path("bench.avsc"))
    encoder = RecordEncoder(contract, schema_id=1, topic=topic, key="reading_id")
    table = arrow_rows(rows, value_bytes).cast(contract.arrow_schema)
    batches = table.to_batches(max_chunksize=_BATCH_ROWS)

    def encoded() -> Iterator[Rows]:
        for batch in batches:
            done = encoder.encode(batch)
            yield Rows(done.keys, done.values)

    ready: Iterator[Rows] = encoded() if encode else iter(list(encoded()))
    producer = contenders(count)[way](settings, f"{topic}|{index}", topic)
    print("ready", flush=True)
    input()
    cpu = time.process_time()
    seconds = send(producer, topic, ready)
    print(seconds, time.process_time() - cpu, flush=True)


def run(
    way: str, processes: int, options: argparse.Namespace, bootstrap: str, encode: bool
) -> tuple[float, float]:
    """Rows a second of all processes together, and CPU seconds for a million rows."""
    topic = f"bench-{time.time_ns()}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, options.kafka_partitions, 1)])[topic].result()
    children = []
    for index in range(processes):
        arguments = [way, bootstrap, topic, str(options.rows), str(options.value_bytes)]
        arguments += [str(options.kafka_partitions), str(int(encode)), str(index)]
        children.append(
            subprocess.Popen(
                [sys.executable, __file__, "--child", *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    told = [child.communicate()[0].split() for child in children]
    admin.delete_topics([topic])[topic].result()
    seconds = max(float(line[0]) for line in told)
    rows = options.rows * processes
    return rows / seconds, sum(float(line[1]) for line in told) / rows * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--kafka-partitions", type=int, default=6)
    parser.add_argument("--bootstrap", help="a Kafka of yours; else one is started")
    parser.add_argument("--only", nargs="*", help="names that a way must contain")
    parser.add_argument("--child", nargs=8, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, bootstrap, topic, rows, value_bytes, count, encode, index = options.child
        _child(way, bootstrap, topic, int(rows), int(value_bytes), int(count), encode == "1", index)
        return
    from resources.dev.servers.kinds.apache_kafka import ApacheKafka
    from resources.dev.servers.server import start

    if options.bootstrap:
        table(options, options.bootstrap)
        return
    with tempfile.TemporaryDirectory() as folder:
        running = start(ApacheKafka(), Path(folder))
        try:
            table(options, running.address)
        finally:
            running.process.stop(30)


def table(options: argparse.Namespace, bootstrap: str) -> None:
    """Run all ways, print the table."""
    ways = list(contenders(1))
    cells = [(False, 1, way) for way in ways]
    cells += [(True, 1, way) for way in ways[:4]] + [(True, 2, ways[0]), (True, 2, ways[3])]
    if options.only:
        cells = [cell for cell in cells if any(part in cell[2] for part in options.only)]
    found: dict[tuple[bool, int, str], list[tuple[float, float]]] = {cell: [] for cell in cells}
    for _ in range(options.rounds):
        for cell in cells:
            encode, processes, way = cell
            found[cell].append(run(way, processes, options, bootstrap, encode))
    print(f"{'':44}{'rows/s':>12}{'ratio':>8}{'CPU s a million':>18}")
    for encode in (False, True):
        base = None
        print("end to end: encode, produce, commit" if encode else "produce and commit, already encoded")
        for cell in cells:
            if cell[0] != encode:
                continue
            speed, cpu = (statistics.median(values) for values in zip(*found[cell], strict=True))
            base = base or speed
            name = cell[2] + (f", {cell[1]} processes" if cell[1] > 1 else "")
            print(f"  {name:42}{speed:12,.0f}{speed / base:8.2f}{cpu:18.2f}", flush=True)


if __name__ == "__main__":
    main()
