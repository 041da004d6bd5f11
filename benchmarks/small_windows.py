"""What a window costs that holds next to nothing: many windows of one event each, through Dagster, on real Apache Kafka.

    python benchmarks/small_windows.py [--windows 365] [--bootstrap HOST:PORT] [--without PATH ... --rounds 5]

One run of daily windows of one row each sources, transforms, checks, publishes and reads back every window, as
`sluice publish` does, on Dagster's own SQLite storage. Time is counted where it is spent: a part's milliseconds do
not hold those of the parts that it calls. `calls` are per window. The parts with Dagster's name are its own work; the
others are Sluice's, and their sum is what Sluice costs beside it.

`--without` says instead what fast paths give: runs as they are and runs without one, in turn, milliseconds and processor
milliseconds of the run's process a window, and the median ratio to the run before it that had all of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any

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
        SELECT sensor, taken_at, value FROM readings WHERE taken_at >= :window_start AND taken_at < :window_end
    """,
)
def {name}(rows):
    """Same rows; value in thousandths."""
    return rows.assign(value=rows["value"] * 1000)
'''
_CONTRACT = {
    "type": "record",
    "name": "Reading",
    "namespace": "bench",
    "doc": "A reading.",
    "fields": [
        {"name": "sensor", "type": "string", "doc": "Which sensor."},
        {
            "name": "taken_at",
            "type": {"type": "long", "logicalType": "timestamp-micros"},
            "doc": "When, UTC.",
        },
        {"name": "value", "type": "long", "doc": "Thousandths."},
    ],
}


class Clock:
    """Seconds by part, each without those of the parts inside it; and how often each part was entered.

    It measures the thread that made it. This thread waits for the others if it needs their results: only then
    is their time also time of the run, and it counts for the part that waits.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._stack = ["Dagster: its engine"]
        self._since = time.perf_counter()
        self._thread = threading.get_ident()

    def begin(self) -> None:
        """Start here; what was loaded and opened before belongs to no window."""
        self._since = time.perf_counter()

    def end(self) -> None:
        self._turn()

    def _turn(self) -> None:
        now = time.perf_counter()
        self.seconds[self._stack[-1]] += now - self._since  # type: ignore[assignment]
        self._since = now

    def enter(self, part: str) -> None:
        self._turn()
        self._stack.append(part)

    def leave(self) -> None:
        self._turn()
        self._stack.pop()

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, with its time counted for `part`."""

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            if threading.get_ident() != self._thread:
                return function(*arguments, **named)
            self.calls[part] += 1
            self.enter(part)
            try:
                return function(*arguments, **named)
            finally:
                self.leave()

        return call

    def counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, with its calls counted under `name`."""

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls[name] += 1
            return function(*arguments, **named)

        return call

    def generator(self, part: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """A generator function whose steps count for `part`;
        what its reader does between the steps does not."""

        def call(*arguments: Any, **named: Any) -> Iterator[Any]:
            steps = function(*arguments, **named)
            while True:
                self.enter(part)
                try:
                    item = next(steps)
                except StopIteration:
                    return
                finally:
                    self.leave()
                yield item

        return call


def watch(clock: Clock) -> None:
    """Put the clock around the work of a window."""
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
    from sqlalchemy.dialects import sqlite

    from pipelines.orchestration import event_log
    from pipelines.orchestration.checks.reconciled import ReconciledCheck
    from pipelines.orchestration.windows import one_window
    from pipelines.orchestration.windows.run import WindowRun
    from pipelines.publishing import publisher
    from pipelines.publishing.sending.sender import Sender
    from resources.kafka.topics.ledger_topic import LedgerLog
    from resources.kafka.transactions import TransactionalProducer
    from resources.snapshots.store import SnapshotStore
    from resources.snapshots.writer import SnapshotWriter

    WindowRun.windows = clock.generator("the rest of Sluice", WindowRun.windows)  # type: ignore[method-assign]
    parts: list[tuple[Any, str, str]] = [
        (one_window, "source_window", "source"),
        (one_window, "source_and_transform", "source and transform"),
        (one_window, "transform_window", "transform"),
        (SnapshotWriter, "__init__", "snapshots"),
        (SnapshotWriter, "finish", "snapshots"),
        (SnapshotStore, "_write_json", "snapshots"),
        (SnapshotStore, "_read_json", "snapshots"),
        (publisher.Publisher, "publish", "publish: plan and encode"),
        (LedgerLog, "latest", "publish: ledger"),
        (LedgerLog, "ask", "publish: ledger"),
        (TransactionalProducer, "__init__", "publish: claim"),
        (TransactionalProducer, "claim", "publish: claim"),
        (TransactionalProducer, "close", "publish: close"),
        (Sender, "send", "publish: send"),
        (TransactionalProducer, "await_acknowledgements", "publish: send"),
        (TransactionalProducer, "commit", "publish: commit"),
        (ReconciledCheck, "evaluate", "reconcile"),
        (event_log._SqliteEventLog, "store_event", "Dagster: writing events"),
        (event_log._SqliteEventLog, "store_event_batch", "Dagster: writing events"),
        (event_log._SqliteEventLog, "write", "Dagster: writing events"),
        (SqliteEventLogStorage, "get_event_records", "Dagster: reading events"),
        (SqliteEventLogStorage, "fetch_materializations", "Dagster: reading events"),
    ]
    for owner, name, part in parts:
        setattr(owner, name, clock.timed(part, getattr(owner, name)))
    SqliteEventLogStorage.store_event = clock.counted(  # type: ignore[method-assign]
        "events of Dagster", SqliteEventLogStorage.store_event
    )
    commit = sqlite.pysqlite.dialect.do_commit

    def counted(self: Any, connection: Any) -> None:
        clock.calls["commits to SQLite"] += connection.in_transaction
        commit(self, connection)

    sqlite.pysqlite.dialect.do_commit = counted  # type: ignore[method-assign]
    os.fsync = clock.counted("fsync", os.fsync)
    SqliteEventLogStorage._connect = clock.counted(  # type: ignore[method-assign]
        "connections to SQLite", SqliteEventLogStorage._connect
    )


def leave_out(path: str) -> None:
    """Switch off one fast path, where the code chooses it."""
    from pipelines.publishing.ledger_lookup import EntriesAsked
    from pipelines.publishing.sending import delivery
    from pipelines.publishing.sending.standby import Standby

    match path:
        case "few records":
            delivery._FEW_RECORDS = 0
        case "known ledger":
            EntriesAsked.known = lambda *_: (False, None)  # type: ignore[method-assign]
        case "producer ahead":
            Standby.prepare = lambda *_: None  # type: ignore[method-assign]
        case "one pass":
            from pipelines.orchestration.windows import one_window
            from pipelines.stages.source import source_window
            from pipelines.stages.transform import transform_window

            def one_by_one(event: Any, window: Any, platform: Any, **more: Any) -> Any:
                sourced = source_window(event, window, platform, **more)
                return sourced, lambda: transform_window(event, window, platform, run_id=more["run_id"])

            one_window.source_and_transform = one_by_one  # type: ignore[attr-defined]
        case "events together":
            from pipelines.orchestration import event_log

            event_log._unknown_methods = lambda _: ["nothing"]  # type: ignore[assignment]
        case "native":
            os.environ["SLUICE_PRODUCING"] = "public"
        case "compiled":
            os.environ["SLUICE_COMPILED"] = "off"


_PATHS = (
    "few records",
    "known ledger",
    "producer ahead",
    "one pass",
    "events together",
    "native",
    "compiled",
)


def make_ground(folder: Path, windows: int, names: tuple[str, ...]) -> None:
    """Events with these names over one table, with one row a day."""
    import duckdb

    with duckdb.connect(str(folder / "readings.duckdb")) as connection:
        connection.execute(
            f"""
            CREATE TABLE readings AS
            SELECT 'sensor-' || (i % 7) AS sensor, i AS value,
                   TIMESTAMPTZ '2013-01-01 12:00:00+00' + to_days(i::INTEGER) AS taken_at
            FROM range({windows}) AS t(i)
            """
        )
    assets = folder / "assets" / "bench"
    assets.mkdir(parents=True)
    for name in names:
        (assets / f"{name}.py").write_text(_MODULE.format(name=name))
        (assets / f"{name}.avsc").write_text(json.dumps({**_CONTRACT, "name": name.title().replace("_", "")}))


def publish(folder: Path, name: str, first: int, count: int, *, clock: Clock | None = None) -> float:
    """`count` windows of the event `name` from the day `first` on, in one run; seconds of the run."""
    import warnings

    warnings.simplefilter("ignore")
    from pipelines import load_catalogue
    from pipelines.orchestration.launch import dagster_instance, launch, limit_warehouses
    from resources.settings import load_settings

    catalogue = load_catalogue(folder / "assets")
    event = catalogue.find(name)
    windows = event.windows.between(_key(first), _key(first + count - 1))
    with dagster_instance(load_settings()) as instance:
        limit_warehouses(instance, catalogue)
        if clock is not None:
            watch(clock)
            clock.begin()
        started = time.perf_counter()
        done = launch(event, windows, instance, catalogue=catalogue)
        seconds = time.perf_counter() - started
        if clock is not None:
            clock.end()
    assert done.success and len(done.windows) == count, done.why
    assert all(window["rows_published"] == 1 for window in done.windows.values())
    return seconds


def _key(day: int) -> str:
    return (date(2013, 1, 1) + timedelta(days=day)).isoformat()


def _child(folder: str, name: str, first: str, count: str, what: str) -> None:
    """One run. `what`: `parts` counts where the time goes, `plain` does not; any other text is the path that
    is switched off, also without counting."""
    leave_out(what)
    clock = Clock() if what == "parts" else None
    seconds = publish(Path(folder), name, int(first), int(count), clock=clock)
    parts = {"seconds": dict(clock.seconds), "calls": dict(clock.calls)} if clock else None
    print(json.dumps({"seconds": seconds, "cpu": time.process_time(), "parts": parts}), flush=True)


def _start(folder: Path, name: str, first: int, count: int, what: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, __file__, "--child", str(folder), name, str(first), str(count), what],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _told(child: "subprocess.Popen[str]") -> dict[str, Any]:
    out, _ = child.communicate()
    if child.returncode:
        sys.exit(f"a run failed, see above; {out}")
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told


def print_parts(told: dict[str, Any], windows: int) -> None:
    """The table of where the time of a run went."""
    seconds, calls = Counter(told["parts"]["seconds"]), Counter(told["parts"]["calls"])
    whole = sum(seconds.values())
    print(f"{'part':26}{'ms a window':>12}{'share':>8}{'calls':>8}")
    for part, spent in seconds.most_common():
        often = f"{calls[part] / windows:8.1f}" if calls[part] else ""
        print(f"{part:26}{spent / windows * 1000:12.1f}{spent / whole:8.0%}{often}")
    theirs = sum(spent for part, spent in seconds.items() if part.startswith("Dagster"))
    print(f"{'Sluice in all':26}{(whole - theirs) / windows * 1000:12.1f}{(whole - theirs) / whole:8.0%}")
    print(f"{'Dagster in all':26}{theirs / windows * 1000:12.1f}{theirs / whole:8.0%}")
    for name in ("fsync", "events of Dagster", "commits to SQLite", "connections to SQLite"):
        print(f"{name:26}{calls[name] / windows:12.1f} a window")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=365)
    parser.add_argument(
        "--without", nargs="*", choices=_PATHS, help="what these paths give; all, where none is named"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bootstrap", help="a Kafka of yours; else one is started")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(*options.child)
        return
    from resources.dev.servers.kinds.apache_kafka import ApacheKafka
    from resources.dev.servers.kinds.embedded_registry import EmbeddedRegistry
    from resources.dev.servers.server import start

    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as place:
        folder = Path(place)
        kafka = None if options.bootstrap else start(ApacheKafka(), folder / "kafka")
        registry = start(EmbeddedRegistry(), folder / "registry")
        try:
            os.environ |= {
                "SLUICE_HOME": str(folder / "home"),
                "SLUICE_KAFKA_BOOTSTRAP_SERVERS": kafka.address if kafka else options.bootstrap,
                "SLUICE_REGISTRY_URL": registry.address,
                "SLUICE_CREATE_TOPICS": "true",
                "SLUICE_REGISTER_CONTRACTS": "true",
                "SLUICE_LEDGER_TOPIC": f"bench-ledger-{time.time_ns()}",
                "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{folder / 'readings.duckdb'}",
            }
            run = f"r{time.time_ns()}"
            if options.without is not None:
                compare(folder, run, options)
                return
            make_ground(folder, options.windows, (f"{run}_parts",))
            measure(folder, run, options)
        finally:
            registry.process.stop(10)
            if kafka:
                kafka.process.stop(30)


def compare(folder: Path, run: str, options: argparse.Namespace) -> None:
    """Run with every fast path and without one, in turn, and print."""
    windows, paths = options.windows, options.without or _PATHS
    make_ground(folder, windows, tuple(f"{run}_{n}" for n in range(options.rounds * len(paths) * 2)))
    events = iter(range(options.rounds * len(paths) * 2))

    def one(what: str) -> tuple[float, float]:
        name = f"{run}_{next(events)}"
        _told(_start(folder, name, 0, 1, "plain"))
        told = _told(_start(folder, name, 1, windows - 1, what))
        return told["seconds"] / (windows - 1) * 1000, told["cpu"] / (windows - 1) * 1000

    found: dict[str, list[tuple[float, float, float, float]]] = {path: [] for path in paths}
    for _ in range(options.rounds):
        for path in paths:
            found[path].append((*one("plain"), *one(path)))
    print(f"{windows - 1} windows of one event in each run, {options.rounds} rounds")
    print(f"{'without':<16}{'ms':>8}{'with all':>10}{'times':>8}{'cpu ms':>8}{'with all':>10}{'times':>8}")
    for path, pairs in found.items():
        ms, cpu, ms_without, cpu_without = (median(column) for column in zip(*pairs, strict=True))
        times, cpu_times = median(p[2] / p[0] for p in pairs), median(p[3] / p[1] for p in pairs)
        print(
            f"{path:<16}{ms_without:>8.1f}{ms:>10.1f}{times:>8.2f}{cpu_without:>8.1f}{cpu:>10.1f}{cpu_times:>8.2f}"
        )


def measure(folder: Path, run: str, options: argparse.Namespace) -> None:
    """Run and print."""
    windows = options.windows
    # The costs of a new topic, registry and ledger are not a window's.
    _told(_start(folder, f"{run}_parts", 0, 1, "plain"))
    told = _told(_start(folder, f"{run}_parts", 1, windows - 1, "parts"))
    took = told["seconds"]
    print(
        f"{windows - 1} windows of one event in one run: {took:.1f} s, {took / (windows - 1) * 1000:.0f} ms each"
    )
    print_parts(told, windows - 1)


if __name__ == "__main__":
    main()
