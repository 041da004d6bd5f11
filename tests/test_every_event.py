"""The conformance suite: every event found under assets/ keeps the platform's promises. A new event is tested
as soon as it exists.

It uses the warehouse of the settings; if that is the sample warehouse, it uses this module's own copy.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipelines import Event, load_catalogue
from pipelines.project.promises import PROMISES, Promise, platform_for_tests
from resources.dev.sample import build_sample_warehouse
from resources.platform import Platform
from resources.settings import load_settings


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("every-event")
    with platform_for_tests(folder) as opened:
        if load_settings().uses_sample_warehouse:
            sample = build_sample_warehouse(folder / "sample.duckdb")
            warehouses = {**opened.settings.warehouses, "default": f"duckdb://{sample}"}
            opened.settings = replace(opened.settings, warehouses=warehouses)
        yield opened


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("event", list(load_catalogue()), ids=lambda event: event.full_name)
def test_the_event_keeps(event: Event, promise: Promise, platform: Platform) -> None:
    promise(event, platform)
