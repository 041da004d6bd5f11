"""The table: medians over the runs, and ratios to the three yardsticks, computed within each round."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.compare.contenders import ABSENT
from benchmarks.compare.datasets import Dataset
from benchmarks.compare.runner import KAFKA_PARTITIONS, TRANSACTION_ROWS, Line
from resources.errors import SluiceError

# The yardsticks: the common hand-written way, the best one, and the most that the client library can do.
COMMON, BEST, LIMIT = "read-sql", "fetchmany", "raw-c"
# Facts reported by contenders that are not versions.
_NO_VERSIONS = ("encoding", "transactions", "threads", "schema")
_PACKAGES = ("confluent-kafka", "dagster", "pyarrow", "pandas", "duckdb", "fastavro")
_HEAD = (
    "contender",
    "rows/s",
    "MB/s",
    "CPU s/M",
    "broker CPU s/M",
    "peak MiB",
    "x common",
    "x best hand",
    "x raw C",
    "rows",
)


def figures(lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
    """The medians of each contender; ratios (`times_…`) are medians of the ratios of each round."""
    rates = {
        line.contender.name: {number: run.rows / run.seconds for number, run in line.runs.items()}
        for line in lines
    }
    # The payload is the same for all, except contenders with their own schema;
    # stages that write nothing take the others' payload.
    sizes = [line.seen.bytes_per_row for line in lines if line.seen and not line.contender.own_schema]
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        name, runs = line.contender.name, list(line.runs.values())
        if not runs:
            found[name] = {"title": line.contender.title, "failed": line.failed}
            continue
        rate = median(rates[name].values())
        size = line.seen.bytes_per_row if line.seen else (median(sizes) if sizes else 0.0)
        found[name] = {
            "title": line.contender.title,
            "kind": line.contender.kind,
            "guarantees": line.contender.guarantees,
            "failed": line.failed,
            "rows": line.rows,
            "runs": len(runs),
            "rows_per_second": rate,
            "rows_per_second_of_runs": list(rates[name].values()),
            "megabytes_per_second": rate * size / 1e6,
            "bytes_per_row": size,
            "cpu_seconds_per_million": median(run.cpu_seconds / run.rows * 1e6 for run in runs),
            "broker_cpu_seconds_per_million": median(run.broker_cpu_seconds / run.rows * 1e6 for run in runs),
            "peak_mib": median(run.peak_mib for run in runs),
            "times_common": _ratio(rates, name, COMMON),
            "times_best": _ratio(rates, name, BEST),
            "times_limit": _ratio(rates, name, LIMIT),
            "facts": runs[-1].facts,
            "measured": [asdict(run) for run in runs],
        }
    return found


def _ratio(rates: Mapping[str, Mapping[int, float]], name: str, yardstick: str) -> float | None:
    rounds = [
        rates[name][number] / rates[yardstick][number]
        for number in rates[name]
        if number in rates.get(yardstick, {})
    ]
    return median(rounds) if rounds else None


def table(dataset: Dataset, found: Mapping[str, dict[str, Any]]) -> str:
    """One data set's part of the table, as Markdown that is also readable in a terminal."""
    rows = [_HEAD]
    for name, one in found.items():
        if "rows_per_second" not in one:
            rows.append((f"{name}: {one['title']}", "none", *[""] * (len(_HEAD) - 2)))  # type: ignore[arg-type]
            continue
        rows.append(
            (
                f"{name}: {one['title']}",
                f"{one['rows_per_second']:,.0f}",
                f"{one['megabytes_per_second']:,.1f}",
                f"{one['cpu_seconds_per_million']:.2f}",
                f"{one['broker_cpu_seconds_per_million']:.2f}",
                f"{one['peak_mib']:,.0f}",
                _times(one["times_common"]),
                _times(one["times_best"]),
                _times(one["times_limit"]),
                f"{one['rows']:,}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        _line(rows[0], widths),
        _line(["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])], widths),
    ]
    lines += [_line(row, widths) for row in rows[1:]]
    size = median([one["bytes_per_row"] for one in found.values() if one.get("bytes_per_row")] or [0])
    title = f"**{dataset.name}**: {dataset.said}, {dataset.rows:,} rows, {size:,.0f} bytes of key and value a record"
    return "\n".join([title, "", *lines])


def _times(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
    return f"| {' | '.join(padded)} |"


def notes(lines: Sequence[Line]) -> str:
    """The notes beside the figures: machine, versions, settings, guarantees, who is absent."""
    measured = [run for line in lines for run in line.runs.values()]
    runs = max((len(line.runs) for line in lines), default=0)
    others = [run.others_share for run in measured] or [0.0]
    told = [
        f"Other programs took {median(others):.0%} of the machine in the median run, {max(others):.0%} at most; "
        "above a few per cent, times and rates say little, ratios and CPU seconds more.",
        f"Medians of {runs} interleaved runs; a ratio is the median of the ratios within a round: to the common "
        f"hand-written way ({COMMON}), to the best one ({BEST}) and to the C program ({LIMIT}). Clocks run from the "
        "first read of the source to the last acknowledgement or commit, after interpreters and JVMs have started. "
        "CPU is the contender's own processes'; the broker's is beside it. On a machine of two cores the two compete.",
        f"Machine: {_machine()}. Versions: {_versions(lines)}.",
        f"For everyone: one broker, one topic of {KAFKA_PARTITIONS} partitions a run, acks=all, idempotent producers, "
        "lz4, linger 5 ms, text keys, values in the Confluent wire format. librdkafka partitions by murmur2_random. "
        f"Transactions are committed after {TRANSACTION_ROWS:,} records or 2 s, in C as in Sluice. The C program's "
        "records are encoded and in its memory before its clock starts, and that memory is counted.",
        "A contender with fewer rows than the data set takes the first of them; rates are comparable.",
    ]
    told += [
        f"{one.contender.name}: {one.contender.guarantees}." for one in lines if one.contender.guarantees
    ]
    told += [f"{one.contender.name} did not run: {one.failed}." for one in lines if one.failed]
    told += [f"{name} is not here: {why}." for name, why in ABSENT.items()]
    return "\n".join(f"- {text}" for text in dict.fromkeys(told))


def _machine() -> str:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(": ")[2] for line in info if line.startswith("model name")), platform.machine()
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {platform.system()} {platform.release()}"


def _versions(lines: Sequence[Line]) -> str:
    from resources.dev.servers import maven

    _, kafka = maven._artifact(Path(maven.__file__).parent / "kafka" / "pom.xml")
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    told = {
        "Apache Kafka": kafka,
        "Java": [*java.split(chr(34)), "?", "?"][1],
        "Python": platform.python_version(),
    }
    told |= {name: version(name) for name in _PACKAGES}
    for line in lines:
        for run in line.runs.values():
            told |= {name: str(value) for name, value in run.facts.items() if name not in _NO_VERSIONS}
    return ", ".join(f"{name} {value}" for name, value in told.items())


def put_into(page: Path, part: str, text: str) -> None:
    """Replace the text between `<!-- part -->` and `<!-- /part -->` in a page of the documentation."""
    before, opened, rest = page.read_text().partition(f"<!-- {part} -->\n")
    _, closed, after = rest.partition(f"<!-- /{part} -->")
    if not (opened and closed):
        raise SluiceError(
            str(page),
            f"has no place for the {part}",
            allowed=f"a line <!-- {part} --> and, below it, a line <!-- /{part} -->",
            next_step="add the two lines where it is to stand",
        )
    page.write_text(f"{before}{opened}\n{text}\n\n{closed}{after}")


def write(report: Path, text: str, data: Mapping[str, Any]) -> None:
    """The text as Markdown, and every figure of every run as JSON beside it."""
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(text + "\n")
    report.with_suffix(".json").write_text(json.dumps(data, indent=1))
