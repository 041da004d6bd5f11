"""A warehouse, an event over it and a platform, so that a test only says what its rows are."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipelines import Event, load_catalogue
from pipelines.encoding import decode_record
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.request import PublishRequest
from pipelines.publishing.result import PublishResult
from pipelines.stages.source import source_window
from pipelines.stages.transform import Transformed, transform_window
from resources.platform import Platform
from resources.settings import Settings, load_settings
from tests.fixtures_servers import KafkaServer, RegistryServer
from tests.hearing import into

WINDOW = "2013-01-01"

MODULE = '''"""Something happened."""

from pipelines import daily, event


@event(
    topic="{topic}",
    key="{key}",
    event_time="happened_at",
    windows=daily("2013-01-01", "2013-02-01"),
    owner="team:tests",
    source="""
        SELECT id, happened_at, amount FROM happenings WHERE happened_at >= :window_start AND happened_at < :window_end
    """,
    {more}
)
def happened(rows):
    """{doc}"""
    {body}
'''

Row = tuple[str, int, int]
"""id, minute of the day, amount"""


@dataclass(frozen=True)
class Seen:
    """A committed record as an ordinary consumer decodes it;
    `event_id` from the header or the field, "" if there is none."""

    key: str
    value: dict[str, Any] | None
    headers: dict[str, str]
    event_id: str
    kafka_partition: int
    offset: int
    timestamp_ms: int

    @property
    def row(self) -> Row:
        assert self.value is not None
        at = self.value["happened_at"]
        return (self.value["id"], at.hour * 60 + at.minute, self.value["amount"])


def wait_for_commits(bootstrap: str, topic: str, partitions: int, seconds: float = 15.0) -> None:
    """Wait for the markers of commits: a commit is answered before its markers are written, and until then a
    reader stops before it."""
    kinds = ("read_uncommitted", "read_committed")
    told = {"bootstrap.servers": bootstrap, "group.id": "g"}
    ends = [Consumer({**told, "isolation.level": kind}) for kind in kinds]
    deadline = time.monotonic() + seconds
    try:
        for p in range(partitions):
            place = TopicPartition(topic, p)
            while len({end.get_watermark_offsets(place, timeout=60)[1] for end in ends}) > 1:
                if time.monotonic() > deadline:
                    return  # a transaction that stays open is what the test is about
                time.sleep(0.01)
    finally:
        for end in ends:
            end.close()


class World:
    """One event on one broker with its own warehouse, ledger and topic."""

    def __init__(self, folder: Path, bootstrap: str, registry_url: str) -> None:
        self.folder, self.bootstrap = folder, bootstrap
        self.name = f"w{uuid4().hex[:10]}"
        self.topic = f"{self.name}.happened.v1"
        self.environ = {
            "SLUICE_HOME": str(folder / "home"),
            "SLUICE_LEDGER_TOPIC": f"{self.name}.ledger",
            "SLUICE_LEDGER_PARTITIONS": "2",
            "SLUICE_CREATE_TOPICS": "true",
            "SLUICE_REGISTER_CONTRACTS": "true",
            "SLUICE_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "SLUICE_REGISTRY_URL": registry_url,
            "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{folder / 'dwh.duckdb'}",
        }
        self._platforms: list[Platform] = []
        self.said: list[str] = []
        self.rows([])
        self.define()

    def rows(self, rows: Sequence[Row], *, day: str = WINDOW) -> None:
        """Set the content of the warehouse."""
        self._forget_platforms()
        with duckdb.connect(str(self.folder / "dwh.duckdb")) as connection:
            connection.execute(
                "CREATE OR REPLACE TABLE happenings (id VARCHAR, happened_at TIMESTAMPTZ, amount BIGINT)"
            )
            if rows:
                told = ", ".join(
                    f"('{i}', TIMESTAMPTZ '{day} 00:00:00+00' + INTERVAL {m} MINUTE, {a})" for i, m, a in rows
                )
                connection.execute(f"INSERT INTO happenings VALUES {told}")

    def define(
        self,
        body: str = "return rows",
        *,
        more: str = "",
        name: str = "happened",
        topic: str | None = None,
        extra_fields: Sequence[dict[str, Any]] = (),
        doc: str = "Same rows.",
        key: str = "id",
        without: str | None = None,
    ) -> Event:
        """(Re)write the module and its contract, `without` one of the fields;
        returns the event as the catalogue finds it."""
        self.topic = topic or self.topic
        folder = self.folder / "assets" / "tests"
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.suffix in (".py", ".avsc"):
                old.unlink()
        text = MODULE.format(topic=self.topic, more=more, body=body, doc=doc, key=key)
        (folder / f"{name}.py").write_text(text.replace("def happened", f"def {name}"))
        fields = [
            {"name": "id", "type": "string", "doc": "what"},
            {
                "name": "happened_at",
                "type": {"type": "long", "logicalType": "timestamp-micros"},
                "doc": "when, UTC",
            },
            {"name": "amount", "type": "long", "doc": "how much, pieces"},
            *extra_fields,
        ]
        contract = {
            "type": "record",
            "name": "Happened",
            "namespace": "tests",
            "doc": "It.",
            "fields": [field for field in fields if field["name"] != without],  # type: ignore[index]
        }
        (folder / f"{name}.avsc").write_text(json.dumps(contract))
        self.event = load_catalogue(self.folder / "assets").find(name)
        return self.event

    def settings(self, **more: Any) -> Settings:
        """Settings of this world; `more` replaces fields."""
        loaded = load_settings(self.environ)
        kafka = {**loaded.kafka, **more.pop("kafka", {})}
        return replace(loaded, kafka=kafka, **more)

    def platform(self, **more: Any) -> Platform:
        """A separate platform, closed with the world."""
        made = Platform(self.settings(**more), say=self.said.append)
        self._platforms.append(made)
        return made

    def _forget_platforms(self) -> None:
        # DuckDB lets nobody write while somebody reads.
        for platform in self._platforms:
            platform.close()
        self._platforms.clear()

    def prepare(self, platform: Platform | None = None, *, window: str = WINDOW) -> Transformed:
        """Steps one and two: source and transform."""
        platform = platform or self.platform()
        key = self.event.windows.window(window)
        source_window(self.event, key, platform, run_id="prepares")
        return transform_window(self.event, key, platform, run_id="prepares")

    def publish(
        self, platform: Platform | None = None, *, window: str = WINDOW, run_id: str = "run", **how: Any
    ) -> PublishResult:
        """Step three: publish."""
        platform = platform or self.platform()
        pace = how.pop("pace", None)
        with Publisher(
            self.event,
            platform,
            run_id=run_id,
            request=PublishRequest(**how),
            pace=pace,
            tell=into(self.said),
        ) as publisher:
            return publisher.publish(window)

    def deliver(self, rows: Sequence[Row] | None = None, **how: Any) -> PublishResult:
        """All three steps over these rows."""
        if rows is not None:
            self.rows(rows)
        platform = self.platform(**how.pop("settings", {}))
        self.prepare(platform)
        return self.publish(platform, **how)

    def create_topic(self, partitions: int = 3, **config: str) -> None:
        """Create the event's topic with these settings; dots in their names are written as underscores."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        settings = {key.replace("_", "."): value for key, value in config.items()}
        wanted = NewTopic(self.topic, partitions, 1, config=settings)
        admin.create_topics([wanted])[self.topic].result()

    def seen(self, *, partitions: int = 3, topic: str | None = None) -> list[Seen]:
        """Every record of the topic that a read_committed consumer sees now, by kafka_partition and offset."""
        topic = topic or self.topic
        wait_for_commits(self.bootstrap, topic, partitions)
        registry = self.platform().registry
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": uuid4().hex,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,  # else a consumer at the end waits for half a second
                "enable.auto.commit": False,
            }
        )
        found: list[Seen] = []
        try:
            consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
            ended: set[int] = set()
            while len(ended) < partitions:
                message = consumer.poll(60)
                assert message is not None, "quiet for 60 s"
                error = message.error()
                if error is not None:
                    assert error.name() == "_PARTITION_EOF", error
                    ended.add(message.partition())  # type: ignore[arg-type]
                    continue
                ended.discard(message.partition())
                raw = message.value()
                value = None if raw is None else decode_record(raw, registry.by_id)
                headers = {name: data.decode() for name, data in message.headers() or []}  # type: ignore[str-unpack]
                found.append(
                    Seen(
                        key=message.key().decode(),
                        value=value,
                        headers=headers,
                        event_id=headers.get("sluice_event_id")
                        or headers.get("ce_id")
                        or str((value or {}).get("event_id", "")),
                        kafka_partition=message.partition(),  # type: ignore[arg-type]
                        offset=message.offset(),  # type: ignore[arg-type]
                        timestamp_ms=message.timestamp()[1],
                    )
                )
        finally:
            consumer.close()
        return sorted(found, key=lambda record: (record.kafka_partition, record.offset))

    def counted(self) -> Counter[Row]:
        """Events on the topic, each with its count."""
        return Counter(record.row for record in self.seen() if record.value is not None)

    def by_key(self) -> dict[str, list[Row]]:
        """Events of each key in the order of the log."""
        found: dict[str, list[Row]] = defaultdict(list)
        for record in self.seen():
            if record.value is not None:
                found[record.key].append(record.row)
        return dict(found)

    def close(self) -> None:
        """Close what tests left open."""
        self._forget_platforms()


@pytest.fixture
def world(kafka: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path) -> Iterator[World]:
    """On a real Apache Kafka."""
    made = World(tmp_path, kafka.bootstrap, embedded_registry.url)
    yield made
    made.close()


@pytest.fixture
def embedded_world(
    embedded_broker: KafkaServer, embedded_registry: RegistryServer, tmp_path: Path
) -> Iterator[World]:
    """On the embedded broker, for tests that do not depend on a broker's faults."""
    made = World(tmp_path, embedded_broker.bootstrap, embedded_registry.url)
    yield made
    made.close()
