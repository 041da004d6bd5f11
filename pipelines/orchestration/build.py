"""A catalogue of events as Dagster definitions."""

import dagster as dg

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.collection import collection_paused, keep
from pipelines.orchestration.assets import build_assets
from pipelines.orchestration.resource import PlatformResource
from pipelines.orchestration.schedules import build_schedules
from pipelines.orchestration.tables import build_tables


def build_definitions(catalogue: Catalogue) -> dg.Definitions:
    """Assets, checks, external tables and schedules of every event."""
    events = list(catalogue.events.values())
    with collection_paused():
        definitions = dg.Definitions(
            assets=[*build_tables(events), *(build_assets(event) for event in events)],
            schedules=build_schedules(events),
            resources={"platform": PlatformResource()},
            # Windows run side by side in separate runs; inside one a process per step would cost ten seconds.
            executor=dg.in_process_executor,
        )
        keep(len(events))
    return definitions
