"""Two processes against one: `sluice publish --processes`, whole commands, on real Apache Kafka.

    python -m benchmarks.processes [--processes 2] [--windows 200] [--rows 500000] [--repeats 3] [--bootstrap HOST:PORT]

Two backfills, each by one process and by several in turn, each to a topic of its own:

- many small windows of one event, a row each;
- as many large windows of one event as there are processes, of `--rows` rows each.

A command's time is all of it, from its start to its end: interpreters, imports, Dagster's records, reading back. CPU is
that of all its processes; the broker's stands beside it. `ratio` is the median of the ratios of neighbouring commands.
"""

import argparse
import datetime
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

_MODULE = '''"""A reading was taken."""

from pipelines import daily, event


@event(
    topic="bench.{name}.v1",
    key="sensor",
    event_time="taken_at",
    windows=daily("2013-01-01", "2023-01-01"),
    owner="team:bench",
    source="""
        SELECT sensor, taken_at, value, remark FROM {table}
        WHERE taken_at >= :window_start AND taken_at < :window_end
    """,
)
def {name}(rows):
    """Same rows."""
    return rows
'''
_FIELDS = [
    {"name": "sensor", "type": "string", "doc": "Which sensor."},
    {"name": "taken_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When, UTC."},
    {"name": "value", "type": "long", "doc": "Thousandths."},
    {"name": "remark", "type": ["null", "string"], "default": None, "doc": "What was remarked."},
]


@dataclass(frozen=True)
class Took:
    """Seconds of one command: elapsed, CPU of its processes, CPU of the broker."""

    wall: float
    cpu: float
    broker: float


class Ground:
    """Servers, a warehouse with two tables, and an event for each command."""

    def __init__(self, folder: Path, bootstrap: str, registry: str, broker: int | None) -> None:
        self._folder, self._bootstrap, self._registry, self._broker = folder, bootstrap, registry, broker
        # One for all: runs of one Dagster instance publish with one ledger.
        self._made, self._ledger = 0, f"ledger.{time.time_ns()}"
        # Assets are beside the packages in a project, so this needs its own project.
        for package in ("pipelines", "resources"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, folder / "project" / package, ignore=ignored)
        (folder / "project" / "assets" / "bench").mkdir(parents=True)

    def fill(self, windows: int, days: int, rows: int) -> None:
        """`small` has a row a day for `windows` days, `large` `rows` a day for `days` days."""
        import duckdb

        with duckdb.connect(str(self._folder / "readings.duckdb")) as connection:
            for table, count, step in (
                ("small", windows, "INTERVAL 1 DAY"),
                ("large", days * rows, f"INTERVAL {86_400_000_000 // rows} MICROSECOND"),
            ):
                connection.execute(
                    f"""
                    CREATE TABLE {table} AS
                    SELECT 'sensor-' || (i % 5003) AS sensor, i AS value, 'reading ' || i AS remark,
                           TIMESTAMPTZ '2013-01-01 00:00:00+00' + i * {step} AS taken_at
                    FROM range({count}) AS t(i)
                    """
                )

    def event(self, table: str) -> str:
        """A new event over the table."""
        self._made += 1
        name = f"{table}_{self._made}"
        place = self._folder / "project" / "assets" / "bench" / name
        for old in place.parent.iterdir():  # every command then loads the same number of events
            old.unlink()
        place.with_suffix(".py").write_text(_MODULE.format(name=name, table=table))
        contract = {
            "type": "record", "name": "Reading", "namespace": "bench", "doc": "A reading.", "fields": _FIELDS,
        }  # fmt: skip
        place.with_suffix(".avsc").write_text(json.dumps(contract))
        return name

    def environ(self) -> dict[str, str]:
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("SLUICE_", "DAGSTER_"))
        }
        return clean | {
            "SLUICE_HOME": str(self._folder / "home"),
            "SLUICE_KAFKA_BOOTSTRAP_SERVERS": self._bootstrap,
            "SLUICE_REGISTRY_URL": self._registry,
            "SLUICE_CREATE_TOPICS": "true",
            "SLUICE_REGISTER_CONTRACTS": "true",
            "SLUICE_LEDGER_TOPIC": self._ledger,
            "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{self._folder / 'readings.duckdb'}",
        }

    def publish(self, table: str, windows: int, rows: int, processes: int) -> Took:
        """A backfill of a new event; asserts that everything was sent."""
        name = self.event(table)
        environ = self.environ()
        if processes > 1:
            subprocess.run(
                [sys.executable, "-m", "dagster", "instance", "concurrency", "set", f"topic_bench_{name}_v1", str(processes)],
                env=environ | {"DAGSTER_HOME": str(self._folder / "home" / "dagster")},
                check=True, capture_output=True,
            )  # fmt: skip
        last = str(datetime.date(2013, 1, 1) + datetime.timedelta(days=windows - 1))
        command = [sys.executable, "-m", "pipelines.cli", "publish", name, f"2013-01-01..{last}", "--json"]
        if processes > 1:
            command += ["--processes", str(processes)]
        used, theirs, started = _used(), self._broker_seconds(), time.perf_counter()
        done = subprocess.run(
            command, cwd=self._folder / "project", env=environ, capture_output=True, text=True
        )
        took = Took(time.perf_counter() - started, _used() - used, self._broker_seconds() - theirs)
        if done.returncode:
            sys.exit(done.stderr)
        published = [window["published"] for window in json.loads(done.stdout)]
        assert published == [rows] * windows, published
        return took

    def _broker_seconds(self) -> float:
        if self._broker is None:
            return 0.0
        stat = Path(f"/proc/{self._broker}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def ground(bootstrap: str | None) -> Iterator[Ground]:
    """Servers while the block runs."""
    from resources.dev.servers.kinds.apache_kafka import ApacheKafka
    from resources.dev.servers.kinds.embedded_registry import EmbeddedRegistry
    from resources.dev.servers.server import start

    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as place:
        folder = Path(place)
        kafka = None if bootstrap else start(ApacheKafka(), folder / "kafka")
        registry = start(EmbeddedRegistry(), folder / "registry")
        try:
            address = kafka.address if kafka else str(bootstrap)
            yield Ground(folder, address, registry.address, kafka.process.pid if kafka else None)
        finally:
            registry.process.stop(10)
            if kafka:
                kafka.process.stop(30)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--windows", type=int, default=200, help="small windows")
    parser.add_argument("--rows", type=int, default=500_000, help="rows of a large window")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bootstrap", help="a Kafka of yours; else one is started")
    options = parser.parse_args()
    several = options.processes
    with ground(options.bootstrap) as place:
        place.fill(options.windows, several, options.rows)
        place.publish("small", 1, 1, 1)  # for a new home and a broker that has just started
        print(
            f"{'':34}{'processes':>10}{'seconds':>9}{'rows/s':>10}{'windows/s':>10}{'CPU s':>8}{'broker CPU s':>13}"
        )
        for told, table, windows, rows in (
            (f"{options.windows} small windows", "small", options.windows, 1),
            (f"{several} windows of {options.rows:,} rows", "large", several, options.rows),
        ):
            pairs = []
            for turn in range(options.repeats):
                order = (1, several) if turn % 2 == 0 else (several, 1)
                took = {count: place.publish(table, windows, rows, count) for count in order}
                pairs.append((took[1], took[several]))
            for number, count in enumerate((1, several)):
                wall = statistics.median(pair[number].wall for pair in pairs)
                cpu = statistics.median(pair[number].cpu for pair in pairs)
                broker = statistics.median(pair[number].broker for pair in pairs)
                print(
                    f"{told if not number else '':34}{count:>10}{wall:>9.2f}{windows * rows / wall:>10,.0f}"
                    f"{windows / wall:>10.1f}{cpu:>8.2f}{broker:>13.2f}"
                )
            ratio = statistics.median(alone.wall / together.wall for alone, together in pairs)
            cost = statistics.median(together.cpu / alone.cpu for alone, together in pairs)
            print(f"{'':34}{several} against 1: {ratio:.2f} times as fast, {cost:.2f} times the CPU")


if __name__ == "__main__":
    main()
