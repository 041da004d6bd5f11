"""`python -m benchmarks.compare`: see the package."""

import argparse
import signal
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from benchmarks.compare.contenders import CONTENDERS
from benchmarks.compare.datasets import DATASETS, make_dataset
from benchmarks.compare.report import figures, notes, put_into, table, write
from benchmarks.compare.runner import Line, compare
from benchmarks.compare.servers import bench_servers
from benchmarks.compare.tools import bench_cache
from resources.errors import SluiceError

NAMES = tuple(one.name for one in CONTENDERS)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; a mistake in it is reported with what is allowed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="Sluice beside the hand-written ways, its peers and raw librdkafka in C, on real Apache Kafka.",
    )
    parser.add_argument("--data", nargs="+", choices=DATASETS, default=list(DATASETS), help="data sets (all)")
    parser.add_argument("--scale", type=int, default=1, help="TPC-H's scale: 1 is 6 million lineitems (1)")
    parser.add_argument("--rows", type=int, help="only the first rows of each data set")
    parser.add_argument("--runs", type=int, default=3, help="rounds; each contender once in each (3)")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of: {', '.join(NAMES)}")
    parser.add_argument(
        "--report", type=Path, help="write the table here, and every figure beside it as .json"
    )
    parser.add_argument(
        "--into",
        type=Path,
        help="put the table into this page, between its marks `comparison`, or `comparison-10` at scale 10",
    )
    parser.add_argument(
        "--work", type=Path, help="folder for the broker's data and scratch files (a temporary one)"
    )
    asked = parser.parse_args(arguments)
    for name in ("scale", "runs", "rows"):
        if (value := getattr(asked, name)) is not None and value < 1:
            parser.error(f"--{name}={value}: must be at least 1")
    return asked


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parse(arguments)
    # The same as Ctrl-C: the servers are stopped and what was measured is printed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.simplefilter("ignore")
    contenders = [one for one in CONTENDERS if not asked.only or one.name in asked.only]
    parts, data, everyone = [], {}, list[Line]()
    try:
        with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=asked.work) as folder:
            work = Path(folder)
            sets = [
                make_dataset(name, bench_cache(), scale=asked.scale, rows=asked.rows) for name in asked.data
            ]
            with bench_servers(work) as servers:
                for dataset in sets:
                    lines = compare(dataset, contenders, servers, work, runs=asked.runs, say=_say)
                    found = figures(lines)
                    everyone += lines
                    data[dataset.name] = found
                    parts.append(table(dataset, found))
                    print(f"\n{parts[-1]}\n", flush=True)
    except SluiceError as problem:
        print(problem, file=sys.stderr)
        return 1
    said = notes(everyone)
    print(said)
    if asked.report:
        write(asked.report, "\n\n".join([*parts, said]), data)
    if asked.into:
        part = "comparison" if asked.scale == 1 else f"comparison-{asked.scale}"
        put_into(asked.into, part, "\n\n".join([*parts, said]))
    return 1 if any(line.failed and line.runs for line in everyone) else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
