"""The process of one contender: `python -m benchmarks.compare.child JOB.json`; prints its `Measured` as JSON."""

import json
import sys
import warnings
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.compare.clock import Clock
from benchmarks.compare.job import Job

MARK = "measured: "


def main(path: str, phase: str) -> None:
    # Dagster's beta warnings, and pandas' warnings about connections
    # that are not SQLAlchemy's, do not matter here.
    warnings.simplefilter("ignore")
    job = Job.load(Path(path))
    module = import_module(f"benchmarks.compare.contenders.{job.contender}")
    if phase == "prepare":
        module.prepare(job)
        return
    clock = Clock(job.broker_pid)
    rows = module.run(job, clock)
    print(MARK + json.dumps(asdict(clock.measured(rows))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
