"""Hand-written with care: chunks of pandas, itertuples, fastavro."""

from benchmarks.compare.clock import Clock
from benchmarks.compare.contenders.framing import Framer
from benchmarks.compare.contenders.values import Sender, frames
from benchmarks.compare.job import Job


def run(job: Job, clock: Clock) -> int:
    framer, sender, names = Framer(job), Sender(job), job.columns
    key = names.index(job.key)
    with clock.running():
        for rows in frames(job):
            for row in rows.itertuples(index=False, name=None):
                sender.send(row[key], framer.frame(dict(zip(names, row, strict=True))))
        return sender.finish()
