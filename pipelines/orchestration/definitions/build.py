"""Builds Dagster definitions from a catalogue of events."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import dagster as dg

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.loading.garbage_collection import collection_paused, keep
from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.definitions.broken import build_broken, build_broken_sensors, tell
from pipelines.orchestration.definitions.consumption_sensor import build_consumption_sensors
from pipelines.orchestration.definitions.jobs import Jobs, build_jobs, place_of
from pipelines.orchestration.definitions.resource import run_resources
from pipelines.orchestration.definitions.schedules import build_schedules
from pipelines.orchestration.definitions.tables import build_tables
from pipelines.orchestration.liveness.lost_runs import build_sensor
from resources.errors import readable
from resources.settings.jobs import JobSetting


def build_definitions(catalogue: Catalogue) -> dg.Definitions:
    """Assets, checks, external tables and schedules of every event."""
    events = list(catalogue.events.values())
    with collection_paused():
        definitions = _definitions(events, {})
        keep(len(events))
    return definitions


def build_location(
    catalogue: Catalogue, broken: Mapping[str, str], jobs: Sequence[JobSetting] = ()
) -> dg.Definitions:
    """Like `build_definitions`, with an asset in error for each event or file of `broken` (its name, and what
    is wrong), and for each event that Dagster refuses: one declaration never prevents the others from
    loading. `jobs` are built from the events that load; a job that cannot be built becomes an asset in error,
    too."""
    events, wrong = list(catalogue.events.values()), dict(broken)
    with collection_paused():
        while isinstance(made := _loaded(events, wrong), Exception):
            # Find the first event that Dagster refuses together with the events before it.
            place = bisect_left(
                range(1, len(events) + 1),
                True,
                key=lambda n: isinstance(_loaded(events[:n], wrong), Exception),
            )
            if place == len(events):
                raise made  # no event is the cause
            event = events[place]
            refused = _loaded([*events[:place], event], wrong)
            wrong[event.full_name] = readable(f"{event.module_path}: Dagster refuses the event: {refused}")
            del events[place]
        keep(len(events))
        if jobs:
            # Jobs are added after the events: if Dagster refuses something now, a job is the cause.
            loaded = Catalogue(
                {one.full_name: one for one in events}, catalogue.assets_root, refused=catalogue.refused
            )
            made = _with_jobs(loaded, wrong, list(jobs))
    tell(wrong)
    return made


def _with_jobs(catalogue: Catalogue, wrong: dict[str, str], declared: list[JobSetting]) -> dg.Definitions:
    """The definitions with the jobs that Dagster accepts; the others are added to `wrong`."""
    events = list(catalogue.events.values())

    def tried(some: Sequence[JobSetting]) -> tuple[Jobs, dg.Definitions | Exception]:
        found = build_jobs(catalogue, some)
        return found, _loaded(events, {**wrong, **found.broken}, found)

    while True:
        found, made = tried(declared)
        if not isinstance(made, Exception):
            wrong |= found.broken
            return made
        # Find the first job that Dagster refuses together with the jobs before it.
        place = bisect_left(
            range(1, len(declared) + 1), True, key=lambda n: isinstance(tried(declared[:n])[1], Exception)
        )
        if place == len(declared):
            raise made  # no job is the cause
        refused = declared.pop(place)
        wrong[place_of(refused)] = readable(f"{place_of(refused)}: Dagster refuses the job: {made}")


def _loaded(
    events: Sequence[Event], broken: Mapping[str, str], jobs: Jobs | None = None
) -> dg.Definitions | Exception:
    """The definitions if Dagster accepts them, or the error if it does not."""
    try:
        definitions = _definitions(events, broken, jobs)
        # The definitions cache the result, and the code server needs the same.
        definitions.get_repository_def().get_all_jobs()
    except Exception as error:  # whatever it is, the other events must load
        return error
    return definitions


def _definitions(
    events: Sequence[Event], broken: Mapping[str, str], jobs: Jobs | None = None
) -> dg.Definitions:
    return dg.Definitions(
        assets=[*build_tables(events), *(build_assets(event) for event in events), *build_broken(broken)],
        schedules=[*build_schedules(events), *(jobs.schedules if jobs else ())],
        jobs=jobs.jobs if jobs else (),
        sensors=[build_sensor(), *build_consumption_sensors(events), *build_broken_sensors(broken)],
        resources=run_resources(),
        # Windows run in parallel in separate runs.
        # Within a run, a process for each step would cost ten seconds.
        executor=dg.in_process_executor,
    )
