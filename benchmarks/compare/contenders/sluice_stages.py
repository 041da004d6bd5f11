"""Each of Sluice's steps alone, without Dagster. What a step needs from earlier steps is made before."""

from pathlib import Path

from benchmarks.compare.clock import Clock
from benchmarks.compare.contenders.sluice_world import enter
from benchmarks.compare.job import DAY, Job
from pipelines import load_catalogue
from pipelines.encoding import RecordEncoder
from pipelines.publishing.publisher import Publisher
from pipelines.stages.source import source_window
from pipelines.stages.transform import transform_window
from resources.platform import Platform


def _home(job: Job) -> Path:
    """The snapshots are made once for the data set; sourcing begins with an empty home each time."""
    return Path(job.scratch if job.variant == "sourced" else job.shared) / "home"


def prepare(job: Job) -> None:
    """Make the two snapshots, unless an earlier run has left them."""
    event = load_catalogue(enter(job, _home(job))).find(job.dataset)
    window = event.windows.window(DAY)
    with Platform() as platform:
        if platform.snapshots.current(event.full_name, window.key, "transformed") is None:
            source_window(event, window, platform, run_id="bench")
            transform_window(event, window, platform, run_id="bench")


def run(job: Job, clock: Clock) -> int:
    event = load_catalogue(enter(job, _home(job))).find(job.dataset)
    window = event.windows.window(DAY)
    with Platform() as platform:
        if job.variant == "encoded":
            return _encode(job, clock, platform)
        with clock.running():
            if job.variant == "sourced":
                return source_window(event, window, platform, run_id="bench").rows
            if job.variant == "transformed":
                return transform_window(event, window, platform, run_id="bench").snapshot.rows
            published = Publisher(event, platform, run_id="bench").publish(window.key)
    clock.facts |= {"encoding": published.encoding, "transactions": published.transactions}
    return published.published


def _encode(job: Job, clock: Clock, platform: Platform) -> int:
    event = load_catalogue(Path(_home(job)) / "assets").find(job.dataset)
    store = platform.snapshots
    snapshot = store.current(event.full_name, DAY, "transformed")
    assert snapshot is not None
    encoder = RecordEncoder(event.contract, schema_id=1, topic=event.topic, key=event.key)
    with clock.running():
        return sum(
            len(encoder.encode(batch).values)
            for batch in store.read(snapshot, batch_rows=platform.settings.batch_rows)
        )
