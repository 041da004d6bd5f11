"""Where time and memory of one window go as it grows: each step, and reading back, in a process of its own.

    python benchmarks/memory.py [--rows 500000 2000000 8000000] [--shuffled] [--apache] [--steps run "read back"]

The window's rows come from a DuckDB file made here, in the order of their event time or, with `--shuffled`,
unordered. The broker and registry are the embedded ones, or with `--apache` a real Apache Kafka (their memory
and processor time are not counted). `one pass` is what a run does if both stages are selected. `run` and
`read back` are whole Dagster runs of all three assets, in one process, the second with the setting
`reconcile`. Memory is flat if the last column of a step does not grow with the rows. The memory includes
start-up and imports, the time does not.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

_MODULE = '''"""A reading was taken."""

import pandas as pd

from pipelines import daily, event


@event(
    topic="bench.reading-taken.v1",
    key="sensor",
    event_time="taken_at",
    windows=daily("2013-01-01"),
    owner="team:bench",
    source="""
        SELECT sensor, taken_at, value, quality, note FROM readings
        WHERE taken_at >= :window_start AND taken_at < :window_end
    """,
)
def reading_taken(rows: pd.DataFrame) -> pd.DataFrame:
    """Quality in per cent."""
    return rows.assign(quality=rows["quality"] * 100)
'''
_CONTRACT = """{"type": "record", "name": "ReadingTaken", "namespace": "bench", "doc": "A reading.", "fields": [
{"name": "sensor", "type": "string", "doc": "Which sensor."},
{"name": "taken_at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "When, UTC."},
{"name": "value", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}, "doc": "Reading."},
{"name": "quality", "type": ["null", "long"], "doc": "Per cent."},
{"name": "note", "type": ["null", "string"], "doc": "Remark."}]}
"""


def make_warehouse(path: Path, rows: int, *, shuffled: bool) -> None:
    """One day with `rows` readings of 5,000 sensors."""
    import duckdb

    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"""
            CREATE TABLE readings AS
            SELECT 'sensor-' || (i * 7919 % 5000) AS sensor,
                   TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_microseconds((i * 86400000000 // {rows})) AS taken_at,
                   (i % 1000000)::DECIMAL(12, 3) / 7 AS value,
                   CASE WHEN i % 10 = 0 THEN NULL ELSE i % 2 END AS quality,
                   'measured by hand, batch ' || (i % 1000) AS note
            FROM range({rows}) AS t(i) {"ORDER BY hash(i)" if shuffled else ""}
            """
        )
        connection.execute("ALTER TABLE readings ALTER value TYPE DECIMAL(12, 3)")


# A separate ledger for each: in it the window was never published.
_RUNS = {
    "run": {"SLUICE_RECONCILE": "false", "SLUICE_LEDGER_TOPIC": "bench.run"},
    "read back": {"SLUICE_RECONCILE": "true", "SLUICE_LEDGER_TOPIC": "bench.read-back"},
}
# In this order: each of the first five uses what the ones before it made.
_STEPS = ("sourced", "transformed", "one pass", "published", "reconciled", *_RUNS)


def whole_run(assets: str) -> None:
    """One Dagster run of the window in this process; prints as `step` does."""
    import warnings

    warnings.simplefilter("ignore")  # Dagster's beta notices
    from pipelines import load_catalogue
    from pipelines.orchestration.launch import dagster_instance, launch
    from resources.settings import load_settings

    catalogue = load_catalogue(Path(assets))
    event = catalogue.find("reading_taken")
    with dagster_instance(load_settings()) as instance:
        started, used = time.monotonic(), time.process_time()
        done = launch(event, [event.windows.window("2013-01-01")], instance, catalogue=catalogue)
        if not done.success:
            sys.exit(str(done.why))
        tell(int(done.windows["2013-01-01"]["rows_published"]), started, used)


def step(name: str, assets: str) -> None:
    """Run one step of the window in this process;
    print rows, peak memory in MiB, seconds and processor seconds."""
    if name in _RUNS:
        whole_run(assets)
        return
    from pipelines import load_catalogue
    from pipelines.publishing.publisher import Publisher
    from pipelines.reconciling.reconciler import reconcile_window
    from pipelines.stages.source import source_window
    from pipelines.stages.source_and_transform import source_and_transform
    from pipelines.stages.transform import transform_window
    from resources.platform import Platform

    event = load_catalogue(Path(assets)).find("reading_taken")
    window = event.windows.window("2013-01-01")
    started, used = time.monotonic(), time.process_time()
    with Platform() as platform:
        if name == "sourced":
            rows = source_window(event, window, platform, run_id="bench").rows
        elif name == "transformed":
            rows = transform_window(event, window, platform, run_id="bench").snapshot.rows
        elif name == "one pass":
            rows = source_and_transform(event, window, platform, run_id="bench")[1]().snapshot.rows
        elif name == "published":
            rows = Publisher(event, platform, run_id="bench").publish(window.key).published
        else:
            found = reconcile_window(event, window.key, platform)
            rows = found.found if found.verdict == "agrees" else -1
    tell(rows, started, used)


def tell(rows: int, started: float, used: float) -> None:
    """Print what this process did, and its peak memory since it started."""
    # Not getrusage: with it, a new process begins with the peak of the process that started it.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    peak = int(found[1]) / 1024 if found else float("nan")
    print(f"{rows} {peak:.0f} {time.monotonic() - started:.2f} {time.process_time() - used:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[500_000, 2_000_000, 8_000_000])
    parser.add_argument("--shuffled", action="store_true", help="rows that must be sorted")
    parser.add_argument("--apache", action="store_true", help="a real Apache Kafka")
    parser.add_argument("--steps", nargs="+", choices=_STEPS, default=_STEPS, help="these columns alone")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        step(*asked.step)
        return
    from resources.dev.servers import down, up

    print(f"{'rows in the window':>20}{'step':>14}{'rows/s':>11}{'cpu s':>8}{'peak MiB':>10}")
    for rows in asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            module = home / "assets" / "bench" / "reading_taken.py"
            module.parent.mkdir(parents=True)
            module.write_text(_MODULE)
            module.with_suffix(".avsc").write_text(_CONTRACT)
            make_warehouse(home / "readings.duckdb", rows, shuffled=asked.shuffled)
            environment = {
                **os.environ,
                "SLUICE_HOME": folder,
                "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{home / 'readings.duckdb'}",
            }
            up(home, kind="apache" if asked.apache else "embedded")
            try:
                for name in asked.steps:
                    done = subprocess.run(
                        [sys.executable, __file__, "--step", name, str(module.parent.parent)],
                        env=environment | _RUNS.get(name, {}), capture_output=True, text=True, check=False,
                    )  # fmt: skip
                    if done.returncode:
                        sys.exit(done.stderr)
                    counted, peak, seconds, used = done.stdout.split()
                    if int(counted) != rows:
                        sys.exit(f"{name}: {counted} of {rows} rows")
                    print(
                        f"{rows:>20,}{name:>14}{rows / float(seconds):>11,.0f}{used:>8}{peak:>10}", flush=True
                    )
            finally:
                down(home)


if __name__ == "__main__":
    main()
