"""What `stale_writes="skip"` costs on a real Apache Kafka, against the same publication without it.

    python -m benchmarks.stale_writes [--topic-records 300000] [--rows 200000] [--runs 3]

Prints seconds for each million records on the topic (read once in a run), and the time to publish a window
with the option as a multiple of the time without it, while nobody else writes; medians of interleaved runs.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
from confluent_kafka import Producer

from pipelines import Event, load_catalogue
from pipelines.encoding import RecordEncoder
from pipelines.preflight.provisioning import registered_schema_id
from pipelines.publishing.publisher import Publisher
from pipelines.publishing.stale.guard import StaleGuard
from pipelines.stages.source import source_window
from pipelines.stages.transform import transform_window
from resources.dev.servers.kinds.apache_kafka import ApacheKafka
from resources.dev.servers.kinds.embedded_registry import EmbeddedRegistry
from resources.dev.servers.server import start
from resources.kafka.topics.topics import ensure_topic
from resources.platform import Platform
from resources.settings import load_settings

_DAY = "2013-01-01"
_MODULE = '''"""A thing has an amount."""

from pipelines import daily, event


@event(
    topic="bench.thing-changed.v1", key="id", event_time="changed_at", windows=daily("2013-01-01"), owner="team:bench",
    source="SELECT id, changed_at, amount FROM things WHERE changed_at >= :window_start AND changed_at < :window_end",
)
def thing_changed(rows):
    """Same rows."""
    return rows
'''
_CONTRACT = """{"type": "record", "name": "ThingChanged", "namespace": "bench", "doc": "It.", "fields": [
 {"name": "id", "type": "string", "doc": "what"},
 {"name": "changed_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "when, UTC"},
 {"name": "amount", "type": "long", "doc": "how much, pieces"}]}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--topic-records", type=int, default=300_000)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        kafka, registry = ApacheKafka(), EmbeddedRegistry()
        running = [start(kafka, Path(folder) / "kafka"), start(registry, Path(folder) / "registry")]
        try:
            _measure(Path(folder), running[0].address, running[1].address, asked)
        finally:
            for server, one in zip((kafka, registry), running, strict=True):
                one.process.stop(server.stop_seconds)  # type: ignore[attr-defined]


def _measure(folder: Path, bootstrap: str, url: str, asked: argparse.Namespace) -> None:
    event = _event(folder, asked.rows)
    environ = {
        "SLUICE_HOME": str(folder / "home"),
        "SLUICE_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "SLUICE_REGISTRY_URL": url,
        "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{folder / 'dwh.duckdb'}",
        "SLUICE_CREATE_TOPICS": "true",
        "SLUICE_REGISTER_CONTRACTS": "true",
    }
    with Platform(load_settings(environ)) as platform:
        window = event.windows.window(_DAY)
        source_window(event, window, platform, run_id="bench")
        transform_window(event, window, platform, run_id="bench")
        ensure_topic(platform.settings, event.topic, config={"cleanup.policy": "compact"})
        _fill(event, platform, asked.topic_records)
        pass_seconds, times = [], {"allow": list[float](), "skip": list[float]()}
        for number in range(asked.runs):
            with StaleGuard(event, platform, event.topic) as guard:
                pass_seconds.append(_timed(lambda guard=guard: guard._follow({})))  # type: ignore[misc]
            for policy in ("allow", "skip"):
                # A separate, empty topic each time: only the cost during publishing is compared.
                topic = f"bench.{policy}-{number}.v1"
                one = replace(event, topic=topic, stale_writes=policy)
                ensure_topic(platform.settings, topic, config={"cleanup.policy": "compact"})
                with Publisher(one, platform, run_id="bench") as publisher:
                    publisher.require_fit([window])
                    times[policy].append(_timed(lambda publisher=publisher: publisher.publish(_DAY)))  # type: ignore[misc]
    million = statistics.median(pass_seconds) / asked.topic_records * 1_000_000
    allow, skip = (statistics.median(times[policy]) for policy in ("allow", "skip"))
    print(f"reading what stands on the topic: {million:.1f} s for a million records, once in a run")
    print(f"publishing {asked.rows:,} events with the option: {skip / allow:.2f} times the time without")


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _event(folder: Path, rows: int) -> Event:
    assets = folder / "assets" / "bench"
    assets.mkdir(parents=True)
    (assets / "thing_changed.py").write_text(_MODULE)
    (assets / "thing_changed.avsc").write_text(_CONTRACT)
    with duckdb.connect(str(folder / "dwh.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE things AS SELECT 'thing-' || i AS id, i AS amount, "
            f"TIMESTAMPTZ '2013-01-01 00:00:00+00' + INTERVAL 1 SECOND * (i % 86400) AS changed_at FROM range({rows}) t(i)"
        )
    return load_catalogue(folder / "assets").find("thing_changed")


def _fill(event: Event, platform: Platform, records: int) -> None:
    """Values of another producer:
    old ones, each with a different key, so that all of them stay and none makes ours stale."""
    import pyarrow as pa

    encoder = RecordEncoder(
        event.contract, schema_id=registered_schema_id(event, platform), topic=event.topic, key=event.key
    )
    producer = Producer({"bootstrap.servers": platform.settings.bootstrap_servers, "linger.ms": 20})
    for first in range(0, records, 10_000):
        numbers = range(first, min(first + 10_000, records))
        columns = [
            pa.array([f"thing-{n}" for n in numbers]),
            pa.array([0] * len(numbers), pa.timestamp("us", "UTC")),
            pa.array(numbers, pa.int64()),
        ]
        encoded = encoder.encode(pa.RecordBatch.from_arrays(columns, schema=event.contract.arrow_schema))
        for key, value in zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True):
            producer.produce(event.topic, value, key)
        producer.flush()


if __name__ == "__main__":
    main()
