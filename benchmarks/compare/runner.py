"""Runs every contender on every data set, in turn, and collects the measurements of each run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compare.child import MARK
from benchmarks.compare.contender import Contender
from benchmarks.compare.datasets import Dataset
from benchmarks.compare.job import Job, Measured
from benchmarks.compare.servers import BenchServers
from benchmarks.compare.tools import lacking, peers_program
from benchmarks.compare.verifying import Seen, Wrong, verify

KAFKA_PARTITIONS = 3
TRANSACTION_ROWS = 1_000_000
ROOT = Path(__file__).resolve().parents[2]
_CHILD_SECONDS = 3600


class Failed(Exception):
    """A contender's process ended with an error; the text is the end of its output."""


@dataclass
class Line:
    """All runs of one contender on one data set. `failed` says why there are no runs, or no more."""

    contender: Contender
    rows: int
    runs: dict[int, Measured] = field(default_factory=dict)
    seen: Seen | None = None
    failed: str | None = None


def compare(
    dataset: Dataset,
    contenders: Sequence[Contender],
    servers: BenchServers,
    work: Path,
    *,
    runs: int,
    say: Callable[[str], None],
) -> list[Line]:
    """`runs` rounds; in each, every contender once. What a contender wrote in the first round is read back.

    Ctrl-C ends the data set with what was measured so far.
    """
    lines = [Line(one, min(one.max_rows or dataset.rows, dataset.rows)) for one in contenders]
    shared = work / f"shared-{dataset.name}"
    shared.mkdir(parents=True)
    for line in lines:
        absent = [told for need in line.contender.needs if (told := lacking(need))]
        line.failed = "; ".join(absent) or None
    with suppress(KeyboardInterrupt):  # what was measured until then still makes a table
        for number in range(runs):
            for line in lines:
                if not line.failed:
                    say(
                        f"{dataset.name}, run {number + 1}, {_attempt(line, number, dataset, servers, work, shared)}"
                    )
    shutil.rmtree(shared)
    return lines


def _attempt(
    line: Line, number: int, dataset: Dataset, servers: BenchServers, work: Path, shared: Path
) -> str:
    """One run, and what to print about it; a contender that fails is left out of the later rounds."""
    try:
        _run(line, number, dataset, servers, work, shared)
    except (Failed, Wrong) as problem:
        line.failed = str(problem)
        return f"{line.contender.name} FAILED: {problem}"
    done = line.runs[number]
    return f"{line.contender.name}: {done.rows / done.seconds:,.0f} rows/s, {done.seconds:.1f} s"


def _run(line: Line, number: int, dataset: Dataset, servers: BenchServers, work: Path, shared: Path) -> None:
    contender = line.contender
    scratch = work / f"scratch-{contender.name}"
    topic = f"bench.{dataset.name}-{contender.name}-{number}.v1"
    job = Job(
        contender=contender.module,
        variant=contender.variant,
        dataset=dataset.name,
        database=str(dataset.database),
        table=dataset.name,
        columns=dataset.columns,
        key=dataset.key,
        contract=str(dataset.contract),
        rows=line.rows,
        rows_total=dataset.rows,
        topic=topic,
        kafka_partitions=KAFKA_PARTITIONS,
        bootstrap=servers.bootstrap,
        registry_url=servers.registry_url,
        broker_pid=servers.broker_pid,
        scratch=str(scratch),
        shared=str(shared),
        transaction_rows=TRANSACTION_ROWS,
    )
    scratch.mkdir()
    servers.create_topic(topic, KAFKA_PARTITIONS)
    try:
        if contender.prepares and number == 0:
            _child(job, contender, "prepare")
        measured = _child(job, contender, "run")
        if measured is None or measured.rows != line.rows:
            raise Wrong(f"{contender.name} says {measured and measured.rows} records of {line.rows:,}")
        if contender.writes and number == 0:
            line.seen = verify(job, contender, measured.facts.pop("schema", None))
        line.runs[number] = measured
    finally:
        servers.delete_topic(topic)
        shutil.rmtree(scratch)


def _child(job: Job, contender: Contender, phase: str) -> Measured | None:
    path = Path(job.scratch).with_suffix(".json")
    job.save(path)
    python = str(peers_program("python")) if contender.peers else sys.executable
    command = [python, "-m", "benchmarks.compare.child", str(path), phase]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, timeout=_CHILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"not done in {_CHILD_SECONDS} s") from None
    finally:
        path.unlink()
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Failed(" ".join(said[-3:])[-600:] or f"exit code {done.returncode}")
    told = [text for text in done.stdout.splitlines() if text.startswith(MARK)]
    return Measured(**json.loads(told[-1].removeprefix(MARK))) if told else None
