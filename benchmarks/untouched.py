"""What it gives to store untouched rows once: a window whose transform touches nothing, with and without.

    python benchmarks/untouched.py [--rows 1000000] [--rounds 3]

Source and transform in one pass, as in a run; the event publishes the query's rows as they are. "written
twice" is the same code, but no batch counts as untouched. Each runs in a separate process, in turn; the
results are the median of the rounds, and the size of the snapshots on the disk.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.memory import _CONTRACT, _MODULE, make_warehouse

_WAYS = ("written once", "written twice")


def one_pass(way: str, assets: str) -> None:
    """Print processor seconds of the two steps, and the bytes that their snapshots take."""
    from pipelines import load_catalogue
    from pipelines.stages import transform
    from pipelines.stages.source_and_transform import source_and_transform
    from resources.platform import Platform

    if way == "written twice":
        transform.same_buffers = lambda *_: False  # type: ignore[attr-defined]
    event = load_catalogue(Path(assets)).find("reading_taken")
    with Platform() as platform:
        used = time.process_time()
        done = source_and_transform(event, event.windows.window("2013-01-01"), platform, run_id="bench")[1]()
        used = time.process_time() - used
        assert done.snapshot.rows
    # A file with two names counts once.
    files = {
        (told.st_dev, told.st_ino): told.st_size
        for told in map(Path.stat, Path(platform.settings.snapshots).rglob("*.parquet"))
    }
    print(used, sum(files.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        one_pass(*asked.one)
        return
    taken: dict[str, list[tuple[float, int]]] = {way: [] for way in _WAYS}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        module = home / "assets" / "bench" / "reading_taken.py"
        module.parent.mkdir(parents=True)
        module.write_text(_MODULE.replace('rows.assign(quality=rows["quality"] * 100)', "rows"))
        module.with_suffix(".avsc").write_text(_CONTRACT)
        make_warehouse(home / "readings.duckdb", asked.rows, shuffled=False)
        for number in range(asked.rounds):
            for way in _WAYS:
                environment = {
                    **os.environ,
                    "SLUICE_HOME": folder,
                    "SLUICE_SNAPSHOTS": str(home / f"{way} {number}"),
                    "SLUICE_WAREHOUSE_DEFAULT": f"duckdb://{home / 'readings.duckdb'}",
                }
                done = subprocess.run(
                    [sys.executable, __file__, "--one", way, str(module.parent.parent)],
                    env=environment, capture_output=True, text=True, check=False,
                )  # fmt: skip
                if done.returncode:
                    sys.exit(done.stderr)
                used, size = done.stdout.split()
                taken[way].append((float(used), int(size)))
    print(f"{asked.rows:,} rows, {asked.rounds} rounds")
    print(f"{'':<16}{'cpu us a row':>14}{'bytes a row':>14}")
    for way, found in taken.items():
        seconds, size = median(one for one, _ in found), found[0][1]  # type: ignore[assignment]
        print(f"{way:<16}{seconds / asked.rows * 1e6:>14.2f}{size / asked.rows:>14.1f}")


if __name__ == "__main__":
    main()
