"""`sluice publish --processes`: what runs in parallel, and the result of each."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.cli.output.destination import say_destination
from pipelines.cli.output.errors import when_stopped
from pipelines.cli.runs.launcher import Launcher, RunOutcome, stopped_after
from pipelines.cli.runs.split import Part, divided, require_uncompacted
from pipelines.cli.runs.worker_pool import run_in_pool
from pipelines.cli.runs.worker_process import Processes
from resources.kafka.topics.topics import describe_topic
from resources.settings import Settings


def publish_in_processes(
    catalogue: Catalogue,
    settings: Settings,
    work: Sequence[tuple[Event, Sequence[Window]]],
    processes: Processes,
    *,
    divide: bool,
    config: Mapping[str, Any],
    again: str,
) -> list[RunOutcome]:
    """Publish the windows of each event of `work`, one run at a time in each of `processes`.

    An event's windows are one run, in their order; with `divide` they are cut into as many runs as there are
    processes. Raises SluiceError if an event cannot be divided, and Stopped as `run_all` does.
    """
    say_destination(settings)
    again = f"{again} --processes {processes.most}"
    with when_stopped(lambda: str(stopped_after([], again))):
        # First in this process: only one process may create what a new home lacks, not several at once.
        instance = Launcher(catalogue, settings).instance
        parts: list[Part] = []
        for event, windows in work:
            if divide:
                parts += divided(
                    event, windows, processes.most, config=config, settings=settings, instance=instance
                )
                if len(parts) > 1:
                    _look_at_topic(event, settings, len(parts))
            else:
                parts.append(Part(event, windows, config))
    return run_in_pool(parts, processes, instance, again=again)


def _look_at_topic(event: Event, settings: Settings, processes: int) -> None:
    topic = describe_topic(settings, event.topic)
    if topic is None:
        return  # the preflight of each run reports a missing topic
    policy = topic.config.get("cleanup.policy")
    require_uncompacted(event, policy, processes)
    if policy is None:
        click.echo(
            f"{event.full_name}: the login may not see the settings of topic {event.topic}; if it is compacted, leave "
            "--processes out",
            err=True,
        )
