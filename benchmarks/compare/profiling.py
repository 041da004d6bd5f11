"""Where each microsecond of a run goes: a flame graph, and tables by step and by thread.

    python -m benchmarks.compare.profiling [--data lineitem] [--rows N] [--svg docs/images/hot-path.svg]

Runs Sluice end to end through Dagster once, under py-spy, on a real Apache Kafka. py-spy samples the threads
that run Python, a hundred times a second, while they run; the system's own CPU time of each thread covers the
rest.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.compare.child import MARK
from benchmarks.compare.clock import WATCH_THREADS
from benchmarks.compare.contenders import CONTENDERS
from benchmarks.compare.datasets import DATASETS, make_dataset
from benchmarks.compare.flame import flame_svg
from benchmarks.compare.job import Job, Measured
from benchmarks.compare.report import put_into
from benchmarks.compare.runner import KAFKA_PARTITIONS, ROOT, TRANSACTION_ROWS
from benchmarks.compare.servers import bench_servers
from benchmarks.compare.tools import bench_cache, peers_program

Stack = tuple[str, ...]
_RATE = 100

# A stack belongs to the step of the first entry that matches a frame, from the outermost frame inwards.
_STEPS = {
    "pipelines/stages/source_and_transform.py": "sourced and transformed",
    "resources/threads/write_behind.py": "snapshots, in threads of their own",
    "pipelines/stages/source.py": "sourced",
    "pipelines/stages/transform.py": "transformed",
    "pipelines/publishing/": "published",
    "pipelines/reconciling/": "reconciled",
    "pipelines/encoding/": "published",
    "resources/kafka/": "published",
}
# The first entry that matches from the innermost frame outwards is what the stack was doing.
_WORK = {
    "pipelines/encoding/": "encode Avro, keys and partitions",
    "resources/kafka/": "hand to librdkafka, acknowledgements, commit",
    "pipelines/transform/": "transform and conform to the contract",
    "resources/snapshots/": "write and read snapshots (Parquet, SHA-256)",
    "resources/warehouse/": "query and order (DuckDB)",
    "pipelines/publishing/": "publishing's own loop",
    "pipelines/stages/": "the step's own loop",
}
_THREADS = {
    "main": "the main thread (Python, pyarrow, DuckDB's share)",
    "rdk:broker": "librdkafka: batches, lz4, sockets",
    "rdk:main": "librdkafka: timers, transactions",
    "python": "worker threads of DuckDB, pyarrow and Sluice",
}


def profile(name: str, contender: str, *, scale: int, rows: int | None) -> tuple[Measured, dict[Stack, int]]:
    """One run under py-spy: the measurements, and the stacks seen between the clock's start and end."""
    one = next(known for known in CONTENDERS if known.name == contender)
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        work = Path(folder)
        dataset = make_dataset(name, bench_cache(), scale=scale, rows=rows)
        with bench_servers(work) as servers:
            topic = f"bench.{name}-profile.v1"
            servers.create_topic(topic, KAFKA_PARTITIONS)
            for sub in ("scratch", "shared"):
                (work / sub).mkdir()
            job = Job(
                contender=one.module,
                variant=one.variant,
                dataset=name,
                database=str(dataset.database),
                table=name,
                columns=dataset.columns,
                key=dataset.key,
                contract=str(dataset.contract),
                rows=dataset.rows,
                rows_total=dataset.rows,
                topic=topic,
                kafka_partitions=KAFKA_PARTITIONS,
                bootstrap=servers.bootstrap,
                registry_url=servers.registry_url,
                broker_pid=servers.broker_pid,
                scratch=str(work / "scratch"),
                shared=str(work / "shared"),
                transaction_rows=TRANSACTION_ROWS,
            )
            job.save(work / "job.json")
            child = [sys.executable, "-m", "benchmarks.compare.child", str(work / "job.json")]
            if one.prepares:
                subprocess.run([*child, "prepare"], check=True, cwd=ROOT)
            raw = work / "stacks.txt"
            spy = [
                str(peers_program("py-spy")),
                "record",
                "--rate",
                str(_RATE),
                "--format",
                "raw",
                "--threads",
            ]
            spy += ["--nolineno", "--full-filenames", "--output", str(raw), "--"]
            done = subprocess.run(
                [*spy, *child, "run"],
                cwd=ROOT,
                env={**os.environ, WATCH_THREADS: "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            told = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
            if not told:
                sys.exit(f"the profiled run failed: {done.stderr[-1500:]}")
            return Measured(**json.loads(told[-1].removeprefix(MARK))), _stacks(raw.read_text(), one.module)


def _stacks(raw: str, module: str) -> dict[Stack, int]:
    """Folded lines as stacks: for the main thread only what ran within the contender,
    for other threads everything."""
    found: Counter[Stack] = Counter()
    entry = f"contenders/{module}.py"
    for line in raw.splitlines():
        frames, _, count = line.rpartition(" ")
        thread, *stack = frames.split(";")
        if "MainThread" in thread:
            start = next((at for at, frame in enumerate(stack) if entry in frame), None)
            if start is None:
                continue
            stack = stack[start:]
        elif any("benchmarks/compare/threads.py" in frame for frame in stack):
            continue
        found[tuple(stack)] += int(count)
    return dict(found)


def by_step(stacks: Mapping[Stack, int]) -> Counter[tuple[str, str]]:
    """Samples by step and by the work within it."""
    found: Counter[tuple[str, str]] = Counter()
    for stack, count in stacks.items():
        step = next(
            (told for frame in stack for place, told in _STEPS.items() if place in frame),
            "the run around them",
        )
        work = next(
            (told for frame in reversed(stack) for place, told in _WORK.items() if place in frame), None
        )
        found[step, work or ("Dagster" if any("/dagster" in frame for frame in stack) else "other")] += count
    return found


def tables(measured: Measured, stacks: Mapping[Stack, int], title: str) -> str:
    """CPU microseconds a row: by step and work, and by thread; and the elapsed time."""
    threads: dict[str, float] = measured.facts["threads"]
    million = measured.rows / 1e6
    samples = by_step(stacks)
    lines = [
        f"{title}: {measured.rows:,} rows in {measured.seconds:.1f} s, {measured.seconds / million:.2f} us a row "
        f"({measured.rows / measured.seconds:,.0f} rows/s); CPU {measured.cpu_seconds / million:.2f} us a row, "
        f"the broker's {measured.broker_cpu_seconds / million:.2f}",
        "",
        f"{'us a row':>9}  threads that run Python, by step (py-spy)",
    ]
    order = [*dict.fromkeys(_STEPS.values()), "the run around them"]
    for step in order:
        parts = {work: count for (where, work), count in samples.items() if where == step}
        if not parts:
            continue
        lines.append(f"{sum(parts.values()) / _RATE / million:>9.2f}  {step}")
        for work, count in sorted(parts.items(), key=lambda item: -item[1]):
            if count / _RATE / million >= 0.005:
                lines.append(f"{count / _RATE / million:>15.2f}  {work}")
    lines += ["", f"{'us a row':>9}  every thread (the system's count)"]
    for kind, seconds in sorted(threads.items(), key=lambda item: -item[1]):
        if seconds / million >= 0.005:
            lines.append(f"{seconds / million:>9.2f}  {_THREADS.get(kind, kind)}")
    return "\n".join(lines)


def _short(frame: str) -> str:
    """`name (path)` with the path below the project or below site-packages."""
    name, _, path = frame.partition(" (")
    path = re.sub(r"^.*/site-packages/", "", path.rstrip(")")).removeprefix(f"{ROOT}/")
    path = re.sub(r"^.*/lib/python[0-9.]+/", "", path)
    return f"{name} ({Path(path).name if path.startswith('/') else path})"


def drawn(stacks: Mapping[Stack, int], title: str) -> str:
    """The flame graph; Dagster's many frames between the run and a step are drawn as one frame."""
    folded: Counter[Stack] = Counter()
    for stack, count in stacks.items():
        short: list[str] = []
        for frame in map(_short, stack):
            if "(dagster" in frame or "(contextlib" in frame:
                frame = "Dagster (dagster)"
                if short and short[-1] == frame:
                    continue
            short.append(frame)
        folded[tuple(short)] += count
    return flame_svg(folded, title)  # type: ignore[arg-type]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.profiling")
    parser.add_argument("--data", choices=DATASETS, default="lineitem")
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--rows", type=int)
    known = [one.name for one in CONTENDERS if one.module.startswith("sluice")]
    parser.add_argument("--contender", choices=known, default="sluice")
    parser.add_argument("--svg", type=Path, help="where the flame graph is written")
    parser.add_argument("--into", type=Path, help="put the tables into this page, between its profile marks")
    asked = parser.parse_args(arguments)
    measured, stacks = profile(asked.data, asked.contender, scale=asked.scale, rows=asked.rows)
    title = f"{asked.contender}, {asked.data}"
    said = tables(measured, stacks, title)
    print(said)
    if asked.into:
        put_into(asked.into, "profile", f"```text\n{said}\n```")
    if asked.svg:
        asked.svg.parent.mkdir(parents=True, exist_ok=True)
        asked.svg.write_text(
            drawn(stacks, f"{title}, {measured.rows:,} rows: CPU of the threads that run Python")
        )


if __name__ == "__main__":
    main()
