"""What each way of sorting a DuckDB table in no order takes: one line for each width of rows and way.

    python benchmarks/sorting.py [--megabytes 400] [--widths 80 250 500 2500] [--ways FIRST SECOND ...] [--in-order]

A way is an engine's part of `memory_limit` and the bytes of rows that are sorted at once, in parts of that
memory, as in `resources/warehouse/duckdb/warehouse.py`; "as it is" is what the warehouse chooses by itself,
including what it tried before. Each way streams the same table in batches of 32,768 rows, in a separate
process. `--in-order`: the rows ascend, so that they pass through and are not sorted, in an engine with the
way's part of the memory.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def make(path: Path, rows: int, width: int, *, in_order: bool) -> None:
    """A table of `rows` rows of about `width` bytes, in time order or unordered."""
    import duckdb

    # An instant, a key of ten bytes and a number; the other columns are texts of at most a hundred bytes.
    texts, left = [], width - 26
    while left > 0:
        texts.append(f"rpad(md5((i + {len(texts)})::VARCHAR), {min(100, left)}, 'x') AS c{len(texts)}")
        left -= 100
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"""CREATE TABLE t AS SELECT 'k' || lpad((hash(i) % 1000000000)::VARCHAR, 9, '0') AS key, i AS n,
            TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_microseconds(({"i" if in_order else "hash(i)"} % 86400000)::BIGINT * 1000) AS happened,
            {", ".join(texts)} FROM range({rows}) AS r(i)"""
        )


def stream(path: str, way: str) -> None:
    """Stream the table and print rows, tries, processor seconds and peak memory in MiB."""
    from resources.warehouse import OutOfOrder
    from resources.warehouse.duckdb import engines, warehouse

    if way != "as it is":
        share, at_once = map(float, way.split("x"))
        engines._SHARES[engines.Work.SORTING] = engines._SHARES[engines.Work.PASSING] = share
        warehouse._SORTS = ((engines.Work.SORTING, at_once),)  # type: ignore[assignment]
        warehouse._PASSES = (engines.Work.PASSING,)  # type: ignore[assignment]
        warehouse._SORTED_BYTES = 10**9
    source, tries, started = warehouse.DuckDBWarehouse(path), 0, time.process_time()
    while True:
        tries, rows = tries + 1, 0
        try:
            with source.stream(
                "SELECT * FROM t", {}, order_by=("happened", "key"), batch_rows=32_768
            ) as batches:
                for batch in batches:
                    rows += batch.num_rows
            break
        except OutOfOrder:
            continue
    used = time.process_time() - started
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(rows, tries, f"{used:.2f}", int(found[1]) // 1024 if found else "?")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--widths", type=int, nargs="+", default=[80, 250, 500, 2500])
    parser.add_argument("--ways", nargs="+", default=["as it is", "0.375x9", "0.5x9", "1x9", "1x0.25"])
    parser.add_argument("--in-order", action="store_true", help="rows that are not sorted")
    parser.add_argument("--stream", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stream:
        stream(*asked.stream)
        return
    print(f"{'bytes a row':>12}{'rows':>12}{'way':>12}{'tries':>7}{'cpu s':>8}{'peak MiB':>10}")
    for width in asked.widths:
        rows = asked.megabytes * 1_000_000 // width
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sorted.duckdb"
            make(path, rows, width, in_order=asked.in_order)
            for way in asked.ways:
                done = subprocess.run(
                    [sys.executable, __file__, "--stream", f"/{path}", way], capture_output=True, text=True, check=False
                )  # fmt: skip
                told = done.stdout.split() or ["", "-", "fails", done.stderr.strip().splitlines()[-1][:60]]
                print(f"{width:>12,}{rows:>12,}{way:>12}{told[1]:>7}{told[2]:>8}{told[3]:>10}", flush=True)


if __name__ == "__main__":
    main()
