"""Seconds, processor seconds and peak memory of reading a published window back, as it grows.

    python benchmarks/reconciliation.py [--rows 1000000 4000000] [--apache]

Each window of flat events is sourced, transformed and published, then reconciled in a process of its own: once with
nothing but its records in its offsets (`alone`: compared as sums), once with another window's records among them
(`shared`: both sides are then compared by DuckDB), and once after a hundredth of its rows was corrected, over both generations (`whole`, as
`sluice verify` does). Servers are started here; `--apache` takes a real Apache Kafka.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

_DAYS = ("2013-01-01", "2013-01-02")


def publish(assets: Path, day: str) -> None:
    """One window, all three steps."""
    from pipelines import load_catalogue
    from pipelines.publishing.publisher import Publisher
    from pipelines.stages.source import source_window
    from pipelines.stages.transform import transform_window
    from resources.platform import Platform

    event = load_catalogue(assets).find("reading_taken")
    with Platform() as platform:
        source_window(event, event.windows.window(day), platform, run_id="bench")
        transform_window(event, event.windows.window(day), platform, run_id="bench")
        Publisher(event, platform, run_id="bench").publish(day)


def reconcile(assets: Path, how: str) -> None:
    """Print verdict, seconds, processor seconds and peak megabytes. `shared`: the records of the second day
    are also in the range; `whole`: all generations."""
    from pipelines import load_catalogue
    from pipelines.ledger.entry import ledger_key, read_entry
    from pipelines.reconciling.reconciler import Reconciler
    from resources.platform import Platform

    event = load_catalogue(assets).find("reading_taken")
    with Platform() as platform, Reconciler(event, platform) as reconciler:
        key, other = (ledger_key(event.topic, day) for day in _DAYS)
        entry, second = (read_entry(k, platform.ledger.latest(k)) for k in (key, other))
        assert entry is not None
        if how == "shared" and second is not None:
            spans = {p: (first, second.offsets[p][1]) for p, (first, _) in entry.offsets.items()}
            entry = entry.advanced(offsets=spans)
        started, spent = time.perf_counter(), time.process_time()
        found = (
            reconciler.reconcile_whole(_DAYS[0])
            if how == "whole"
            else reconciler.reconcile(_DAYS[0], entry=entry)
        )
        seconds, spent = time.perf_counter() - started, time.process_time() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = f"{seconds:.2f} s, {spent:.2f} processor s, peak {peak:.0f} MB"
    print(f"{found.verdict} {found.expected:,} others {found.others:,}: {told}")


def main() -> None:
    from memory import _CONTRACT, _MODULE

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--apache", action="store_true")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, assets, argument = options.child
        if what == "publish":
            publish(Path(assets), argument)
        else:
            reconcile(Path(assets), argument)
        return
    import duckdb

    from resources.dev.servers import down, up

    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            assets = home / "assets" / "bench"
            assets.mkdir(parents=True)
            (assets / "reading_taken.py").write_text(_MODULE)
            (assets / "reading_taken.avsc").write_text(_CONTRACT)
            with duckdb.connect(str(home / "dwh.duckdb")) as connection:
                connection.execute(
                    f"""CREATE TABLE readings AS SELECT 'sensor-' || (i * 7919 % 5000) AS sensor,
                    TIMESTAMPTZ '2013-01-01 00:00:00+00' + INTERVAL 1 DAY * (i // {rows})
                        + INTERVAL 1 MILLISECOND * (i % {rows} * 86400000 // {rows}) AS taken_at,
                    (i % 100000 / 1000)::DECIMAL(12, 3) AS value, CASE WHEN i % 7 > 0 THEN i % 100 END AS quality,
                    CASE WHEN i % 3 = 0 THEN 'a remark about reading ' || i END AS note FROM range({2 * rows}) AS r(i)"""
                )
            up(home, kind="apache" if options.apache else "embedded")
            environment = {
                **os.environ,
                "SLUICE_HOME": str(home),
                "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{home / 'dwh.duckdb'}",
            }
            changed = 0
            try:
                jobs = [("publish", day) for day in _DAYS] + [("reconcile", "alone"), ("reconcile", "shared")]
                for what, argument in [*jobs, ("publish", _DAYS[0]), ("reconcile", "whole")]:
                    if (what, argument) == ("publish", _DAYS[0]):
                        with duckdb.connect(str(home / "dwh.duckdb")) as connection:
                            connection.execute(
                                "UPDATE readings SET value = value + ? WHERE rowid % 100 = 0", [changed]
                            )
                        changed += 1
                    command = [sys.executable, __file__, "--child", what, str(home / "assets"), argument]
                    print(f"{rows:,} {what} {argument}", flush=True)
                    subprocess.run(command, env=environment, check=True)
            finally:
                down(home)


if __name__ == "__main__":
    main()
