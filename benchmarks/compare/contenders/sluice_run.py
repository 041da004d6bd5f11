"""Sluice as its users run it: one Dagster run of all three assets and their checks, from the warehouse to the topic."""

from pathlib import Path

# What a run's process imports; imported before the clock starts, as for every contender.
import pipelines.orchestration.windows.run  # noqa: F401
from benchmarks.compare.clock import Clock
from benchmarks.compare.contenders.sluice_world import enter
from benchmarks.compare.job import DAY, Job
from pipelines import load_catalogue
from pipelines.orchestration.launch import dagster_instance, launch, limit_warehouses
from resources.settings import load_settings


def run(job: Job, clock: Clock) -> int:
    catalogue = load_catalogue(enter(job, Path(job.scratch), reconcile=job.variant == "reconciled"))
    event = catalogue.find(job.dataset)
    with dagster_instance(load_settings()) as instance:
        limit_warehouses(instance, catalogue)
        with clock.running():
            done = launch(event, [event.windows.window(DAY)], instance, catalogue=catalogue)
    if not done.success:
        raise RuntimeError(done.why)
    told = done.windows[DAY]
    # Dagster returns metadata as plain values.
    clock.facts |= {name: told[name] for name in ("encoding", "transactions") if name in told}
    return int(told["rows_published"])
