"""A window of 100,000 records, written to topics by hand, so that a test can write them wrongly."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipelines.encoding import RecordEncoder
from pipelines.encoding.encoder import Strategy
from pipelines.ledger.entry import LedgerEntry
from pipelines.preflight.provisioning import registered_schema_id
from pipelines.reconciling.reconciler import Reconciler
from pipelines.reconciling.result import Reconciliation
from resources.kafka.topics.topics import describe_topic
from tests.fixtures_servers import KafkaServer, RegistryServer
from tests.pipelines.publishing.conftest import WINDOW, World

# For topics whose segments a test must close.
SEGMENT_MS = 50

ROWS = 100_000
KEYS = 30_000

Sent = tuple[bytes | None, bytes | None]
"""Key and value."""


@dataclass
class Delivery:
    """A prepared window: its records, and a topic to write them, or something else, to."""

    world: World
    records: list[Sent]
    entry: LedgerEntry
    topic: str = ""

    @property
    def bootstrap(self) -> str:
        return self.world.bootstrap

    def on_new_topic(self, partitions: int = 3, **config: str) -> "Delivery":
        """The same window on a separate topic."""
        made = replace(self, topic=f"t{uuid4().hex[:10]}")
        settings = {key.replace("_", "."): value for key, value in config.items()}
        wanted = NewTopic(made.topic, partitions, 1, config=settings)
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.create_topics([wanted])[made.topic].result()
        # A topic that was created may not yet be known to the next broker that is queried.
        deadline = time.monotonic() + 60
        while describe_topic(self.world.settings(), made.topic) is None:
            assert time.monotonic() < deadline, "the topic does not come"
            time.sleep(0.05)
        return made

    def send(self, records: Iterable[Sent], *, commit: bool = True, timestamp_ms: int = 0) -> LedgerEntry:
        """Write `records` to the topic in one transaction, partitioned as a Java producer does; the entry
        claims that they are the window's. `timestamp_ms` 0: now."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "partitioner": "murmur2_random",
                "transactional.id": uuid4().hex,
                "linger.ms": 50,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        offsets: dict[str, tuple[int, int]] = {}

        def landed(error: object, message: object) -> None:
            assert error is None, error
            p, offset = str(message.partition()), message.offset()  # type: ignore[attr-defined]
            first, last = offsets.get(p, (offset, offset))
            offsets[p] = (min(first, offset), max(last, offset))

        producer.init_transactions(60)
        producer.begin_transaction()
        for key, value in records:
            producer.produce(self.topic, value, key, on_delivery=landed, timestamp=timestamp_ms)
            producer.poll(0)
        producer.flush(60)
        if commit:
            producer.commit_transaction(60)
        else:
            producer.abort_transaction(60)
        return replace(self.entry, topic=self.topic, offsets=offsets)

    def send_with_holes(self, records: Iterable[Sent], holes: set[int]) -> LedgerEntry:
        """The same, but the records with these numbers are aborted: their offsets are used and nobody sees
        them, as after compaction."""
        spans: dict[str, tuple[int, int]] = {}
        for hole, run in groupby(enumerate(records), lambda one: one[0] in holes):
            sent = self.send([record for _, record in run], commit=not hole)
            for p, (first, last) in sent.offsets.items():
                spans[p] = (spans.get(p, (first, last))[0], last)
        return replace(self.entry, topic=self.topic, offsets=spans)

    def roll(self, kafka_partitions: int = 3) -> None:
        """One more record, which belongs to no window, in each Kafka partition: then no earlier record is in
        the active segment, which no policy changes."""
        time.sleep(2 * SEGMENT_MS / 1000)
        producer = Producer({"bootstrap.servers": self.bootstrap})
        for p in range(kafka_partitions):
            producer.produce(self.topic, b"", b"roll %d" % time.monotonic_ns(), partition=p)
        assert producer.flush(60) == 0

    def delete_before(self, offsets: dict[int, int]) -> None:
        """Delete every record before these offsets, as retention would."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        asked = [TopicPartition(self.topic, p, offset) for p, offset in offsets.items()]
        for future in admin.delete_records(asked).values():
            future.result()

    def reconcile(self, entry: LedgerEntry) -> Reconciliation:
        """Reconcile with what is on the topic now."""
        with Reconciler(self.world.event, self.world.platform()) as reconciler:
            return reconciler.reconcile(WINDOW, entry=entry)


def varint(number: int) -> bytes:
    """A non-negative number, as Avro writes it."""
    number = number * 2
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def text(data: bytes) -> bytes:
    """Bytes as Avro writes a string."""
    return varint(len(data)) + data


def many_rows(world: World, rows: int = ROWS, keys: int = KEYS) -> None:
    """`rows` rows over the window's day; the keys k0, k1, … repeat."""
    with duckdb.connect(str(world.folder / "dwh.duckdb")) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE happenings AS SELECT 'k' || (n % ?) AS id, "
            "TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_microseconds(n * ?) AS happened_at, n AS amount "
            "FROM range(?) AS r(n)",
            [keys, 86_400_000_000 // rows, rows],
        )


def prepared(world: World, strategy: Strategy = "fastavro") -> Delivery:
    """The window's records, encoded from its snapshot, and the ledger entry that says that all of them were
    published. By default they are not encoded by the encoder that reconciliation itself uses."""
    platform = world.platform()
    snapshot = world.prepare(platform).snapshot
    schema_id = registered_schema_id(world.event, platform)
    encoder = RecordEncoder(
        world.event.contract, schema_id=schema_id, topic=world.topic, key="id", strategy=strategy
    )
    records: list[Sent] = []
    for batch in platform.snapshots.read(snapshot, batch_rows=32_768):
        encoded = encoder.encode(batch)
        records += zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True)
    entry = LedgerEntry(
        event=world.event.full_name,
        window=WINDOW,
        topic="",
        generation=1,
        kind="backfill",
        status="published",
        snapshot=snapshot.sha256,
        rows_total=len(records),
        rows_done=len(records),
        code_version=world.event.code_version,
        contract=world.event.contract.fingerprint,
        schema_id=schema_id,
        run_id="by hand",
        written_at="2026-01-01T00:00:00.000+00:00",
    )
    return Delivery(world, records, entry)


@pytest.fixture
def world(kafka: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path) -> Iterator[World]:
    """An event to publish on a real Apache Kafka."""
    made = World(tmp_path, kafka.bootstrap, embedded_registry.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def delivery(
    kafka: KafkaServer, embedded_registry: RegistryServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivery]:
    """A hundred thousand records, prepared once."""
    made = World(tmp_path_factory.mktemp("world"), kafka.bootstrap, embedded_registry.url)
    many_rows(made)
    yield prepared(made)
    made.close()


@pytest.fixture
def small(world: World) -> Delivery:
    """A thousand records of 300 keys."""
    many_rows(world, 1_000, 300)
    return prepared(world)
