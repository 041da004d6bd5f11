"""A catalogue of events as Dagster definitions."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import dagster as dg

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.collection import collection_paused, keep
from pipelines.authoring.event import Event
from pipelines.orchestration.assets import build_assets
from pipelines.orchestration.broken import build_broken, build_broken_sensors, tell
from pipelines.orchestration.resource import PlatformResource
from pipelines.orchestration.schedules import build_schedules
from pipelines.orchestration.tables import build_tables


def build_definitions(catalogue: Catalogue) -> dg.Definitions:
    """Assets, checks, external tables and schedules of every event."""
    events = list(catalogue.events.values())
    with collection_paused():
        definitions = _definitions(events, {})
        keep(len(events))
    return definitions


def build_location(catalogue: Catalogue, broken: Mapping[str, str]) -> dg.Definitions:
    """The same, with an asset in error for each event or file of `broken` (its name, and what is wrong), and for each
    event that Dagster refuses: one declaration never keeps the others from loading."""
    events, wrong = list(catalogue.events.values()), dict(broken)
    with collection_paused():
        while isinstance(made := _loaded(events, wrong), Exception):
            # The first that Dagster does not take beside those before it.
            place = bisect_left(
                range(1, len(events) + 1),
                True,
                key=lambda n: isinstance(_loaded(events[:n], wrong), Exception),
            )
            event = events[place]
            refused = _loaded([*events[:place], event], wrong)
            wrong[event.full_name] = f"{event.module_path}: Dagster refuses the event: {refused}"
            del events[place]
        keep(len(events))
    tell(wrong)
    return made


def _loaded(events: Sequence[Event], broken: Mapping[str, str]) -> dg.Definitions | Exception:
    """The definitions as Dagster takes them, or why it does not."""
    try:
        definitions = _definitions(events, broken)
        definitions.get_repository_def()  # kept by the definitions: the code server asks for the same
    except Exception as error:  # whatever it is, the other events must load
        return error
    return definitions


def _definitions(events: Sequence[Event], broken: Mapping[str, str]) -> dg.Definitions:
    return dg.Definitions(
        assets=[*build_tables(events), *(build_assets(event) for event in events), *build_broken(broken)],
        schedules=build_schedules(events),
        sensors=build_broken_sensors(broken),
        resources={"platform": PlatformResource()},
        # Windows run side by side in separate runs; inside one a process per step would cost ten seconds.
        executor=dg.in_process_executor,
    )
