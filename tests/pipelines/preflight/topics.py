"""Topics that exist as soon as the function returns."""

import time
from collections.abc import Callable

from resources.kafka.topics.topics import describe_topic
from tests.pipelines.publishing.conftest import World


def create_topic(world: World, partitions: int = 3, **config: str) -> None:
    """Create the event's topic and wait until it is visible:
    a broker knows a topic a moment after the controller made it."""
    world.create_topic(partitions, **config)
    until(lambda: (found := describe_topic(world.settings(), world.topic)) and found.partitions == partitions)


def until(holds: Callable[[], object]) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "not within 60 s"
        time.sleep(0.05)
