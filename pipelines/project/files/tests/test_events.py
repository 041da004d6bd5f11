"""Every event of this project keeps Sluice's promises, on rows of the warehouse that the settings name.

A new event is tested as soon as it exists. The promises are part of Sluice and are upgraded with it.
Add your own tests beside this file.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import Event, load_catalogue
from pipelines.project.promises import PROMISES, Promise, platform_for_tests
from resources.platform import Platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform_for_tests(Path(tmp_path_factory.mktemp("events"))) as opened:
        yield opened


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("event", list(load_catalogue()), ids=lambda event: event.full_name)
def test_event(event: Event, promise: Promise, platform: Platform) -> None:
    promise(event, platform)
